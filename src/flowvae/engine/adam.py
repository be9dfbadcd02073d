"""Adam and AdamW as torch's fused kernels, without the bookkeeping around them."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer


class Direct(Optimizer):
    """Steps of torch's own optimiser, bit for bit, for parameters on the CPU of one dtype, in one call of ``kernel``.

    For nets of some layers torch takes a third as long as the kernel to sort tensors by device and dtype, and to count
    the steps of each parameter. The first step, which makes the moments, is left to it.
    """

    kernel: ClassVar[Callable[..., None]]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of the parameters that have a gradient."""
        trained = [[p for p in group["params"] if p.grad is not None] for group in self.param_groups]
        if not all(p in self.state for parameters in trained for p in parameters):
            return super().step(closure)
        for group, parameters in zip(self.param_groups, trained, strict=True):
            if not parameters:  # spared, all of them
                continue
            states = [self.state[p] for p in parameters]
            beta1, beta2 = group["betas"]
            self.kernel(
                parameters,
                [p.grad for p in parameters],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
                counted(states),
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=group["amsgrad"],
                maximize=group["maximize"],
            )
        return None


def counted(states: list[dict[str, Any]]) -> list[Tensor]:
    """The counts of steps, each one higher: views of one tensor, so that one addition raises them all."""
    steps = [state["step"] for state in states]
    whole = steps[0]._base
    if whole is None or len(whole) != len(steps) or any(step._base is not whole for step in steps):
        whole = torch.stack(steps)
        steps = list(whole.unbind())
        for state, step in zip(states, steps, strict=True):
            state["step"] = step
    whole += 1
    return steps


class Adam(Direct, torch.optim.Adam):
    """Adam by Kingma and Ba, 2014, arXiv:1412.6980."""

    kernel = staticmethod(torch._fused_adam_)


class AdamW(Direct, torch.optim.AdamW):
    """Adam with decoupled weight decay by Loshchilov and Hutter, 2017, arXiv:1711.05101."""

    kernel = staticmethod(torch._fused_adamw_)
