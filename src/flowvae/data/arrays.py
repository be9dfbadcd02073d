"""Arrays in memory, as numpy or torch has them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from flowvae import registry
from flowvae.data.base import Binarise, Data
from flowvae.data.file import Share, dealt, require_finite
from flowvae.data.parts import SPLITS, Part, Parts
from flowvae.data.readers import require_labels, require_values
from flowvae.errors import InputError, nearest
from flowvae.registry import Positive, Seed, register

Array = np.ndarray | Tensor


def from_arrays(
    values: Array | Mapping[str, Array], labels: Array | Mapping[str, Array] | None = None, **options: object
) -> Data:
    """The data set of arrays ``(N, *event)``, numpy's or torch's: one, or one for each split by its name.

    ``labels`` are ``(N,)``, in the same form. Splits that are lacking are cut from the training rows, and images become
    channels first, as for a file; the ``options`` are those of `arrays`.

    Raises `InputError` for what is no array of finite real numbers, for splits of other names, and for unknown options.

    >>> data = from_arrays(np.random.rand(50, 3), validation=0.2)
    >>> len(data.train), len(data.validation), len(data.test), data.event_shape, data.support
    (35, 10, 5, (3,), 'unit')
    """
    spec = registry.resolve("data", {"name": "arrays", **options})
    found, marks = _by_split(values), _by_split(labels) if labels is not None else {}
    if "train" not in found:
        raise InputError(f"expected an array 'train'; got {', '.join(found) or 'none'}: add the training rows")
    parts: Parts = {}
    for split, array in found.items():
        rows = require_values(array, f"{split!r}")
        parts[split] = Part(rows, require_labels(marks[split], len(rows), f"{split!r}") if split in marks else None)
    require_finite(parts, "the arrays")
    settings = {key: value for key, value in spec.items() if key != "name"}
    return replace(dealt("arrays", parts, **settings), spec=spec)


@register("data", "arrays")
def arrays(
    *,
    scale: Positive = 1.0,
    binarise: Binarise = "none",
    seed: Seed = 0,
    validation: Share = 0.1,
    test: Share = 0.1,
    dequantise: bool = False,
) -> Data:
    """What a run keeps of arrays in memory, which `flowvae.from_arrays` makes a data set of: how they became x.

    The options are those of ``file``. Raises `InputError`, as the arrays themselves are gone.
    """
    raise InputError(
        "expected data on file; got arrays, which were in memory when the run was trained: give data by --data FILE, "
        "or resume and evaluate the run in Python, with flowvae.from_arrays(...)"
    )


def _by_split(given: Array | Mapping[str, Array]) -> dict[str, np.ndarray]:
    """The arrays by their split, as numpy's."""
    named = dict(given) if isinstance(given, Mapping) else {"train": given}
    for split in named:
        if split not in SPLITS:
            raise InputError(f"expected arrays by split; got {split!r}{nearest(str(split), SPLITS)}")
    return {
        split: array.numpy(force=True) if isinstance(array, Tensor) else np.asarray(array)
        for split, array in named.items()
    }
