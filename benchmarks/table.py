"""Results as Markdown: medians with their range over the rounds, and ratios within a round."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

BLOCK = re.compile(r"(?<=^<!-- benchmarks -->\n).*?(?=^<!-- /benchmarks -->$)", re.MULTILINE | re.DOTALL)

NOTES = """\
How it was measured. Every contestant is a process that stays alive, with {threads} threads. In a round each runs for \
{slice:g} s (on to the end of a step; in evaluation, for one pass over all data) while the others sleep; when all have \
had their turn, the next round begins. Imports, compilation, and {settle:g} s before each slice of training are left \
out; so are validation and saving. Medians, and ranges over the rounds; a ratio is taken within each round before its \
median is. The peak is that of square matrix products of side {square} in the same round, in bf16 for what is computed \
in bf16-mixed, else in fp32; of a ladder, that of 3 x 3 convolutions. Work counts dense matrix products and \
convolutions alone, masked weights included; in evaluation, those of decoder and flow.

What is compared. The same nets (ReLU, as pythae's flow has no other; the flow without the encoder's context, as \
pythae's takes none), Adam, Bernoulli likelihood. flowvae and the loops binarise every batch; pythae does not, and is \
spared that work. Its `get_nll` runs without gradients, with its default batch size of 100 and, faster, with all \
samples of a datum in a batch; it encodes a datum once a sample, as it comes. `fv.evaluate` runs compiled, as it does \
by itself when there is much to evaluate, and yields more than log p(x): bound, KL terms, effective sample sizes. \
Memory is what the process holds at the peak of an evaluation over what it holds after one of a single sample, which \
loads the libraries. The ladder of a loop is made of our own modules, without their start from data; of ours, one is \
compiled, as a long run is by itself.

Flows alone are the steps of each library with its own affine update, in alternating orders, with ReLU. Forward and \
backward is the loss of a normalising flow, with gradients to points and parameters. The work of an inversion counts \
as that of one pass. The last layers of our flow are scaled up, so that iteration has as much to do as after training.
"""


@dataclass(frozen=True)
class Summary:
    """Median, least and most of some numbers."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        return cls(median(values), min(values), max(values))

    def text(self, form: str = ",.0f") -> str:
        """``1.31 (1.25–1.40)``."""
        return f"{self.median:{form}} ({self.least:{form}}–{self.most:{form}})"


def speed(contest: dict[str, Any], name: str) -> Summary:
    """Work a second of an entry, over the rounds."""
    return Summary.of([speeds[name] for speeds in contest["rounds"]])


def ratio(contest: dict[str, Any], name: str, to: str) -> Summary:
    """The speed of ``name`` divided by that of ``to`` in the same round."""
    return Summary.of([speeds[name] / speeds[to] for speeds in contest["rounds"]])


def of_peak(contest: dict[str, Any], name: str, peak: str) -> Summary:
    """Floating-point operations a second, as a fraction of the peak of the same round."""
    return Summary.of([speeds[name] * contest["flop"] / speeds[peak] for speeds in contest["rounds"]])


def contest_table(contest: dict[str, Any]) -> str:
    """One contest: a line an entry, a column a yardstick."""
    labels = {entry["name"]: entry["label"] for entry in contest["entries"]}
    peaks = [entry["name"] for entry in contest["entries"] if entry["peak"] == entry["name"]]
    yardsticks = {name: title for name, title in contest["yardsticks"].items() if name in labels}
    head = ["", f"{contest['unit']}/s", *yardsticks.values(), "of the peak"]
    lines = []
    for entry in contest["entries"]:
        name = entry["name"]
        if name in peaks:
            continue
        ratios = ["1" if to == name else ratio(contest, name, to).text(".2f") for to in yardsticks]
        share = of_peak(contest, name, entry["peak"]).text(".0%")
        lines.append([entry["label"], speed(contest, name).text(), *ratios, share])
    measured = [f"{labels[name]} {_giga(speed(contest, name)).text()} GFLOP/s" for name in peaks]
    count = f"{len(contest['rounds'])} rounds, {contest['flop'] / 1e6:.1f} MFLOP"
    title = f"**{contest['title']}** ({count}; peak: {', '.join(measured)})"
    return f"{title}\n\n{markdown(head, lines)}"


def memory_table(records: Sequence[dict[str, Any]]) -> str:
    """Memory of evaluation: what it takes, beside its budget."""
    lines = [
        [
            "with IAF" if r["flow"] else "without flow", f"{r['samples']:,}", f"{r['points']:,}",
            f"{r['budget_mib']:,.0f}", f"{r['peak_mib'] - r['ready_mib']:,.0f}",
            f"{r['ready_mib'] - r['before_mib']:,.0f}", f"{r['before_mib']:,.0f}",
        ]
        for r in records
    ]  # fmt: skip
    head = ["MiB", "samples", "data", "budget", "taken at its peak", "libraries at first use", "process before"]
    return f"**Memory of `fv.evaluate`**\n\n{markdown(head, lines)}"


def report(results: Sequence[dict[str, Any]]) -> str:
    """All tables, memory last, how they were made, and where; the settings told are those of the first."""
    results = sorted(results, key=lambda result: ("contest" in result, name_of(result)), reverse=True)
    tables = [memory_table(r["memory"]) if "memory" in r else contest_table(r["contest"]) for r in results]
    return "\n".join([*tables, NOTES.format(**results[0]["settings"]), *origins(results)])


def name_of(result: dict[str, Any]) -> str:
    """The contest's, or ``memory``."""
    return "memory" if "memory" in result else result["contest"]["name"]


def origins(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What was measured together, and its origin."""
    for made in {json.dumps(result["provenance"]): result["provenance"] for result in results}.values():
        yield origin(", ".join(name_of(result) for result in results if result["provenance"] == made), made)


def origin(what: str, made: dict[str, Any]) -> str:
    """By which command ``what`` was measured, when and where, in one sentence."""
    commit = (made["commit"] or "unknown")[:10] + (" with changes" if made["changed_files"] else "")
    machine, versions = made["machine"], [f"{name} {found}" for name, found in made["versions"].items() if found]
    return (
        f"{what}: `{made['command']}` at commit {commit} on {made['date'][:10]}; "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB, "
        f"load {machine['load']:g} before; {', '.join(versions)}.\n"
    )


def fill(page: Path, text: str) -> None:
    """Put ``text`` between the marks ``<!-- benchmarks -->`` and ``<!-- /benchmarks -->`` of a page."""
    before = page.read_text(encoding="utf-8")
    after, count = BLOCK.subn(lambda _: f"\n{text.strip()}\n\n", before)
    if not count:
        raise SystemExit(f"expected <!-- benchmarks --> and <!-- /benchmarks --> in {page}; got neither: add them")
    page.write_text(after, encoding="utf-8")


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "".join("| " + " | ".join(line) + " |\n" for line in [head, rule, *lines])


def _giga(summary: Summary) -> Summary:
    return Summary(summary.median / 1e9, summary.least / 1e9, summary.most / 1e9)
