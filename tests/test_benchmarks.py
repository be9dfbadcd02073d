"""The benchmarks: what is timed, what is divided by what, and that every contestant runs."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import __main__ as main
from benchmarks import contests, gate, pictures, table
from benchmarks.contestants import (
    Place,
    by_hand,
    flows,
    ladders,
    sequences_by_hand,
    sequences_with_flowvae,
    with_flowvae,
)
from benchmarks.settings import QUICK, Settings

ROOT = Path(__file__).parents[1]

CONTEST = {
    "name": "train-vae",
    "title": "Training",
    "unit": "data",
    "flop": 2e6,
    "yardsticks": {"pythae": "÷ pythae", "plain": "÷ loop"},
    "entries": [
        {"name": "pythae", "label": "pythae", "peak": "sgemm"},
        {"name": "flowvae", "label": "flowvae", "peak": "sgemm"},
        {"name": "sgemm", "label": "matrix products, fp32", "peak": "sgemm"},
    ],
    "rounds": [
        {"pythae": 10_000, "flowvae": 30_000, "sgemm": 100e9},
        {"pythae": 20_000, "flowvae": 30_000, "sgemm": 200e9},
        {"pythae": 10_000, "flowvae": 20_000, "sgemm": 80e9},
    ],
}


def results(*contests: dict) -> list[dict]:
    settings = {name: getattr(QUICK, name) for name in QUICK.__dataclass_fields__}
    memory = {
        "flow": True, "samples": 5000, "points": 40, "budget_mib": 256, "before_mib": 400.2, "ready_mib": 450.2,
        "peak_mib": 512.4,
    }  # fmt: skip
    made = {
        "date": "2026-01-31T00:00:00", "command": "python -m benchmarks", "commit": "0123456789abcdef",
        "changed_files": 0, "machine": {"processor": "P", "cores": 2, "memory_gib": 8, "load": 0.01},
        "versions": {"python": "3.11", "pythae": None},
    }  # fmt: skip
    found = [{"memory": [memory]}, *({"contest": contest} for contest in contests)]
    return [result | {"settings": settings, "provenance": made} for result in found]


def rows(text: str) -> dict[str, list[str]]:
    """The cells of every line of every table under its head, by its first."""
    lines = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in lines if first not in ("", "MiB", "---")}


def test_ratios_are_taken_within_rounds() -> None:
    # 3, 1.5 and 2: the median of the ratios, not 3 = the ratio of the medians
    assert table.ratio(CONTEST, "flowvae", "pythae") == table.Summary(2.0, 1.5, 3.0)
    assert table.speed(CONTEST, "flowvae") == table.Summary(30_000, 20_000, 30_000)
    assert table.of_peak(CONTEST, "flowvae", "sgemm") == table.Summary(0.5, 0.3, 0.6)


def test_table_shows_every_entry_and_leaves_out_yardsticks_that_did_not_run() -> None:
    text = table.report(results(CONTEST))
    assert rows(text)["flowvae"] == ["30,000 (20,000–30,000)", "2.00 (1.50–3.00)", "50% (30%–60%)"]
    assert rows(text)["pythae"] == ["10,000 (10,000–20,000)", "1", "20% (20%–25%)"]
    assert "÷ loop" not in text
    assert "matrix products, fp32 100 (80–200) GFLOP/s" in text
    assert rows(text)["with IAF"] == ["5,000", "40", "256", "62", "50", "400"]
    assert "pythae None" not in text
    assert "train-vae, memory: `python -m benchmarks` at commit 0123456789 on 2026-01-31; P, 2 cores" in text
    assert text.count("How it was measured") == text.count("at commit") == 1


def test_table_goes_into_the_marked_block_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n")
    for _ in range(2):
        table.fill(page, "new")
        assert page.read_text() == "before\n<!-- benchmarks -->\n\nnew\n\n<!-- /benchmarks -->\nafter\n"
    page.write_text("no block\n")
    with pytest.raises(SystemExit, match="add them"):
        table.fill(page, "new")


def test_a_slice_is_whole_steps_without_what_went_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(gate.time, "perf_counter", lambda: clock[0])
    answers = io.StringIO()
    passing = gate.Gate(io.StringIO("2.5\n0.5\n"), answers)
    clock[0] = 100.0  # imports and compilation
    for _ in range(4):  # three steps of a second fill 2.5 s, one fills half a second
        passing(128)
        clock[0] += 1.0
    with pytest.raises(SystemExit):
        passing(128)
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert found == [{"work": 384, "seconds": 3.0}, {"work": 128, "seconds": 1.0}]


def test_work_is_that_of_the_matrix_products() -> None:
    s = Settings()
    assert s.training_flop(False) == pytest.approx(7.2e6, rel=0.01)
    assert s.training_flop(True) == pytest.approx(10.4e6, rel=0.01)
    assert s.evaluation_flop(False) == pytest.approx(1.3e6, rel=0.02)
    assert s.evaluation_flop(True) == pytest.approx(2.4e6, rel=0.02)


def test_work_of_a_ladder_is_three_passes_of_its_convolutions() -> None:
    """Forward, and backward to weights and inputs, but for the data; a wider ladder works more, in its square."""
    model, x = ladders.build(QUICK), torch.zeros(1, 1, QUICK.side, QUICK.side)
    with FlopCounterMode(display=False) as counter:
        model(x)
    forward = counter.get_total_flops()
    assert 2.5 * forward < ladders.flop(QUICK) <= 3 * forward
    assert ladders.flop(replace(QUICK, maps=8)) > 2 * ladders.flop(QUICK)


def test_sequences_have_the_same_weights(place: Place) -> None:
    """But for the unknown token, which flowvae adds: a row of each embedding, and one of the head."""
    data = sequences_with_flowvae.load(place)
    ours, theirs = sequences_with_flowvae.build(QUICK, data), sequences_by_hand.VAE(QUICK)
    count, other = (sum(p.numel() for p in model.parameters()) for model in (ours, theirs))
    assert count == other + 2 * QUICK.embedding + QUICK.recurrent + 1
    x = data.train.batch(torch.arange(4))
    assert (x[..., 0] > 0).all()


@pytest.mark.parametrize("flow", [False, True])
def test_contestants_have_the_same_weights(place: Place, flow: bool) -> None:
    def weights(model: torch.nn.Module) -> int:
        return sum(p.numel() for p in model.parameters() if p.ndim == 2)

    models = [with_flowvae.build(QUICK, with_flowvae.load(place), flow), by_hand.VAE(QUICK, flow)]
    if find_spec("pythae"):
        models.append(import_module("benchmarks.contestants.with_pythae").build(QUICK, flow))
    assert [weights(model) for model in models] == [QUICK.weights(flow)] * len(models)


def test_loop_by_hand_learns_and_its_flow_looks_back_only(place: Place) -> None:
    net = by_hand.MADE(4, 16, reverse=False)
    jacobian = torch.autograd.functional.jacobian(net, torch.randn(4))
    assert not jacobian[:4].triu().any()
    assert jacobian[:4].tril(-1).any()
    x = pictures.bits(pictures.read(place.data, "train")[:256])
    model = by_hand.VAE(QUICK, flow=True)
    before, optimiser = model.loss(x).item(), torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        model.loss(x).backward()
        optimiser.step()
    after = model.loss(x).item()
    assert after < before - 10
    assert model.log_likelihood(x, 50).mean().item() > -after


@pytest.mark.parametrize("library", ["flowvae", *contests.LIBRARIES])
def test_flows_are_bijections_with_the_same_weights(library: str) -> None:
    """Autoregressive in alternating orders, with the log-determinant of their Jacobian, and back."""
    pytest.importorskip(library)
    flow = flows.built(QUICK, library)
    assert sum(p.numel() for p in flow.module.parameters() if p.ndim == 2) == QUICK.flow_weights(QUICK.flow_dim)
    x = torch.randn(5, QUICK.flow_dim)
    with torch.no_grad():
        y, ladj = flow.fast(x)
        torch.testing.assert_close(flow.slow(y), x, rtol=1e-4, atol=1e-5)
    derivative = torch.autograd.functional.jacobian(lambda t: flow.fast(t[None])[0][0], x[0])
    torch.testing.assert_close(torch.linalg.slogdet(derivative)[1], ladj[0], rtol=1e-4, atol=1e-4)
    assert (derivative != 0).sum() > QUICK.flow_dim * (QUICK.flow_dim + 1) / 2  # more than one triangle


ENTRIES = [
    *[(entry, {"flow": True}) for entry in (*contests.TRAINING, *contests.EVALUATION)],
    *[(entry, {"points": 8}) for entry in (*contests.INVERSION, *contests.FORWARD_BACKWARD)],
    *[(entry, {}) for entry in (*contests.SEQUENCES, *contests.DECODING, *contests.LADDERS)],
]


@pytest.mark.parametrize(("entry", "of_contest"), ENTRIES, ids=lambda e: getattr(e, "function", ""))
def test_every_contestant_runs_slice_by_slice(place: Place, entry: contests.Entry, of_contest: dict) -> None:
    if not entry.available:
        pytest.skip(f"{entry.name} is not installed")
    module, name = entry.function.split(".")
    options = dict(entry.options)
    if module == "peak":
        options["dtype"] = getattr(torch, options["dtype"])
    else:
        options |= of_contest
    with pytest.raises(SystemExit):
        getattr(import_module(f"benchmarks.contestants.{module}"), name)(place, **options)
    found = [json.loads(line) for line in place.gate.answers.getvalue().splitlines()]
    assert len(found) == 2
    assert all(answer["work"] > 0 and answer["seconds"] > 0 for answer in found)


def test_contests_go_without_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contests, "find_spec", lambda name: None)
    found = contests.contests(QUICK)
    flows_alone = ["inversion-one", "inversion", "flow-forward-backward"]
    assert [contest.name for contest in found] == [
        "train-vae", "train-sequences", "train-ladder", "train-iaf", *flows_alone, "evaluate-vae", "evaluate-iaf",
        "decode-sequences",
    ]  # fmt: skip
    assert not {entry.package for contest in found for entry in contest.entries} - {None}


@pytest.mark.parametrize("native", [True, False])
def test_emulated_bfloat16_is_left_out_and_its_results_kept_apart(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    for module in (contests, main):
        monkeypatch.setattr(module, "NATIVE", native)
    found = contests.contests(QUICK)
    assert any(entry.peak == "bgemm" for contest in found for entry in contest.entries) == native
    assert all(contest.title.endswith("without bfloat16") != native for contest in found)
    outs: list[Path | None] = []
    monkeypatch.setattr(main, "measure", lambda settings, only, command, out: outs.append(out) or [])
    monkeypatch.setattr(main.table, "report", lambda results: "")
    main.main(["--only", "train-vae"])
    assert outs == [main.RESULTS if native else main.RESULTS / "no-bf16"]


def test_quick_run_in_processes(tmp_path: Path) -> None:
    run_quick(tmp_path, "evaluate-vae")


@pytest.mark.slow
def test_all_of_a_quick_run(tmp_path: Path) -> None:
    run_quick(tmp_path)


def run_quick(folder: Path, *only: str) -> None:
    chosen = ["--only", *only] if only else []
    shown = command("--quick", *chosen, "--out", str(folder))
    assert command("table", str(folder)) == shown
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    memory = found.pop("memory", {"memory": []})["memory"]
    assert list(only) in ([], list(found))
    for result in found.values():
        contest = result["contest"]
        labels = [entry["label"] for entry in contest["entries"] if entry["name"] != entry["peak"]]
        assert "flowvae" in labels
        assert list(rows(table.contest_table(contest))) == labels
        assert len(contest["rounds"]) == 2
    assert [record["flow"] for record in memory] == ([] if only else [False, False, True, True])
    assert all(record["peak_mib"] >= record["ready_mib"] > 0 for record in memory)


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Tiny nets and data, and commands for two short slices."""
    settings = replace(QUICK, rows=256)
    pictures.write(tmp_path / "pictures.npz", settings)
    return Place(settings, tmp_path / "pictures.npz", tmp_path, gate.Gate(io.StringIO("0\n0.01\n"), io.StringIO()))
