"""Who is compared with whom, at what."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.contestants.ladders import flop as ladder_flop
from benchmarks.settings import Settings
from flowvae.engine.precision import multiplies_bf16

NATIVE = multiplies_bf16(torch.device("cpu"))
"""Whether this processor multiplies matrices of bfloat16 by itself."""


@dataclass(frozen=True)
class Entry:
    """A contestant: a function of a module of `benchmarks.contestants`, called with ``options``."""

    name: str
    label: str
    function: str
    options: dict[str, Any] = field(default_factory=dict)
    peak: str = "sgemm"
    """The entry that measures the peak of its arithmetic; itself for a peak."""
    package: str | None = None
    """What it needs beside flowvae."""

    @property
    def is_peak(self) -> bool:
        """Whether it is what others are a fraction of."""
        return self.peak == self.name

    @property
    def available(self) -> bool:
        """Whether what it needs is there; bf16 that the processor emulates says nothing, and takes minutes."""
        return (self.package is None or find_spec(self.package) is not None) and (NATIVE or self.peak != "bgemm")


@dataclass(frozen=True)
class Contest:
    """Entries that run in turn, round by round. ``unit`` is what their work is counted in."""

    name: str
    title: str
    unit: str
    options: dict[str, Any]
    """Of every entry but the peaks."""
    rounds: int
    slice: float
    settle: float
    flop: float
    """Floating-point operations of a unit of work, multiplications and additions; masked weights count."""
    entries: tuple[Entry, ...]
    yardsticks: dict[str, str]
    """The entries that the others are divided by, and the title of the quotient."""


SGEMM = Entry("sgemm", "matrix products, fp32", "peak.multiply", {"dtype": "float32"})
BGEMM = Entry("bgemm", "matrix products, bf16", "peak.multiply", {"dtype": "bfloat16"}, peak="bgemm")

TRAINING = (
    Entry("pythae", "pythae", "with_pythae.train", package="pythae"),
    Entry("plain", "loop, eager", "by_hand.train_plain"),
    Entry("compiled", "loop, compiled, fused Adam", "by_hand.train_compiled"),
    Entry("tuned", "the same, malloc settings", "by_hand.train_compiled", {"malloc": True}),
    Entry("flowvae", "flowvae", "with_flowvae.train", {"precision": "fp32"}),
    Entry("flowvae-bf16", "flowvae, bf16-mixed", "with_flowvae.train", {"precision": "bf16-mixed"}, peak="bgemm"),
    SGEMM,
    BGEMM,
)
TRAINING_YARDSTICKS = {"pythae": "÷ pythae", "compiled": "÷ compiled loop", "tuned": "÷ the same, malloc"}
EVALUATION = (
    Entry("pythae", "pythae, its batch size", "with_pythae.evaluate", {"batches": 2}, package="pythae"),
    Entry("pythae-large", "pythae, all samples at once", "with_pythae.evaluate", {"batches": 1}, package="pythae"),
    Entry("plain", "loop, eager", "by_hand.evaluate"),
    Entry("flowvae", "flowvae", "with_flowvae.evaluate"),
    SGEMM,
)
SEQUENCES = (
    Entry("plain", "loop, eager", "sequences_by_hand.train"),
    Entry("tuned", "the same, fused Adam, data indexed", "sequences_by_hand.train", {"tuned": True}),
    Entry("flowvae", "flowvae", "sequences_with_flowvae.train"),
    SGEMM,
)
DECODING = (
    Entry("prefix", "prefix run again at every step", "sequences_by_hand.decode"),
    Entry("flowvae", "flowvae", "sequences_with_flowvae.decode"),
    SGEMM,
)
LADDERS = (
    Entry("plain", "loop, eager, the same modules", "ladders.train_plain", peak="sconv"),
    Entry("flowvae", "flowvae", "ladders.train", {"compile": "off"}, peak="sconv"),
    Entry("flowvae-compiled", "flowvae, compiled", "ladders.train", {"compile": "on"}, peak="sconv"),
    Entry("sconv", "convolutions, fp32", "peak.convolve", {"dtype": "float32"}, peak="sconv"),
    SGEMM,
)
EVALUATION_YARDSTICKS = {"pythae": "÷ pythae", "pythae-large": "÷ pythae, at once", "plain": "÷ loop"}

LIBRARIES = ("zuko", "nflows", "normflows", "pyro", "pythae")
FLOW_YARDSTICKS = {library: f"÷ {library}" for library in LIBRARIES}


def _flow(name: str, function: str, peak: str = "sgemm", **options: Any) -> Entry:
    """Our flow, in the manner that its name tells; the bare name stands for the default."""
    return Entry(name, name.replace("-", ", "), function, {"library": "flowvae", **options}, peak)


def _flows(function: str, *ours: Entry) -> tuple[Entry, ...]:
    """The flow of every library, and ours."""
    theirs = [Entry(library, library, function, {"library": library}, package=library) for library in LIBRARIES]
    return (*theirs, *ours, SGEMM, *[BGEMM for entry in ours if entry.peak == "bgemm"][:1])


INVERSION = _flows(
    "flows.invert",
    _flow("flowvae", "flows.invert"),
    _flow("flowvae-jacobi", "flows.invert", inversion="jacobi"),
    _flow("flowvae-bf16", "flows.invert", "bgemm", bf16=True),
)
FORWARD_BACKWARD = _flows(
    "flows.forward_backward",
    _flow("flowvae", "flows.forward_backward"),
    _flow("flowvae-compiled", "flows.forward_backward", compiled=True),
    _flow("flowvae-bf16", "flows.forward_backward", "bgemm", bf16=True),
    _flow("flowvae-bf16-compiled", "flows.forward_backward", "bgemm", bf16=True, compiled=True),
)


def contests(settings: Settings) -> list[Contest]:
    """All contests, of those contestants that are available."""
    s, found = settings, []
    sizes = f"{s.pixels}-{s.width}-{s.width}-z{s.dim}"
    flow_sizes = f"{s.steps} x (2x{s.flow_width})"
    for flow in (False, True):
        name, model = ("iaf", f"IAF {flow_sizes} on {sizes}") if flow else ("vae", f"VAE {sizes}")
        found += [
            Contest(
                f"train-{name}", f"Training, {model}, batch {s.batch}", "data", {"flow": flow}, s.training_rounds,
                s.slice, s.settle, s.training_flop(flow), _available(TRAINING), TRAINING_YARDSTICKS,
            ),
            Contest(
                f"evaluate-{name}", f"log p(x), {model}, {s.samples} samples x {s.points} data", "samples",
                {"flow": flow}, s.evaluation_rounds, 0.0, 0.0, s.evaluation_flop(flow), _available(EVALUATION),
                EVALUATION_YARDSTICKS,
            ),
        ]  # fmt: skip
    flow_of, weights = f"IAF {flow_sizes} over {s.flow_dim} coordinates", s.flow_weights(s.flow_dim)
    for name, title, points, entries, flop in (
        ("inversion", "Inversion", s.flow_batch, INVERSION, 2 * weights),
        ("inversion-one", "Inversion", 1, INVERSION, 2 * weights),
        ("flow-forward-backward", "Forward and backward", s.flow_batch, FORWARD_BACKWARD, 6 * weights),
    ):
        found.append(
            Contest(
                name, f"{title}, {flow_of}, batch {points}", "points", {"points": points}, s.flow_rounds, s.slice,
                s.settle, flop, _available(entries), FLOW_YARDSTICKS,
            )
        )  # fmt: skip
    tokens = f"{s.vocabulary} tokens, length {s.length}, LSTM {s.recurrent}"
    found += [
        Contest(
            "train-sequences", f"Training, {tokens}, batch {s.batch}", "tokens", {}, s.training_rounds, s.slice,
            s.settle, 6 * (3 * s.recurrence + s.head), SEQUENCES, {"plain": "÷ loop", "tuned": "÷ tuned loop"},
        ),
        Contest(
            "decode-sequences", f"Free-running draws, {tokens}, {s.decoded} at a time", "tokens", {},
            s.evaluation_rounds, 0.0, 0.0, 2 * (s.recurrence + s.head), DECODING, {"prefix": "÷ prefix"},
        ),
    ]  # fmt: skip
    found.append(
        Contest(
            "train-ladder", f"Training, ladder of 2 x {s.rungs} rungs with IAF, {s.maps} channels, batch "
            f"{s.ladder_batch}", "data", {}, s.training_rounds, s.slice, s.settle, ladder_flop(s), LADDERS,
            {"plain": "÷ loop"},
        )
    )  # fmt: skip
    where = "" if NATIVE else ", on a processor without bfloat16"
    return [replace(c, title=c.title + where) for c in sorted(found, key=lambda c: c.name, reverse=True)]


def _available(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.available)
