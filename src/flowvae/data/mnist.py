"""MNIST from its four IDX files: found on the disk, or downloaded once."""

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Binarise, Data
from flowvae.data.official import official
from flowvae.data.parts import Part
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

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    array([7, 9], dtype=uint8)
    """
    rank = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=rank, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def _content(name: str, dir: str) -> bytes:
    """The unpacked bytes of one official file, which torchvision keeps in a folder of its own."""
    return official(name, "mnist", FILES[name], [f"{mirror}{name}.gz" for mirror in MIRRORS], dir, "MNIST/raw")
