"""``python -m benchmarks.densities``: held-out log p(x) of flows on toys, beside zuko's of the same size.

Every model is trained by the same loop: Adam, one cosine, the same batches; a row of the table is one flow of ours and
the zuko flow of the same steps, nets and bins. Means over seeds, standard errors over them.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import torch
import zuko
from torch import Tensor, nn

from benchmarks.provenance import provenance
from benchmarks.settings import QUICK
from benchmarks.table import markdown
from flowvae import build_model, load_data
from flowvae.data import Data

WIDTH, STEPS, BINS = 64, 3, 8
HIDDEN = [WIDTH, WIDTH]
TOYS = ("moons", "rings", "pinwheel")


@dataclass(frozen=True)
class Pair:
    """A flow of ours, by its specification, and zuko's."""

    name: str
    ours: dict
    zukos: Callable[[], nn.Module]


NETS = {"steps": STEPS, "width": WIDTH, "depth": 2, "activation": "relu"}
PAIRS = (
    Pair(
        "masked autoregressive",
        {"name": "iaf", "update": "affine", **NETS},
        lambda: zuko.flows.MAF(2, transforms=STEPS, hidden_features=HIDDEN),
    ),
    Pair(
        "neural spline, autoregressive",
        {"name": "spline", "bins": BINS, **NETS},
        lambda: zuko.flows.NSF(2, transforms=STEPS, bins=BINS, hidden_features=HIDDEN),
    ),
    Pair(
        "neural spline, coupling",
        {"name": "spline", "form": "coupling", "bins": BINS, **NETS},
        lambda: zuko.flows.NSF(2, transforms=STEPS, bins=BINS, hidden_features=HIDDEN, passes=2),
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
    torch.manual_seed(seed)
    ours = build_model({"latents": "none", "likelihood": {"name": "flow", "flow": pair.ours}}, data)
    torch.manual_seed(seed)
    zukos = pair.zukos()
    return {
        "flowvae": fitted(ours, lambda x: ours(x).log_w[0], data, epochs, batch),
        "zuko": fitted(zukos, lambda x: zukos().log_prob(x), data, epochs, batch),
        "flowvae_parameters": sum(p.numel() for p in ours.parameters()),
        "zuko_parameters": sum(p.numel() for p in zukos.parameters()),
    }


def report(records: list[dict]) -> str:
    """A line a toy and flow."""
    lines = []
    for toy, name in dict.fromkeys((record["toy"], record["flow"]) for record in records):
        runs = [record for record in records if (record["toy"], record["flow"]) == (toy, name)]
        figures = [_told([run[who] for run in runs]) for who in ("flowvae", "zuko")]
        differences = _told([run["flowvae"] - run["zuko"] for run in runs])
        sizes = f"{runs[0]['flowvae_parameters']:,} / {runs[0]['zuko_parameters']:,}"
        lines.append([f"{toy}: {name}", *figures, differences, sizes])
    return markdown(["log p(x), nats", "flowvae", "zuko", "difference", "parameters"], lines)


def _told(values: list[float]) -> str:
    error = f" ± {stdev(values) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
    return f"{fmean(values):.3f}{error}"


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.densities", description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=40)
    options.add_argument("--count", type=int, default=25_000, help="points of a toy")
    options.add_argument("--batch", type=int, default=512)
    options.add_argument("--toys", nargs="+", default=TOYS, choices=TOYS)
    options.add_argument("--out", type=Path, help="results file")
    args = options.parse_args(arguments)
    records = [
        {"toy": toy, "flow": pair.name, "seed": seed, **compare(pair, data, seed, args.epochs, args.batch)}
        for toy in args.toys
        for data in [load_data(toy, count=args.count)]
        for pair in PAIRS
        for seed in range(args.seeds)
    ]
    if args.out:
        made = provenance("python -m benchmarks.densities", QUICK)
        args.out.write_text(json.dumps({"runs": records, "provenance": made}, indent=1) + "\n", encoding="utf-8")
    print(report(records), end="")


if __name__ == "__main__":
    main()
