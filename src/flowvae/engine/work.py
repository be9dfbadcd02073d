"""How much a pass computes, and how long it takes so."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Measured on two cores, on MLPs with IAF, residual networks and ladders: a call of an operation costs some 13 us by
# itself, and the operations of products and convolutions then run at some 80 GFLOP/s (50 to 100).
CALL = 13e-6
FLOPS = 8e10


class Work(TorchDispatchMode):
    """Counts, inside the context: calls of operations, and the floating-point operations of products and convolutions.

    A function of sizes alone, and not of the clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.calls += 1
        if flops := flop_registry.get(func.overloadpacket):
            self.flops += flops(*args, **(kwargs or {}), out_val=result)
        return result

    def seconds(self, times: float = 1) -> float:
        """The time of a pass over ``times`` as many data as were counted."""
        return CALL * self.calls + times * self.flops / FLOPS
