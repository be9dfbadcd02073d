"""torch's device without memory: it refuses to be mixed with the CPU, as an accelerator does, and to tell a value."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class OnMeta(TorchDispatchMode):
    """Every tensor that an operation takes or gives is on the device meta: nothing is made elsewhere and copied."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            assert not isinstance(leaf, Tensor) or leaf.device.type == "meta", func
        return result
