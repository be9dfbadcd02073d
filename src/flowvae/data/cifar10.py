"""CIFAR-10 from its official archive, or from files with a part of it."""

import io
import tarfile
from pathlib import Path

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Data
from flowvae.data.fetch import cache_home
from flowvae.data.official import official
from flowvae.data.parts import Part, Parts
from flowvae.data.readers import read
from flowvae.errors import InputError
from flowvae.registry import Count, register

NAME = "cifar-10-binary.tar.gz"
URLS = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
SHAPE = (3, 32, 32)


@register("data", "cifar10")
def cifar10(
    *, dir: str = "", subset: bool = False, held_out: Count = 5_000, flip: bool = False, dequantise: bool = False
) -> Data:
    """Colour photographs of 32 x 32 pixels in ten classes: x = bytes / 255, event shape (3, 32, 32).

    45,000 for training, the last ``held_out`` training images for validation, 10,000 for test. ``flip`` mirrors every
    training image left to right with probability 1/2, afresh in every batch; ``dequantise`` makes
    x = (bytes + u) / 256 with uniform noise u, afresh too. ``dir`` holds the official binary archive, or has it in its
    ``cifar10/``; without it the archive is looked for, and else downloaded to, the folder named by the environment
    variable FLOWVAE_DATA, or the user's cache. With ``subset`` the data are a part of the set, as files ``train*.npz``
    and ``test*.npz`` with arrays ``images`` (N, 3, 32, 32) and ``labels`` in the same folder or its
    ``cifar10_lossless_subset/``, and figures are of that part. Raises `InputError` for files that are missing or not
    the official ones.

    Reference: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.
    """
    train, test = _subset(dir) if subset else _archive(official(NAME, "cifar10", SHA256, URLS, dir))
    if held_out >= len(train):
        raise InputError(f"expected data.held_out below {len(train)}, the training images; got {held_out}: lower it")
    parts: Parts = {"train": train.rows(slice(-held_out)), "validation": train.rows(slice(-held_out, None))}
    return assemble("cifar10", {**parts, "test": test}, scale=255.0, flip=flip, dequantise=dequantise)


def _archive(content: bytes) -> tuple[Part, Part]:
    """Training and test images: rows of a label and 3,072 bytes, channel by channel."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:

        def rows(name: str) -> np.ndarray:
            member = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
            assert member is not None
            return np.frombuffer(member.read(), dtype=np.uint8).reshape(-1, 1 + 3072)

        train = np.concatenate([rows(f"data_batch_{number}") for number in range(1, 6)])
        test = rows("test_batch")
    train_part, test_part = (Part(part[:, 1:].reshape(-1, *SHAPE), part[:, 0]) for part in (train, test))
    return train_part, test_part


def _subset(dir: str) -> tuple[Part, Part]:
    """Training and test images of the files of a part."""
    home = Path(dir).expanduser() if dir else cache_home()
    for folder in (home, home / "cifar10_lossless_subset"):
        found = [sorted(folder.glob(f"{split}*.npz")) for split in ("train", "test")]
        if all(len(paths) == 1 for paths in found):
            train, test = (read(path)["train"] for (path,) in found)
            for part in (train, test):
                if part.values.shape[1:] != SHAPE:
                    raise InputError(f"expected images {SHAPE} in {folder}; got {part.values.shape[1:]}: check it")
            return train, test
    raise InputError(
        f"expected one train*.npz and one test*.npz in {str(home)!r} or its cifar10_lossless_subset/; got none or "
        "several: name their folder as data.dir, or leave out data.subset"
    )
