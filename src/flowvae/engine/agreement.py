"""Whether a compiled step computes what the plain one does: compilers have faults too."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowvae.data import Split
from flowvae.engine.generators import aside
from flowvae.engine.options import Training
from flowvae.engine.precision import settled
from flowvae.engine.stage import Stage
from flowvae.engine.weights import copied

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TOLERANCE = {"fp32": 0.01, "bf16-mixed": 0.1}
"""By precision, how far rounding may carry gradients apart."""


def objection(stage: Stage, train: Split, rows: Tensor, beta: Tensor, training: Training, fabric: "Fabric") -> str:
    """What speaks against the compiled step of ``stage``, as tried on the data ``rows``: a notice, or nothing."""
    with aside(fabric.device):
        x = train.batch(rows)
    found = disagreement(stage, x, beta, fabric)
    if found < TOLERANCE[settled(training, fabric.device)]:
        return ""
    return f"training without compilation: compiled gradients were {found:.0%} off the plain ones"


def disagreement(stage: Stage, x: Tensor, beta: Tensor, fabric: "Fabric") -> float:
    """|g' - g| / |g| for the gradients g of the plain step and g' of the stage's, on one batch and of one noise.

    Nothing of it remains. 0 where the two are equal, and where g is not finite: the loop will tell of that.
    """
    model, found = stage.plain.model, []
    before = copied(model.state_dict())
    for step in (stage.plain, stage):
        with aside(fabric.device), fabric.autocast():
            loss, _ = step(x, beta)
        fabric.backward(loss)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in stage.parameters]
        found.append(torch.cat([gradient.flatten() for gradient in gradients]))
        stage.drop_gradients()
        model.load_state_dict(before)
    plain, other = found
    if torch.equal(plain, other) or not plain.isfinite().all():
        return 0.0
    return float((other - plain).norm() / plain.norm())
