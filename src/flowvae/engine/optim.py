"""Optimisers: torch's own, in one fused kernel where torch has one."""

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from flowvae.engine import adam as direct
from flowvae.registry import NonNegativeFloat, Positive, register

Decay = Annotated[float, Field(ge=0, lt=1, strict=True)]
Betas = tuple[Decay, Decay]


def fused(parameters: Sequence[Tensor]) -> bool:
    """Whether torch updates these parameters in one fused kernel, four to six times faster than one by one."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)


def alike(parameters: Sequence[Tensor]) -> bool:
    """Whether they are of one real dtype, on the CPU: what `flowvae.engine.adam` asks for."""
    kinds = {(p.dtype, p.device.type) for p in parameters}
    return len(kinds) == 1 and fused(parameters) and kinds.pop()[1] == "cpu"


@register("optimiser", "adam")
def adam(
    parameters: Sequence[Tensor],
    *,
    lr: Positive = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Positive = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
    amsgrad: bool = False,
) -> Optimizer:
    """Adam: theta <- theta - lr m_hat / (sqrt(v_hat) + eps), moments m, v with decays ``betas``.

    Reference: Kingma and Ba, 2014, arXiv:1412.6980 (AMSGrad: Reddi et al., 2018, arXiv:1904.09237).
    """
    of = direct.Adam if alike(parameters) else torch.optim.Adam
    return of(
        parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, fused=fused(parameters)
    )


@register("optimiser", "adamw")
def adamw(
    parameters: Sequence[Tensor],
    *,
    lr: Positive = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Positive = 1e-8,
    weight_decay: NonNegativeFloat = 0.01,
    amsgrad: bool = False,
) -> Optimizer:
    """Adam with decoupled weight decay: besides Adam's step, theta <- theta (1 - lr weight_decay).

    Reference: Loshchilov and Hutter, 2017, arXiv:1711.05101.
    """
    of = direct.AdamW if alike(parameters) else torch.optim.AdamW
    return of(
        parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, fused=fused(parameters)
    )


@register("optimiser", "adamax")
def adamax(
    parameters: Sequence[Tensor],
    *,
    lr: Positive = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Positive = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Adam with the infinity norm: u <- max(beta_2 u, |g|), theta <- theta - lr m_hat / u.

    Reference: Kingma and Ba, 2014, arXiv:1412.6980.
    """
    return torch.optim.Adamax(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=True)


def carry_over(old: Optimizer, new: Optimizer) -> None:
    """Give ``new`` the moments that ``old`` holds of the parameters they share."""
    for group in new.param_groups:
        for parameter in group["params"]:
            if type(old) is type(new) and parameter in old.state:
                new.state[parameter] = state = dict(old.state[parameter])
                if group.get("amsgrad"):  # starts as torch has it, where the phase before did without
                    state.setdefault("max_exp_avg_sq", torch.zeros_like(state["exp_avg_sq"]))


@torch.no_grad()
def load_moments(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Go on from a state dict, its moments laid out in memory as their parameters are.

    A fused kernel reads memory in order, and takes another layout without a word for other numbers.
    """
    optimiser.load_state_dict(state)
    for parameter, moments in optimiser.state.items():
        for name, moment in moments.items():
            if moment.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(moment)


def set_rate(optimiser: Optimizer, factor: float) -> float:
    """Set the learning rate to ``factor`` times the optimiser's own, and return it."""
    for group in optimiser.param_groups:
        group["lr"] = optimiser.defaults["lr"] * factor
    return optimiser.param_groups[0]["lr"]


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """Global L2 norm of the gradients, not finite when any of them is not.

    On the CPU dot products are faster than norms, and use all threads.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return parameters[0].new_zeros(())
    if gradients[0].device.type == "cpu":
        flat = [g.reshape(-1) for g in gradients]
        return torch.stack([torch.dot(g, g) for g in flat]).sum().sqrt()
    return torch.nn.utils.get_total_norm(gradients)
