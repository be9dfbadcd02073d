"""MNIST from its four IDX files: found on the disk, or downloaded once."""

import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Binarise, Data
from flowvae.data.fetch import cache_home, fetch
from flowvae.data.parts import Part
from flowvae.errors import InputError
from flowvae.registry import Seed, register

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
HELD_OUT = 10_000  # training images, the last ones, kept for validation

# SHA-256 of the files as unpacked: the gzip wrappers differ between mirrors, their content does not.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@register("data", "mnist")
def mnist(*, dir: str = "", binarise: Binarise = "dynamic", seed: Seed = 0, dequantise: bool = False) -> Data:
    """Handwritten digits of 28 x 28 pixels with intensities 0..255: x = values / 255, event shape (1, 28, 28).

    50,000 for training, the last 10,000 training images for validation, 10,000 for test. ``dir`` holds the
    four IDX files, packed (.gz) or not, or has them in its ``mnist/``; without it they are looked for, and
    else downloaded to, the folder named by the environment variable FLOWVAE_DATA, or the user's cache.
    ``seed`` draws the bits of ``binarise = "static-seeded"``; ``dequantise``, with ``binarise = "none"``,
    makes x = (values + u) / 256 with uniform noise u, afresh in every batch. Raises `InputError` for files
    that are missing or not the official ones.

    Reference: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, 1998 (CC BY-SA 3.0).
    """
    arrays = {name: parse_idx(_content(name, dir)) for name in FILES}
    images, labels = arrays["train-images-idx3-ubyte"][:, None], arrays["train-labels-idx1-ubyte"]
    everything = Part(images, labels)
    parts = {
        "train": everything.rows(slice(None, -HELD_OUT)),
        "validation": everything.rows(slice(-HELD_OUT, None)),
        "test": Part(arrays["t10k-images-idx3-ubyte"][:, None], arrays["t10k-labels-idx1-ubyte"]),
    }
    return assemble("mnist", parts, scale=255.0, binarise=binarise, seed=seed, dequantise=dequantise)


def parse_idx(content: bytes) -> np.ndarray:
    """The uint8 array of an IDX file: 0, 0, 8, rank, the sizes as big-endian uint32, the values.

    Raises `InputError` for another type of value, or another number of bytes than the header says.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    array([7, 9], dtype=uint8)
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise InputError(f"expected an IDX file of unsigned bytes; got one that begins with {content[:4]!r}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise InputError(f"expected an IDX header of {start} bytes; got {len(content)} bytes in all")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise InputError(f"expected {expected} bytes in an IDX file of shape {shape}; got {len(content)}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _content(name: str, dir: str) -> bytes:
    """The unpacked bytes of one official file."""
    found = list(_candidates(name, Path(dir).expanduser() if dir else cache_home()))
    for path in found:
        content = _unpacked(path)
        if hashlib.sha256(content).hexdigest() == FILES[name]:
            return content
    if dir:
        got = f"{found[0]} with another SHA-256" if found else "no such file"
        raise InputError(
            f"expected the official {name} (.gz or unpacked) in {dir!r} or its mnist/; got {got}: "
            "check data.dir, or leave it out to download"
        )
    urls = [mirror + name + ".gz" for mirror in MIRRORS]
    path = fetch(
        urls,
        cache_home() / "mnist" / name,
        FILES[name],
        remedy="name a folder that has the files as data.dir",
    )
    return path.read_bytes()


def _candidates(name: str, folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "mnist", folder / "MNIST" / "raw"):  # the last is torchvision's
        for path in (place / name, place / f"{name}.gz"):
            if path.is_file():
                yield path


def _unpacked(path: Path) -> bytes:
    """The content of ``path`` without its wrapper; nothing where the wrapper is broken."""
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return b""
