"""Frey faces: grey video frames of one face."""

import hashlib

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Data
from flowvae.data.fetch import cache_home
from flowvae.data.official import matlab, official
from flowvae.data.parts import Part, partition
from flowvae.errors import InputError
from flowvae.registry import Seed, register

NAME, FOLDER = "frey_rawface.mat", "frey_faces"
URLS = ("https://cs.nyu.edu/~roweis/data/frey_rawface.mat",)

FRAMES = "fbd70c2c992104024a20f4d253da1a1132eb6bf8ed142dccbe7d2b1743b705c4"
"""SHA-256 of the array ``ff``, 560 x 1965 bytes in C order, of a complete copy: the one at the address is not known."""

SHAPE = (1, 28, 20)


@register("data", "frey")
def frey(*, dir: str = "", seed: Seed = 0, flip: bool = False, dequantise: bool = False) -> Data:
    """1,965 grey frames of one face, 28 x 20 pixels: x = bytes / 255, event shape (1, 28, 20).

    1,565 for training, 200 for validation and 200 for test, dealt at random by ``seed``: published figures have splits
    of these sizes, each its own. ``flip`` mirrors every training image with probability 1/2, afresh in every batch;
    ``dequantise`` makes x = (bytes + u) / 256 with uniform noise u, afresh too. ``dir`` holds ``frey_rawface.mat``, or
    has it in its ``frey_faces/``; without it the file is looked for in, and else downloaded to, the folder named by the
    environment variable FLOWVAE_DATA, or the user's cache. Raises `InputError` for another content.

    Reference: S. Roweis, L. Saul, Nonlinear dimensionality reduction by locally linear embedding, 2000.
    """
    frames = np.ascontiguousarray(matlab(official(NAME, FOLDER, None, URLS, dir)).get("ff", ()))
    if hashlib.sha256(frames.tobytes()).hexdigest() != FRAMES:
        place = f"{cache_home()} or its {FOLDER}/"
        remedy = "check data.dir" if dir else f"remove it from {place}, and it is downloaded again"
        raise InputError(f"expected the 1,965 frames of {NAME}; got other content: {remedy}")
    everything = Part(frames.T.reshape(-1, *SHAPE))
    parts = partition({"train": everything}, validation=200 / 1965, test=200 / 1965, seed=seed)
    return assemble("frey", parts, scale=255.0, flip=flip, dequantise=dequantise)
