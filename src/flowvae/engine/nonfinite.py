"""Name what is not finite: replay the step with the same noise and look at its terms in causal order."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowvae.data import Split
from flowvae.engine.generators import aside, set_rng_state
from flowvae.engine.step import Step
from flowvae.files import atomically, write_text

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MOST_DUMPED = 20


@dataclass(frozen=True)
class Finding:
    """The first term that is not finite, and for which data."""

    term: str
    indices: list[int]
    """Of the training split, where the term is one number a datum; else empty."""
    parameters: list[str]
    """Parameters that held values that are not finite before the step, or whose gradient does."""

    def __str__(self) -> str:
        where = ""
        if self.indices:
            shown = ", ".join(map(str, self.indices[:8])) + (", ..." if len(self.indices) > 8 else "")
            where = f" for {len(self.indices)} data of the batch (training indices {shown})"
        names = ", ".join(self.parameters[:4]) + (", ..." if len(self.parameters) > 4 else "")
        return f"{self.term} is not finite{where}" + (f"; parameters not finite: {names}" if self.parameters else "")


def retrace(
    step: Step, train: Split, indices: Tensor, beta: Tensor, rng: dict[str, Tensor], fabric: "Fabric"
) -> tuple[Finding, Tensor]:
    """What `diagnose` finds in a step, and its batch: both drawn as from the generators' state ``rng`` before it.

    The generators are left where they are.
    """
    with aside(fabric.device):
        set_rng_state(rng, fabric.device)
        x = train.batch(indices)
        with fabric.autocast():
            return diagnose(step, x, beta, indices), x


def diagnose(step: Step, x: Tensor, beta: Tensor, indices: Tensor) -> Finding:
    """Replay the step without compilation and find the first term that is not finite.

    The order is that of the computation: the data, each latent group's log q(z|x) and log p(z), log p(x|z), the loss,
    the gradient. The caller sets the generators to the state before the step.
    """
    model = step.model
    broken = [name for name, p in model.named_parameters() if _bad(p).any()]

    def found(term: str, bad: Tensor | None = None) -> Finding:
        rows = [] if bad is None else indices[bad.to(indices.device)].tolist()
        return Finding(term, rows, broken)

    if (bad := _bad(x).flatten(1).any(1)).any():
        return found("the data x", bad)
    trace = step.trace(x)
    for group, latent in enumerate(trace.latents):
        of_group = f" of latent group {group}" if len(trace.latents) > 1 else ""
        for term, value in ((f"log q(z|x){of_group}", latent.log_q), (f"log p(z){of_group}", latent.log_p)):
            if (bad := _bad(value).any(0)).any():
                return found(term, bad)
    if (bad := _bad(trace.log_px).any(0)).any():
        return found("log p(x|z)", bad)
    loss = step.loss(trace, beta)
    if _bad(loss).any():
        return found("the loss, though not its terms,")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    pairs = zip(trained, gradients, strict=True)
    broken += [name for name, gradient in pairs if gradient is not None and _bad(gradient).any()]
    if broken:
        return found(f"the gradient of {broken[0]}")
    return found("the gradient's norm, or the compiled step but not its replay,")


def dump(folder: Path, number: int, finding: Finding, indices: Tensor, x: Tensor, rng: dict[str, Tensor]) -> str:
    """Keep the batch, its indices and the generators' state in ``nonfinite-step-N.pt``, the finding beside it.

    Returns where to look. A run keeps a score of them at most.
    """
    if len(list(folder.glob("nonfinite-step-*.pt"))) >= MOST_DUMPED:
        return ""
    path = folder / f"nonfinite-step-{number}.pt"
    content = {"indices": indices.cpu(), "x": x.cpu(), "rng": rng}
    atomically(path, lambda part: torch.save(content, part))
    write_text(path.with_suffix(".json"), json.dumps({"step": number, **asdict(finding)}, indent=1) + "\n")
    return f" (see {path.name})"


def _bad(value: Tensor) -> Tensor:
    return ~torch.isfinite(value.detach())
