"""From parts in numpy to a `Data`: bytes where that is exact, one digest, the support that batches have."""

import hashlib
from dataclasses import replace

import numpy as np
import torch

from flowvae.data.base import Binarise, Data, Split, Support, stream
from flowvae.data.parts import SPLITS, Parts, require_one_shape
from flowvae.data.ranges import are_bits, are_bytes, interval, rescaling, value_range
from flowvae.errors import InputError
from flowvae.schema import Schema


def assemble(
    name: str,
    parts: Parts,
    *,
    scale: float = 1.0,
    binarise: Binarise = "none",
    seed: int = 0,
    flip: bool = False,
    dequantise: bool = False,
    schema: Schema | None = None,
) -> Data:
    """The data set of the three ``parts``, with x = values / ``scale``.

    ``seed`` draws the bits of ``binarise = "static-seeded"``; ``flip`` mirrors training images at random;
    ``dequantise`` spreads whole numbers by uniform noise; ``schema`` says that the values are sequences, and what their
    columns mean. Raises `InputError` for parts whose shapes differ, for values outside [0, 1] that are to become bits,
    and for what is no whole number and is to be spread.
    """
    require_one_shape(parts)
    values = pack({split: parts[split].values for split in SPLITS})
    low, high = value_range(values.values())
    if binarise != "none" and (low < 0 or high > scale):
        whole = values["train"].dtype == np.uint8
        raise InputError(
            f"expected values in [0, 1] to binarise; got {interval(low / scale, high / scale)}: "
            f"{rescaling(low, high, whole)}, or --set data.binarise=none"
        )
    seeds = stream(seed).randint(2**31, size=len(SPLITS))  # one a split, so that no two share their noise
    splits = {
        split: replace(
            _split(values[split], parts[split].labels, scale, binarise, int(own_seed)), names=parts[split].names
        )
        for split, own_seed in zip(SPLITS, seeds, strict=True)
    }
    support: Support = "sequence" if schema else _support(values, low, high, scale, binarise)
    if dequantise:
        if support != "levels":
            raise InputError(
                f"expected whole numbers to spread by noise; got {support} values: leave out data.dequantise"
            )
        splits, support = {name: replace(split, cells=round(scale) + 1) for name, split in splits.items()}, "unit"
    return Data(
        name,
        train=replace(splits["train"], flip=flip),
        validation=splits["validation"],
        test=splits["test"],
        event_shape=schema or splits["train"].event_shape,
        support=support,
        digest=_digest(splits),
        spec={},
        columns=parts["train"].columns,
    )


def pack(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Contiguous uint8 where all values are whole numbers in 0..255, whatever their type; else float32."""
    kind = np.uint8 if all(are_bytes(array) for array in arrays.values()) else np.float32
    # "W" and "O": a copy where numpy reads from memory of something else, as torch may write to it.
    return {name: np.require(array, kind, ["C", "W", "O"]) for name, array in arrays.items()}


def _split(values: np.ndarray, labels: np.ndarray | None, scale: float, binarise: Binarise, seed: int) -> Split:
    kind = np.float32 if labels is not None and labels.dtype.kind == "f" else np.int64
    tensor = None if labels is None else torch.from_numpy(labels.astype(kind))
    if binarise != "static-seeded":
        return Split(torch.from_numpy(values), scale, binarise, tensor)
    bits = Split(torch.from_numpy(values), scale, "dynamic").frozen(seed)
    return Split(bits.values, binarise="static-seeded", labels=tensor)


def _support(values: dict[str, np.ndarray], low: float, high: float, scale: float, binarise: Binarise) -> Support:
    if binarise != "none" or all(are_bits(array, scale) for array in values.values()):
        return "binary"
    if low < 0 or high > scale:
        return "real"
    whole = values["train"].dtype == np.uint8 and scale == round(scale)
    return "levels" if whole else "unit"


def _digest(splits: dict[str, Split]) -> str:
    """SHA-256 over type, shape and bytes of all values and labels, in the order of the splits."""
    digest = hashlib.sha256()
    for split in splits.values():
        for tensor in (split.values, split.labels):
            if tensor is not None:
                array = tensor.numpy()
                digest.update(f"{array.dtype.name}{array.shape}".encode())
                digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()
