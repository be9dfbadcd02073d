import json
from pathlib import Path

import numpy as np
import pytest

from flowvae.errors import InputError
from flowvae.report.curves import read_history
from flowvae.report.runs import Run, read_runs


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def validation(step: int, elbo: float, **more: object) -> dict:
    return {
        "kind": "validation",
        "step": step,
        "epoch": step,
        "elbo": elbo,
        "rate": 1.0,
        "distortion": -elbo - 1,
    } | more


def missing(run: Run) -> dict[str, str]:
    return {item.what: item.command for item in run.missing}


def test_complete_run_misses_nothing(make_run, tmp_path: Path) -> None:
    (run,) = read_runs([make_run(tmp_path / "iaf")])
    assert run.missing == ()
    assert run.epochs == (40, 40)
    assert run.samples is not None
    assert run.samples.shape == (64, 1, 8, 8)


def test_missing_parts_are_named_with_the_command_that_makes_them(make_run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "my run", stop=17, without=("evaluation.json", "samples.npz", "best.safetensors"))
    (run,) = read_runs([folder])
    named = missing(run)
    assert named["samples"] == f"flowvae evaluate '{folder}'"
    assert named["epochs 18 to 40 of the training"].endswith(f"--out '{folder}' --resume")
    assert "trained weights" in named
    assert "reconstructions" not in named


def test_commands_that_make_missing_parts_load_the_plugins(make_run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", stop=17, without=("evaluation.json",))
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(environment | {"plugins": ["/my own.py"]}))
    (run,) = read_runs([folder])
    assert {said.command.partition(" --plugin ")[2] for said in run.missing} == {"'/my own.py'"}


def test_torn_files_count_as_missing(make_run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "torn")
    for name in ("evaluation.json", "samples.npz"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    (run,) = read_runs([folder])
    assert run.evaluation is None
    assert run.samples is None


def test_arrays_are_never_unpickled(make_run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "pickle")
    np.savez(folder / "samples.npz", samples=np.array([{"code": 1}], dtype=object))
    assert read_runs([folder])[0].samples is None


def test_early_stopping_is_no_missing_epoch(make_run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "early", stop=17)
    event = {"kind": "event", "message": "phase 1 ended: no better bound on validation for 5 epochs", "step": 17 * 12}
    with (folder / "journal.jsonl").open("a") as file:
        file.write(lines(event))
    (run,) = read_runs([folder])
    assert run.missing == ()
    assert event["message"] in run.history.events


def test_damaged_lines_are_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole, torn = lines(validation(1, -9.0)), '{"kind": "valid'
    for text, damaged, cut_short in (
        (whole + torn, (2,), True),
        (f"{torn}\n{whole}[1]\n{whole}", (1, 3), False),
        (f"{torn}\n{whole}{torn}", (1, 3), False),
    ):
        path.write_text(text)
        history = read_history(path)
        assert history.validation.elbo.tolist() == [-9.0]
        assert (history.damaged, history.cut_short) == (damaged, cut_short)


def test_damaged_journal_is_missing_in_part(make_run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    journal = folder / "journal.jsonl"
    good = journal.read_text()
    journal.write_text(good.replace("{", "", 1))
    (run,) = read_runs([folder])
    assert missing(run)["line 1 of journal.jsonl, which cannot be read"].endswith(f"--out {folder}-again")
    journal.write_text(good + '{"kind": "valid')
    (run,) = read_runs([folder])
    assert [item.command.rpartition(" ")[2] for item in run.missing] == ["--resume"]


def test_step_told_twice_takes_the_later_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(lines(*(validation(s, -float(s)) for s in (1, 2, 3)), validation(2, -20.0), validation(3, -30.0)))
    assert read_history(path).validation.elbo.tolist() == [-1.0, -20.0, -30.0]


def test_training_records_are_averaged_by_epoch_and_the_last_best_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    train = [
        {"kind": "train", "step": s, "epoch": (s + 1) // 2, "elbo": -float(s), "rate": 1, "distortion": s - 1.0}
        for s in range(1, 5)
    ]
    path.write_text(lines(*train, validation(1, -3.0, best=True), validation(2, -2.0, best=True), validation(3, -5.0)))
    history = read_history(path)
    assert history.train.epoch.tolist() == [1, 2]
    assert history.train.elbo.tolist() == [-1.5, -3.5]
    assert history.validation.best == 1


def test_names_are_unique_and_seeds_share_a_group(make_run, tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name) for name in ("a/iaf/seed-0", "a/iaf/seed-1", "b/iaf/seed-0", "other")]
    runs = read_runs([*folders, folders[0]])
    assert [run.name for run in runs] == ["a/iaf/seed-0", "a/iaf/seed-1", "b/iaf/seed-0", f"{tmp_path.name}/other"]
    assert [run.group for run in runs][:3] == ["a/iaf", "a/iaf", "b/iaf"]
    assert read_runs(folders[:2])[0].group == "iaf"


@pytest.mark.parametrize("kind", ["absent", "empty", "broken"])
def test_folder_that_is_no_run_is_refused_with_the_remedy(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "run"
    if kind != "absent":
        folder.mkdir()
    if kind == "broken":
        (folder / "config.toml").write_text("seed = = 1")
    with pytest.raises(InputError, match=r"run.*flowvae train RECIPE --out RUN"):
        read_runs([folder])
