"""Commands on runs of sequences: print, JSON lines, walks, proposals, and what is refused."""

import json
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowvae import InputError, build_model
from flowvae.cli import main
from flowvae.data import Split, load_data
from flowvae.data.grammar import is_valid
from flowvae.evaluation import proposals
from flowvae.runs import open_run

SMALL = (
    "data.count=300", "encoder.width=16", "likelihood.decoder.width=16", "latents.dim=3", "training.epochs=2",
    "objective.warmup=0", "evaluation.samples=10",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run on the grammar, trained and evaluated."""
    folder = tmp_path_factory.mktemp("sequences") / "run"
    changes = [argument for change in SMALL for argument in ("--set", change)]
    assert main(["train", "grammar", "--out", str(folder), "--quiet", *changes]) == 0
    assert main(["evaluate", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture
def said(run: Path, capsys: pytest.CaptureFixture[str]):
    """``said("sample", "-n", 3)`` are the lines that a command on the run prints."""

    def call(command: str, *arguments: object) -> list[str]:
        capsys.readouterr()
        assert main([command, str(run), *map(str, arguments)]) == 0
        return capsys.readouterr().out.splitlines()

    return call


def test_samples_are_printed_and_can_be_read_again(run: Path, said) -> None:
    schema = open_run(run).schema
    assert schema is not None
    lines = said("sample", "-n", 5)
    assert len(lines) == 5
    assert [schema.text(schema.parse(line)) for line in lines] == lines
    assert said("sample", "-n", 3) == lines[:3]
    greedy, best = said("sample", "-n", 5, "--decode", "greedy"), said("sample", "-n", 5, "--decode", "beam:3")
    assert greedy == said("sample", "-n", 5, "--decode", "sample:0")
    assert len(best) == 5


def test_json_lines_and_arrays(run: Path, said, tmp_path: Path) -> None:
    printed = said("sample", "-n", 4)
    said("sample", "-n", 4, "-o", tmp_path / "s.jsonl")
    records = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [record["sequence"] for record in records] == printed
    assert all(isinstance(is_valid(record["steps"]), bool) for record in records)
    said("sample", "-n", 4, "-o", tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays["samples"].shape == (4, 17, 2)


def test_reconstructions_tell_their_distance(run: Path, said, tmp_path: Path) -> None:
    lines = said("reconstruct", "-n", 3)
    assert [line.split()[0] if line else "" for line in lines] == ["original", "decoded", "distance", ""] * 2 + [
        "original", "decoded", "distance",
    ]  # fmt: skip
    said("reconstruct", "-n", 3, "-o", tmp_path / "r.jsonl")
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [str(record["distance"]) for record in records] == [line.split()[1] for line in lines[2::4]]
    assert [record["original"] for record in records] == [line.split(maxsplit=1)[1] for line in lines[::4]]


def test_a_walk_begins_and_ends_at_its_ends(said) -> None:
    there, back = said("interpolate", 0, "linear:30", "-n", 5), said("interpolate", "linear:30", 0, "-n", 5)
    assert len(there) == 5
    assert there == back[::-1]


def test_a_sequence_that_is_a_number_is_told_from_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numbers.txt").write_text("\n".join("0123"[n % 4] for n in range(200)))
    folder = str(tmp_path / "run")
    arguments = ["--data", str(tmp_path / "numbers.txt"), "--out", folder, "--quiet", "--set", "training.epochs=1"]
    assert main(["train", "tokens", *arguments]) == 0
    schema, ends = open_run(folder).schema, []
    assert schema is not None

    def walk(model: object, split: Split, *args: object, **options: object) -> torch.Tensor:
        ends.append([schema.text(x) for x in split.values.numpy()])
        return split.values

    monkeypatch.setattr("flowvae.evaluation.walk.interpolate", walk)
    rows = [schema.text(x) for x in load_data(tmp_path / "numbers.txt").test.values.numpy()[:4]]
    assert rows != ["0", "1", "2", "3"]
    for number in range(4):
        assert main(["interpolate", folder, f" {number}", str(number)]) == 0
    assert ends == [[str(number), rows[number]] for number in range(4)]


def test_a_text_is_encoded_and_scored(run: Path, said, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("linear:30\nconv:8 flatten linear:10\n")
    said("encode", "--data", tmp_path / "x.txt", "-o", tmp_path / "z.npz")
    with np.load(tmp_path / "z.npz") as arrays:
        assert arrays["mean"].shape == (2, 3)
    said("score", "--data", tmp_path / "x.txt", "-o", tmp_path / "p.csv")
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3


def test_a_report_shows_sequences(run: Path, tmp_path: Path) -> None:
    with np.load(run / "samples.npz") as arrays:
        assert arrays["samples"].dtype.kind == "U"
    assert main(["report", str(run), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert f"Samples of {run.name}" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "-o", "x.png"], "ends in .jsonl or .npz"),
        (["sample", "--decode", "beam"], "expected a way to decode"),
        (["sample", "--decode", "sample:inf"], "expected a way to decode"),
        (["sample", "--decode", "greedy", "-o", "x.npz"], "expected --decode for sequences in print"),
        (["interpolate", "lineer:3", "0"], "did you mean 'linear'"),
        (["interpolate", "0", "9999"], "expected a row below 30; got 9999"),
        (["optimise"], "expected labels to predict; got data without"),
        (["encode", "--data", "bad.txt", "-o", "z.npz"], "bad.txt, sequence 2: expected a type; got 'gru'"),
    ],
)
def test_what_cannot_be_done_is_said(run: Path, refused, arguments: list[str], message: str) -> None:
    Path("bad.txt").write_text("linear:3\ngru\n")
    command, *rest = arguments
    assert message in refused(command, run, *rest)


def test_pictures_want_a_file(trained: Path, refused) -> None:
    assert "name it with -o grid.png" in refused("sample", trained)
    assert "expected --decode for sequences" in refused("sample", trained, "--decode", "greedy", "-o", "x.png")
    assert "only sequences can be written" in refused("interpolate", trained, "abc", "0", "-o", "x.png")
    decoded = refused("interpolate", trained, "0", "1", "-o", "x.png", "--decode", "greedy")
    assert "expected --decode for sequences; got a run on other data" in decoded


def test_a_walk_may_be_between_rows_of_a_file(trained: Path, grey: Path, tmp_path: Path) -> None:
    """The rows of the file are those of the split, in its order."""
    ends = [str(trained), "3", "7", "-n", "4"]
    assert main(["interpolate", *ends, "-o", str(tmp_path / "own.png")]) == 0
    assert main(["interpolate", *ends, "--data", str(grey), "-o", str(tmp_path / "file.png")]) == 0
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "file.png").read_bytes()
    assert main(["interpolate", *ends, "--split", "train", "-o", str(tmp_path / "other.png")]) == 0
    assert (tmp_path / "own.png").read_bytes() != (tmp_path / "other.png").read_bytes()


@pytest.mark.parametrize(("points", "across"), [(8, 8), (13, 7), (30, 10)])
def test_a_walk_between_pictures_is_a_picture(trained: Path, tmp_path: Path, points: int, across: int) -> None:
    path = tmp_path / "walk.png"
    assert main(["interpolate", str(trained), "0", "1", "-o", str(path), "-n", str(points)]) == 0
    with Image.open(path) as picture:
        tiles = picture.width / picture.height * (9 * ceil(points / across) - 1)
    assert round(tiles) == 9 * across - 1


@pytest.fixture(scope="module")
def architectures(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on architectures of a few steps."""
    changes = [*(c for c in SMALL if not c.startswith("data")), "training.epochs=1", "training.batch_size=4000"]
    arguments = [argument for change in changes for argument in ("--set", change)]
    folder = tmp_path_factory.mktemp("architectures") / "run"
    arguments += ["--data-dir", str(shared_data), "--quiet"]
    assert main(["train", "architectures", "--out", str(folder), *arguments]) == 0
    return folder


@pytest.mark.parametrize(("search", "method"), [("bayesian", "gp"), ("gradient", "ridge")])
def test_proposals_are_different_and_predicted(
    search: str, method: str, architectures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.jsonl"
    options = ["--points", "60", "-n", "3", "--search", search, "--method", method, "--decode", "sample"]
    assert main(["optimise", str(architectures), "-o", str(out), *options]) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({record["sequence"] for record in records}) == len(records) == 3
    assert all(0.69 < record["predicted"] < 0.77 for record in records)
    assert "Pearson r" in capsys.readouterr().err


def test_several_groups_of_latents_are_no_space_to_search(shared_data: Path) -> None:
    """A graph's nodes too, which the decoder sees side by side in an order of its own."""
    data = load_data({"name": "architectures", "dir": str(shared_data)})
    latents = {"name": "graph", "nodes": 2, "dim": 2, "gates": "open", "order": "reversed"}
    model = build_model({"encoder": "rnn", "latents": latents, "likelihood": "sequence"}, data)
    with pytest.raises(InputError, match="expected one group of latents to search in; got several"):
        proposals.optimise(model, data, 2, points=8)


def test_a_proposal_that_is_in_the_data_has_its_true_label(
    architectures: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded to a datum whatever the point, the only proposal has that datum's accuracy."""
    data = load_data({"name": "architectures", "dir": str(shared_data)})
    model = open_run(architectures).model
    x = data.test.batch(torch.tensor([7]))
    monkeypatch.setattr(proposals, "decode", lambda model, z, **options: x.expand(len(z), *x.shape[1:]))
    found = proposals.optimise(model, data, 2, points=40)
    assert data.test.labels is not None
    assert [proposal.true for proposal in found.proposals] == [pytest.approx(data.test.labels[7].item())]


def test_a_run_from_a_column_reads_tables_and_texts(tmp_path: Path) -> None:
    lines = ["C C O", "C O", "O O C", "C", "O C", "C C"] * 5
    (tmp_path / "lines.csv").write_text("name,text\n" + "".join(f"n,{line}\n" for line in lines))
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    (tmp_path / "only.csv").write_text("other\n" + "\n".join(lines))
    run, table = str(tmp_path / "run"), str(tmp_path / "lines.csv")
    changes = [a for change in ("data.column=text", "training.epochs=1") for a in ("--set", change)]
    assert main(["train", "tokens", "--data", table, "--out", run, "--quiet", *changes]) == 0
    for file, column in (("lines.csv", ""), ("lines.txt", ""), ("only.csv", "other")):
        change = ["--set", f"data.column={column}"] if column else []
        out = tmp_path / f"{file}.scores.csv"
        assert (
            main(["score", run, "--data", str(tmp_path / file), "-o", str(out), "--samples", "2", "--quiet", *change])
            == 0
        )
        assert len(out.read_text().splitlines()) == 31
