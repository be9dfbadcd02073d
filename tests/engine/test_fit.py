import json
import re
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from flowvae import registry
from flowvae.engine import fit, load, progress, read_journal
from flowvae.engine.faults import TrainingError
from flowvae.engine.speed import bench
from flowvae.errors import InputError
from flowvae.model import build_model


def same_weights(a, b):
    return all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def validations(fitted):
    return [record["elbo"] for record in fitted.history if record["kind"] == "validation"]


def test_it_learns_and_holds_the_best_weights(data):
    model = build_model({"encoder": {"width": 64}, "latents": {"dim": 8}}, data)
    fitted = fit(model, data, epochs=20, optimiser={"lr": 0.005}, quiet=True)
    bounds = validations(fitted)
    assert len(bounds) == 20
    assert bounds[-1] > bounds[0] + 2
    assert fitted.history[-1]["rate"] > 1
    assert fitted.seconds > 0
    assert fitted.best_elbo == max(bounds)
    assert fitted.best_epoch == bounds.index(max(bounds)) + 1
    assert not fitted.model.training


def test_training_and_validation_are_on_one_scale_whatever_the_objective(data, build):
    fitted = fit(build(), data, epochs=1, objective={"beta": 0.0}, optimiser={"lr": 1e-9}, log_every=9, quiet=True)
    train, validation = (next(r for r in fitted.history if r["kind"] == kind) for kind in ("train", "validation"))
    assert train["loss"] == pytest.approx(train["distortion"])
    for record in (train, validation):
        assert record["elbo"] == pytest.approx(-(record["distortion"] + record["rate"]), rel=1e-5)
    assert train["elbo"] == pytest.approx(validation["elbo"], abs=1.0)
    assert sum(validation["kl"]) == pytest.approx(validation["rate"], rel=1e-5)


def test_the_seed_decides_and_the_caller_s_generator_is_left_alone(data, build):
    first = fit(build(), data, epochs=2, quiet=True)
    torch.randn(10)
    second = fit(build(), data, epochs=2, quiet=True)
    other = fit(build(), data, epochs=2, seed=1, quiet=True)
    assert same_weights(first.model, second.model)
    assert not same_weights(first.model, other.model)
    before = torch.get_rng_state()
    fit(second.model, data, epochs=1, quiet=True)
    assert torch.get_rng_state().equal(before)


def test_how_often_it_validates_does_not_change_the_training(data, build):
    often = fit(build(), data, epochs=4, quiet=True)
    once = fit(build(), data, epochs=4, validate_every=4, quiet=True)
    assert len(validations(once)) == 1
    assert validations(once)[0] == validations(often)[-1]


def test_averaged_weights_are_what_is_validated_and_kept(data, build, tmp_path):
    plain = fit(build(), data, epochs=3, run=tmp_path / "plain", quiet=True)
    averaged = fit(build(), data, epochs=3, ema=0.99, run=tmp_path / "ema", quiet=True)
    assert validations(plain) != validations(averaged)
    checkpoint = torch.load(tmp_path / "ema" / "checkpoint.pt", weights_only=True)
    own, average = checkpoint["model"], checkpoint["average"]["values"]
    assert all(own[name].equal(value) for name, value in load(tmp_path / "plain", "last").state_dict().items())
    last = load(tmp_path / "ema", "last").state_dict()
    assert all(last[name].equal(value) for name, value in average.items())
    assert not any(own[name].equal(value) for name, value in average.items())


def test_clipping_bounds_the_step_of_plain_descent(data, build):
    plain = {"epochs": 1, "optimiser": {"eps": 1.0}, "quiet": True}  # a step grows with the gradient
    free, clipped = fit(build(), data, **plain), fit(build(), data, clip=1e-3, **plain)
    start = build().state_dict()

    def distance(fitted):
        return sum(float((value - start[name]).square().sum()) for name, value in fitted.model.state_dict().items())

    assert distance(clipped) < 1e-4 * distance(free)


def test_the_journal_tells_the_largest_gradient_before_it_is_clipped(data, build):
    """Between clips at half of it and at twice of it only the first changes anything."""
    once = {"epochs": 1, "batch_size": len(data.train), "quiet": True}  # one step, and one line
    (free,) = steepest(fit(build(), data, **once))
    assert free > 0
    assert steepest(fit(build(), data, clip=free / 2, **once)) == [free]
    weights = [fit(build(), data, **once, clip=clip).model.state_dict() for clip in (None, 2 * free, free / 2)]
    assert all(weights[1][name].equal(value) for name, value in weights[0].items())
    steady = {"epochs": 3, "log_every": 10, "quiet": True}
    lines = [steepest(fit(build(), data, **steady | {"log_every": every})) for every in (1, 10)]
    assert lines[0] != sorted(lines[0])  # each line tells of its own steps alone
    assert lines[1] == [max(lines[0][i : i + 10]) for i in range(0, len(lines[0]), 10)]


@pytest.mark.parametrize(("warmup", "period", "told"), [(4, 0, True), (2, 0, False), (0, 0, False), (0.5, 1, False)])
def test_a_warm_up_that_the_run_does_not_finish_is_told(data, build, warmup, period, told):
    """Not one that it just finishes, nor the cycle that would begin when it ends."""
    found = fit(build(), data, epochs=2, objective={"name": "elbo", "warmup": warmup, "period": period}, quiet=True)
    events = [line["message"] for line in found.history if line["kind"] == "event"]
    assert [message.split(":")[0] for message in events] == ["beta still rises when the run ends"] * told


def test_a_step_with_too_large_a_gradient_is_skipped(data, build):
    """The second of two steps, whose gradient is the larger: what remains is the first."""
    options = {"batch_size": len(data.train), "optimiser": {"lr": 0.3}, "schedule": "constant", "log_every": 1}
    first, second = steepest(fit(build(), data, epochs=2, quiet=True, **options))
    assert second > first
    skipping = fit(build(), data, epochs=2, skip=(first + second) / 2, quiet=True, **options)
    events = [line["message"] for line in skipping.history if line["kind"] == "event"]
    assert f"skipped step 1, epoch 2: a gradient of norm {second:g}" in events
    once = fit(build(), data, epochs=1, quiet=True, **options).model.state_dict()
    assert all(once[name].equal(value) for name, value in skipping.model.state_dict().items())


def test_steps_that_are_all_skipped_end_the_run(data, build):
    said = r"expected a norm of at most 1e-06; got, at step 20, .* after 20 skipped steps in a row: raise training.skip"
    with pytest.raises(TrainingError, match=said):
        fit(build(), data, epochs=50, skip=1e-6, quiet=True)


def steepest(fitted):
    return [line["gradient_norm"] for line in fitted.history if line["kind"] == "train"]


@pytest.mark.parametrize("change", ["width = 31", "depth = 5"])
def test_weights_of_another_model_are_refused(data, build, tmp_path, change):
    """A recipe changed by hand, as another version may: whether a tensor's shape or its name differs."""
    fit(build(), data, epochs=1, run=tmp_path / "run", quiet=True)
    config = tmp_path / "run" / "config.toml"
    key = change.split(" = ")[0]
    config.write_text(re.sub(rf"\b{key} = \d+", change, config.read_text(), count=1))
    with pytest.raises(InputError, match=r"weights of the model that the recipe describes; got others in .*best"):
        load(tmp_path / "run")


class Bare(torch.nn.Module):
    """A loss that is no `Objective`."""

    samples = 1

    def forward(self, trace, beta):
        return -trace.log_w.mean()


def test_a_loss_that_is_no_objective_is_refused(data, build, monkeypatch):
    registry.names("objective")
    monkeypatch.setitem(registry.components._components["objective"], "bare", Bare)
    with pytest.raises(InputError, match=r"got Bare, which has no terms: derive it from flowvae.objectives.Objective"):
        fit(build(), data, epochs=1, objective="bare", quiet=True)


def test_patience_ends_the_run_early(data, build):
    fitted = fit(build(), data, epochs=50, patience=3, optimiser={"lr": 1e-12}, schedule="constant", quiet=True)
    bounds = validations(fitted)
    stale = len(bounds) - 1 - bounds.index(max(bounds))
    assert (fitted.epochs, stale) == (len(bounds), 3)
    assert fitted.epochs < 50
    assert any("no better bound" in record.get("message", "") for record in fitted.history)


@pytest.mark.parametrize(
    ("objective", "every", "epochs"),
    [
        ({}, 1, 4),
        ({"warmup": 6}, 1, 9),
        ({"warmup": 2, "period": 4}, 1, 7),
        ({}, 4, 8),
        ({"warmup": 7}, 4, 12),  # 8 is the first epoch to count, and 10 the third
        ({"warmup": 2, "period": 4}, 3, 9),
    ],
)
def test_patience_does_not_count_epochs_in_which_beta_rises(data, build, objective, every, epochs):
    """Nothing is learned at such a rate: the first validation is the best, and three more epochs count."""
    options = {"patience": 3, "validate_every": every, "optimiser": {"lr": 1e-30}, "objective": objective}
    fitted = fit(build(), data, epochs=50, quiet=True, **options)
    assert (fitted.best_epoch, fitted.epochs) == (every, epochs)


def test_warm_up_and_schedule_follow_their_clocks(data, build):
    phases = [{"epochs": 2}, {"epochs": 2}, {"epochs": 2, "reset": True, "optimiser": {"lr": 0.01}}]
    fitted = fit(
        build(), data, phases=phases, log_every=9, objective={"warmup": 4}, schedule={"name": "cosine"}, quiet=True
    )
    lines = [record for record in fitted.history if record["kind"] == "train"]
    assert [line["phase"] for line in lines] == [0, 0, 1, 1, 2, 2]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["beta"] for line in lines] == pytest.approx([n / 36 for n in (8, 17, 26, 35, 8, 17)])
    rates = [line["lr"] for line in lines]
    assert rates[:2] == pytest.approx(rates[2:4])
    assert [10 * rate for rate in rates[:2]] == pytest.approx(rates[4:])


def test_a_frozen_part_stands_still_and_a_reset_part_starts_again(data, build, tmp_path):
    start = build().state_dict()
    phases = [{"epochs": 2}, {"epochs": 1, "freeze": "encoder", "reset": True, "optimiser": {"lr": 1e-12}}]
    model = build()
    fit(model, data, phases=phases, ema=0.9, run=tmp_path / "run", quiet=True)
    first = fit(build(), data, phases=phases[:1], ema=0.9, run=tmp_path / "first", quiet=True)
    trained = torch.load(tmp_path / "first" / "checkpoint.pt", weights_only=True)["model"]
    assert first.epochs == 2
    for name, value in load(tmp_path / "run", "last").state_dict().items():
        expected = trained if name.startswith("encoder.") else start
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-8, msg=name)
    assert all(p.requires_grad for p in model.parameters())


def test_a_batch_larger_than_the_data_is_all_of_it(data, build):
    small = replace(data, train=data.train.take(50))
    fitted = fit(build(), small, epochs=2, quiet=True)
    assert fitted.steps == 2
    assert "50 data, not 128" in fitted.history[0]["message"]


@pytest.mark.parametrize(
    ("error", "said", "message"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has", "takes 2.50 GiB .*batch"),
        (RuntimeError, "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8589934592 bytes.",
         "takes 8 GiB .*training.batch_size"),
        (RuntimeError, "CUDA error: an illegal memory access was encountered", "^CUDA error: an illegal memory"),
    ],
)  # fmt: skip
def test_a_batch_beyond_memory_names_its_remedy_and_a_crash_stays_one(data, build, error, said, message):
    def fail(module, inputs):
        if len(inputs[0]) > 2:
            raise error(said)

    model = build()
    model.encoder.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError if message[0] == "^" else InputError, match=message):
        fit(model, data, epochs=1, compile="off", quiet=True)


def test_the_folder_says_how_the_run_was_made(data, build, tmp_path):
    run = tmp_path / "runs" / "a"
    fitted = fit(build(), data, epochs=2, run=run, seed=3, tables={"evaluation": {"samples": 7}}, quiet=True)
    config = tomllib.loads((run / "config.toml").read_text())
    assert config["seed"] == 3
    assert config["training"]["epochs"] == 2
    assert config["latents"]["posterior"]["flow"]["name"] == "iaf"
    assert config["objective"]["name"] == "elbo"
    assert config["data"]["binarise"] == "dynamic"
    assert config["evaluation"] == {"samples": 7}
    changed = {"tables": {"evaluation": {"samples": 8}}, "log_every": 3}
    assert fit(build(), data, epochs=2, run=run, seed=3, resume=True, quiet=True, **changed).steps == fitted.steps
    environment = json.loads((run / "environment.json").read_text())
    assert environment["data"]["digest"] == data.digest
    assert environment["data"]["event_shape"] == [1, 8, 8]
    assert read_journal(run / "journal.jsonl") == fitted.history
    assert same_weights(load(run), fitted.model)
    names = {"config.toml", "environment.json", "journal.jsonl", "checkpoint.pt"}
    names |= {f"{which}.safetensors" for which in ("initial", "best", "last")}
    assert {path.name for path in run.iterdir()} == names


def test_a_config_is_a_recipe_of_the_same_run(data, build, tmp_path):
    first = fit(build(), data, epochs=2, clip=5.0, run=tmp_path / "a", quiet=True)
    config = tomllib.loads((tmp_path / "a" / "config.toml").read_text())
    parts = {part: config[part] for part in ("objective", "optimiser", "schedule")}
    again = fit(build(), data, seed=config["seed"], **config["training"], **parts, run=tmp_path / "b", quiet=True)
    assert same_weights(first.model, again.model)


def test_a_finished_run_returns_at_once_and_says_so(data, build, tmp_path, capsys):
    first = fit(build(), data, epochs=2, run=tmp_path / "run", quiet=True)
    again = fit(build(), data, epochs=2, run=tmp_path / "run", resume=True)
    assert "this run was finished before" in capsys.readouterr().err
    assert same_weights(first.model, again.model)
    assert again.history == first.history
    assert (again.best_elbo, again.steps) == (first.best_elbo, first.steps)


def test_a_finished_run_that_has_lost_its_weights_has_them_again(data, build, tmp_path):
    first = fit(build(), data, epochs=1, run=tmp_path / "run", quiet=True)
    (tmp_path / "run" / "best.safetensors").unlink()
    fit(build(), data, epochs=1, run=tmp_path / "run", resume=True, quiet=True)
    assert same_weights(load(tmp_path / "run"), first.model)


def test_what_does_not_fit_is_refused_with_its_remedy(data, build, tmp_path):
    fit(build(), data, epochs=1, run=tmp_path / "run", quiet=True)
    with pytest.raises(InputError, match=r"expected an empty folder.*resume it"):
        fit(build(), data, epochs=1, run=tmp_path / "run", quiet=True)
    with pytest.raises(InputError, match=r"expected training\.epochs = 1 as in the run .*; got 2"):
        fit(build(), data, epochs=2, run=tmp_path / "run", resume=True, quiet=True)
    with pytest.raises(InputError, match=r"expected optimiser\.lr = 0\.001"):
        fit(build(), data, epochs=1, optimiser={"lr": 0.1}, run=tmp_path / "run", resume=True, quiet=True)
    for name, other in (("scale", 32.0), ("cells", 17), ("flip", True)):  # the same bytes, another x
        changed = replace(data, train=replace(data.train, **{name: other}))
        with pytest.raises(InputError, match=rf"expected data\.{name} = .* as in the run"):
            fit(build(), changed, epochs=1, run=tmp_path / "run", resume=True, quiet=True)
    with pytest.raises(InputError, match=r"training\.epoch: no such option; did you mean 'epochs'\?"):
        fit(build(), data, epoch=1, quiet=True)
    with pytest.raises(InputError, match=r"training\.batch_size: expected greater than or equal to 1; got 0"):
        fit(build(), data, epochs=1, batch_size=0, quiet=True)
    with pytest.raises(InputError, match=r"the sum over the phases, 3"):
        fit(build(), data, epochs=4, phases=[{"epochs": 3}], quiet=True)
    with pytest.raises(InputError, match=r"freeze: .*'encode'; did you mean 'encoder"):
        fit(build(), data, phases=[{"epochs": 1, "freeze": ["encode"]}], quiet=True)
    with pytest.raises(InputError, match="expected data of shape"):
        fit(build_model({}, (5,)), data, epochs=1, quiet=True)
    with pytest.raises(InputError, match=r"no config\.toml"):
        load(tmp_path)
    real = replace(data, support="real")
    with pytest.raises(InputError, match=r"expected values in \[0, 1\]"):
        fit(build(), real, epochs=1, quiet=True)


def test_only_a_run_that_is_there_is_resumed(data, build, tmp_path):
    run, notes = tmp_path / "run", tmp_path / "notes"
    notes.mkdir()
    (notes / "todo.txt").touch()
    options = {"epochs": 2, "quiet": True}
    with pytest.raises(InputError, match=r"expected the folder of a run to resume; got '.*run', which does not exist"):
        fit(build(), data, run=run, resume=True, **options)
    with pytest.raises(
        InputError, match=r"got '.*notes', which holds no config\.toml: check the path, or leave resume"
    ):
        fit(build(), data, run=notes, resume=True, **options)
    with pytest.raises(InputError, match=r"got '.*notes', which holds files: choose another"):
        fit(build(), data, run=notes, **options)
    with pytest.raises(InputError, match="got run=None"):
        fit(build(), data, resume=True, **options)
    with pytest.raises(InputError, match="False, True or 'auto'; got 'maybe'"):
        fit(build(), data, run=run, resume="maybe", **options)
    assert not run.exists()
    begun = fit(build(), data, run=run, resume="auto", **options)
    assert fit(build(), data, run=run, resume="auto", **options).history == begun.history
    (run / "checkpoint.pt").unlink()
    kept = (run / "best.safetensors").read_bytes()
    for resume in (True, "auto"):
        with pytest.raises(InputError, match=r"whose checkpoint\.pt is gone: train into another folder"):
            fit(build(), data, run=run, resume=resume, **options)
    assert (run / "best.safetensors").read_bytes() == kept


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_again(data, build, tmp_path):
    whole = fit(build(), data, epochs=1, run=tmp_path / "whole", quiet=True)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    for name in ("config.toml", "environment.json", "initial.safetensors"):
        (stopped / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    assert same_weights(fit(build(), data, epochs=1, run=stopped, resume=True, quiet=True).model, whole.model)


def test_what_cannot_work_is_refused_before_anything_is_written(data, build, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(InputError, match="closed form"):
        fit(build(), data, epochs=1, objective={"kl": "analytic"}, run=run, quiet=True)
    with pytest.raises(InputError, match="freeze less"):
        fit(build(), data, phases=[{"epochs": 1, "freeze": ["encoder", "latents", "likelihood"]}], run=run, quiet=True)
    assert not run.exists()


@pytest.mark.parametrize("part", [{"encoder": {"norm": "batch"}}, {"likelihood": {"decoder": {"norm": "batch"}}}])
def test_one_datum_a_batch_cannot_be_normalised(data, tmp_path, part):
    run, model = tmp_path / "run", build_model(part, data)
    for train in (partial(fit, run=run, quiet=True), bench):
        with pytest.raises(InputError, match=r"expected at least 2 data in a batch .*: raise training\.batch_size, or"):
            train(model, data, epochs=1, batch_size=1)
    assert not run.exists()


def test_the_files_of_a_run_are_in_utf_8_whatever_the_locale(data, build, tmp_path, monkeypatch):
    write = Path.write_text

    def of_the_locale(self, text, encoding="ascii", **options):
        return write(self, text, encoding, **options)

    monkeypatch.setattr(Path, "write_text", of_the_locale)
    fit(build(), replace(data, spec={"name": "données"}), epochs=1, run=tmp_path / "run", quiet=True)
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text(encoding="utf-8"))
    assert config["data"]["name"] == "données"


def test_notices_go_to_standard_error_and_quiet_says_nothing(data, build, capfd):
    small = replace(data, train=data.train.take(50))
    fit(build(), small, epochs=1)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "the batch is the whole training split" in shown.err
    fit(build(), small, epochs=1, quiet=True)
    assert capfd.readouterr() == ("", "")


def test_the_bar_shows_epochs_bounds_and_speed(data, build, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if on a terminal
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    fit(build(), data, epochs=2, log_every=3)
    shown = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", capfd.readouterr().err)
    assert "epoch 2/2" in shown
    assert re.search(r"train -\d+\.\d\d  validation -\d+\.\d\d  [\d,]+/s", shown)
