"""``python -m benchmarks.densities``: held-out log p(x) of flows on toys, beside zuko's of the same size.

Every model is trained by the same loop: Adam, one cosine, the same batches; a row of the table is one flow of ours and
the zuko flow of the same steps, nets and bins. ``--into PAGE`` writes the table of what was measured into a page.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.provenance import provenance
from benchmarks.table import fill, markdown, origin
from flowvae import build_model, load_data
from flowvae.data import Data

WIDTH, STEPS, BINS = 64, 3, 8
HIDDEN = [WIDTH, WIDTH]
TOYS = ("moons", "rings", "pinwheel")
RESULTS = Path(__file__).parent / "densities.json"

NOTES = """Mean log p(x) of {held_out:,} held-out points of {count:,}, after {epochs} epochs of batches of {batch}: mean
over {seeds} seeds with their standard errors, those of the difference from pairs of one seed. Both sides have ReLU nets
of the same widths, the same steps and bins, Adam at 2e-3 and one cosine; ours has, beside that, the scale of the data.
"""


@dataclass(frozen=True)
class Pair:
    """A flow of ours, by its specification, and zuko's."""

    name: str
    ours: dict[str, Any]
    zukos: Callable[[Any], nn.Module]
    """Given zuko's flows, so that a table is made without the library."""


NETS = {"steps": STEPS, "width": WIDTH, "depth": 2, "activation": "relu"}
PAIRS = (
    Pair(
        "masked autoregressive",
        {"name": "iaf", "update": "affine", **NETS},
        lambda flows: flows.MAF(2, transforms=STEPS, hidden_features=HIDDEN),
    ),
    Pair(
        "neural spline, autoregressive",
        {"name": "spline", "bins": BINS, **NETS},
        lambda flows: flows.NSF(2, transforms=STEPS, bins=BINS, hidden_features=HIDDEN),
    ),
    Pair(
        "neural spline, coupling",
        {"name": "spline", "form": "coupling", "bins": BINS, **NETS},
        lambda flows: flows.NSF(2, transforms=STEPS, bins=BINS, hidden_features=HIDDEN, passes=2),
    ),
)


def fitted(model: nn.Module, log_prob: Callable[[Tensor], Tensor], data: Data, epochs: int, batch: int) -> float:
    """Mean log p(x) of the test data after training, in nats."""
    x, optimiser = data.train.values, torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * (len(x) // batch))
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch)[: len(x) // batch]:
            loss = -log_prob(x[rows]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        return log_prob(data.test.values).mean().item()


def compare(pair: Pair, data: Data, seed: int, epochs: int, batch: int) -> dict[str, float]:
    """Both flows on the same data, and how many parameters each has."""
    import zuko

    torch.manual_seed(seed)
    ours = build_model({"latents": "none", "likelihood": {"name": "flow", "flow": pair.ours}}, data)
    torch.manual_seed(seed)
    zukos = pair.zukos(zuko.flows)
    return {
        "flowvae": fitted(ours, lambda x: ours(x).log_w[0], data, epochs, batch),
        "zuko": fitted(zukos, lambda x: zukos().log_prob(x), data, epochs, batch),
        "flowvae_parameters": sum(p.numel() for p in ours.parameters()),
        "zuko_parameters": sum(p.numel() for p in zukos.parameters()),
    }


def report(result: dict[str, Any]) -> str:
    """A line a toy and flow, and how it was measured."""
    lines, runs = [], result["runs"]
    for toy, name in dict.fromkeys((run["toy"], run["flow"]) for run in runs):
        found = [run for run in runs if (run["toy"], run["flow"]) == (toy, name)]
        figures = [_told([run[who] for run in found]) for who in ("flowvae", "zuko")]
        differences = _told([run["flowvae"] - run["zuko"] for run in found])
        sizes = f"{found[0]['flowvae_parameters']:,} / {found[0]['zuko_parameters']:,}"
        lines.append([f"{toy}: {name}", *figures, differences, sizes])
    head = ["log p(x), nats", "flowvae", "zuko", "difference", "parameters"]
    return "\n".join(
        [markdown(head, lines), NOTES.format(**result["settings"]), origin("densities", result["provenance"])]
    )


def _told(values: list[float]) -> str:
    error = f" ± {stdev(values) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    return f"{fmean(values):.3f}{error}"


def measured(args: argparse.Namespace, arguments: Sequence[str]) -> dict[str, Any]:
    """All comparisons, and by what they were made."""
    made = provenance(" ".join(["python -m benchmarks.densities", *arguments]), torch.get_num_threads())
    runs = [
        {"toy": toy, "flow": pair.name, "seed": seed, **compare(pair, data, seed, args.epochs, args.batch)}
        for toy in args.toys
        for data in [load_data(toy, count=args.count)]
        for pair in PAIRS
        for seed in range(args.seeds)
    ]
    settings = {"count": args.count, "held_out": len(load_data(args.toys[0], count=args.count).test)}
    settings |= {"seeds": args.seeds, "epochs": args.epochs, "batch": args.batch}
    return {"runs": runs, "settings": settings, "provenance": made}


def main(arguments: Sequence[str]) -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.densities", description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=40)
    options.add_argument("--count", type=int, default=25_000, help="points of a toy")
    options.add_argument("--batch", type=int, default=512)
    options.add_argument("--toys", nargs="+", default=TOYS, choices=TOYS)
    options.add_argument("--results", type=Path, default=RESULTS, help="file (default: benchmarks/densities.json)")
    options.add_argument("--into", type=Path, help="measure nothing, and fill the marked block of this page")
    args = options.parse_args(arguments)
    if not args.into:
        args.results.write_text(json.dumps(measured(args, arguments), indent=1) + "\n", encoding="utf-8")
    text = report(json.loads(args.results.read_text(encoding="utf-8")))
    if args.into:
        fill(args.into, text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
