"""What is counted of sequences: by hand on a model that has learned four lines by heart, and on one that has not."""

from pathlib import Path

import pytest
import torch

from flowvae import build_model, fit
from flowvae.data import Data, load_data
from flowvae.errors import InputError
from flowvae.evaluation.context import evaluating
from flowvae.measures.regression import regression
from flowvae.measures.sequences import sequences
from flowvae.model import VAE

LINES = ["one two three", "two", "three three two one", "one one"]
SPEC = {
    "encoder": {"name": "rnn", "width": 24, "embedding": 8},
    "latents": {"dim": 4},
    "likelihood": {"name": "sequence", "decoder": {"name": "gru", "width": 24}, "embedding": 8},
}  # fmt: skip


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Data:
    path = tmp_path_factory.mktemp("lines") / "lines.txt"
    path.write_text("\n".join(LINES * 60))
    return load_data(path)


def measured(model: VAE, data: Data, **options: int) -> dict[str, float]:
    with evaluating(model, 0):
        return dict(sequences(model, data, data.test, **options).figures)


def test_what_is_known_by_heart_matches_and_is_not_new(lines: Data) -> None:
    torch.manual_seed(0)
    model = build_model(SPEC, lines)
    free = {"name": "free_bits", "free": 2.0}
    fit(model, lines, epochs=40, batch_size=48, objective=free, optimiser={"name": "adam", "lr": 0.02}, quiet=True)
    found = measured(model, lines, number=400)
    assert found["match_taught"] > 95
    assert found["match"] > 95
    assert found["uniqueness"] <= 100 * 12 / 400  # four lines, and a few between them
    assert found["novelty"] < 15
    assert "validity" not in found


def test_matches_and_novelty_are_counted_by_hand(lines: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that always says "two", and draws that alternate between a known and an unknown line."""
    schema = lines.event_shape
    model = build_model(SPEC, lines)
    two = torch.from_numpy(schema.parse("two"))
    owner = type(model.likelihood(torch.zeros(1, 4)))
    monkeypatch.setattr(owner, "mode", property(lambda p: two.expand(p.batch_shape + two.shape)))
    drawn = torch.stack([two, torch.from_numpy(schema.parse("two one"))])
    monkeypatch.setattr(owner, "sample", lambda p: drawn.repeat(p.batch_shape[0] // 2, 1, 1))
    share = 100 * sum(schema.text(x) == "two" for x in lines.test.values.numpy()) / len(lines.test)
    found = measured(model, lines, number=100)
    assert found["match"] == pytest.approx(share)
    assert found["novelty"] == pytest.approx(50)
    assert found["uniqueness"] == pytest.approx(2)


def test_validity_and_errors_of_features() -> None:
    data = load_data("grammar", count=300)
    found = measured(build_model(SPEC, data), data, number=200)
    assert 0 <= found["validity"] < 60
    assert found["match"] <= found["match_taught"] + 1e-9
    assert found["feature_error"] > 0 or "feature_error" not in found


def test_a_label_is_told_by_the_latents(shared_data: Path) -> None:
    """Latents that hold nothing of the accuracy tell nothing; without labels it is refused."""
    data = load_data({"name": "architectures", "dir": str(shared_data)})
    model = build_model(SPEC, data)
    with evaluating(model, 0):
        found = regression(model, data, data.test.take(100), points=100).figures
    assert 0.004 < found["rmse"] < 0.02
    assert abs(found["pearson"]) <= 1
    grammar = load_data("grammar", count=100)
    with pytest.raises(InputError, match="expected labels to predict; got data without"):
        regression(build_model(SPEC, grammar), grammar, grammar.test)
