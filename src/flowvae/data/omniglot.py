"""Omniglot: handwritten characters of fifty alphabets, as 28 x 28 pixels."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from flowvae.data.assemble import assemble
from flowvae.data.base import Binarise, Data
from flowvae.data.fetch import cache_home
from flowvae.data.official import official
from flowvae.data.parts import Part, partition
from flowvae.errors import InputError
from flowvae.registry import Seed, register

URL = "https://github.com/brendenlake/omniglot/raw/master/python/"
ARCHIVES = {
    "background": ("images_background.zip", "68d2efa1b9178cc56df9314c21c6e718"),
    "evaluation": ("images_evaluation.zip", "6b91aef0f799c5bb55b94e3f2daec811"),
}
"""The official archives with their MD5, as torchvision tells it."""

PREPARED = "omniglot28.npz"


@register("data", "omniglot")
def omniglot(*, dir: str = "", binarise: Binarise = "dynamic", seed: Seed = 0) -> Data:
    """Characters drawn by hand, 28 x 28 pixels, intensity the share of ink: event shape (1, 28, 28).

    The 19,280 background characters, a tenth of them, dealt by ``seed``, for validation; the 13,180 evaluation
    characters, of other alphabets, for test. They are the official 105 x 105 drawings averaged over boxes: other pixels
    than those of the ``chardata.mat`` that published figures are on. ``dir`` holds the official archives, or
    ``omniglot28.npz`` with such pixels (N, 28, 28) as arrays ``background`` and ``evaluation``, and labels, if any, as
    ``background_character`` and ``evaluation_character``, or has either in its ``omniglot/``; without it they are
    looked for, and the archives else downloaded to, the folder named by the environment variable FLOWVAE_DATA, or the
    user's cache.

    Reference: B. Lake, R. Salakhutdinov, J. Tenenbaum, Human-level concept learning through probabilistic program
    induction, 2015 (MIT licence).
    """
    background, evaluation = _prepared(dir) or tuple(_drawings(*ARCHIVES[name], dir) for name in ARCHIVES)
    parts = partition({"train": background, "test": evaluation}, validation=0.1, test=0.1, seed=seed)
    return assemble("omniglot", parts, scale=255.0, binarise=binarise, seed=seed)


def _prepared(dir: str) -> tuple[Part, Part] | None:
    """The arrays of ``omniglot28.npz``, where it is."""
    home = Path(dir).expanduser() if dir else cache_home()
    for path in (home / PREPARED, home / "omniglot" / PREPARED):
        if path.is_file():
            with np.load(path) as arrays:
                if lacking := [name for name in ARCHIVES if name not in arrays]:
                    raise InputError(f"expected an array {lacking[0]!r} in {str(path)!r}; got none: add it")
                background, evaluation = (_labelled(arrays, name) for name in ARCHIVES)
            return background, evaluation
    return None


def _labelled(arrays: Mapping[str, np.ndarray], name: str) -> Part:
    """The pixels of that name with their labels, where there are some."""
    return Part(arrays[name][:, None], arrays.get(f"{name}_character"))


def _drawings(name: str, digest: str, dir: str) -> Part:
    """The drawings of an archive, a file each in a folder a character: black ink on white."""
    with zipfile.ZipFile(io.BytesIO(official(name, "omniglot", digest, [URL + name], dir))) as archive:
        paths = sorted(path for path in archive.namelist() if path.endswith(".png"))
        images = np.stack([_small(archive.read(path)) for path in paths])
    _, labels = np.unique([path.rpartition("/")[0] for path in paths], return_inverse=True)
    return Part(images[:, None], labels)


def _small(png: bytes) -> np.ndarray:
    """A drawing as 28 x 28 shares of ink, 255 being all of it."""
    with Image.open(io.BytesIO(png)) as image:
        return 255 - np.asarray(image.convert("L").resize((28, 28), Image.Resampling.BOX))
