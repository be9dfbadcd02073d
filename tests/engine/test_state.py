import pickle

import pytest
import torch

from flowvae.engine import weights
from flowvae.engine.generators import rng_state, set_rng_state
from flowvae.engine.state import State, load_checkpoint, save_checkpoint
from flowvae.engine.weights import load_weights, save_weights
from flowvae.errors import InputError
from flowvae.files import atomically


def test_a_checkpoint_round_trips_without_pickle_code(tmp_path):
    state = State(step=7, best=-3.5, best_weights={"w": torch.randn(3)}, sums=torch.arange(4.0))
    save_checkpoint(tmp_path / "c.pt", state, model={"w": torch.randn(2)}, rng=rng_state(torch.device("cpu")))
    raw = torch.load(tmp_path / "c.pt", weights_only=True)
    assert raw["state"]["step"] == 7
    loaded, parts = load_checkpoint(tmp_path / "c.pt")
    assert (loaded.step, loaded.best, loaded.sums.tolist()) == (7, -3.5, [0, 1, 2, 3])
    assert loaded.best_weights["w"].equal(state.best_weights["w"])
    assert set(parts) == {"model", "rng"}


class Trojan:
    def __reduce__(self):
        return exec, ("raise SystemExit('code from a checkpoint was run')",)


def test_a_checkpoint_with_code_is_refused_not_run(tmp_path):
    torch.save({"format": 1, "state": Trojan()}, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"expected a checkpoint; got .*c\.pt"):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps({"format": 1}, protocol=2)])
def test_a_broken_checkpoint_is_an_input_error(tmp_path, content):
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InputError, match="expected a checkpoint"):
        load_checkpoint(tmp_path / "c.pt")


def test_generators_go_on_where_they_were():
    device = torch.device("cpu")
    torch.randn(3)  # an odd number of normals leaves one cached
    state = rng_state(device)
    first = torch.randn(5), torch.rand(2)
    set_rng_state(state, device)
    assert torch.randn(5).equal(first[0])
    assert torch.rand(2).equal(first[1])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomically(path, fail)
    assert path.read_text() == "old"


def test_weights_keep_extra_state_and_shared_memory_apart(tmp_path):
    shared = torch.randn(2, 3)
    state = {"a": shared, "b": shared, "t": shared.T, "gates._extra_state": {"frozen": True}}
    save_weights(tmp_path / "w.safetensors", state)
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded["gates._extra_state"] == {"frozen": True}
    assert all(loaded[name].equal(state[name]) for name in ("a", "b", "t"))


def test_missing_or_broken_weights_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="expected a safetensors file"):
        load_weights(tmp_path / "bad.safetensors")


def test_weights_that_may_not_be_read_are_an_input_error(tmp_path, monkeypatch):
    save_weights(tmp_path / "w.safetensors", {"a": torch.ones(2)})

    def refuse(path, framework):
        raise OSError("Permission denied (os error 13)")

    monkeypatch.setattr(weights, "safe_open", refuse)
    with pytest.raises(InputError, match=r"expected a safetensors file; got .*w.safetensors' \(Permission denied"):
        load_weights(tmp_path / "w.safetensors")
