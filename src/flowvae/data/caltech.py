"""Caltech-101 silhouettes: outlines of objects as bits."""

from flowvae.data.assemble import assemble
from flowvae.data.base import Data
from flowvae.data.official import matlab, official
from flowvae.data.parts import Part, partition
from flowvae.registry import Seed, register

NAME = "caltech101_silhouettes_28.mat"
URLS = ("https://people.cs.umass.edu/~marlin/data/caltech101_silhouettes_28.mat",)
SHA256 = "862d0a4b828256d54ad5de7c5066c18c72f355cac5b7cde4c1c3be7c000d180b"
SHARES = {"validation": 2264 / 8671, "test": 2307 / 8671}


@register("data", "caltech")
def caltech(*, dir: str = "", seed: Seed = 0) -> Data:
    """8,671 silhouettes of 28 x 28 bits in 101 classes, the object 1: event shape (1, 28, 28).

    4,100 for training, 2,264 for validation and 2,307 for test, dealt at random by ``seed``: the sizes of the official
    split, which is another. ``dir`` holds ``caltech101_silhouettes_28.mat``, or has it in its
    ``caltech101_silhouettes/``; without it the file is looked for in, and else downloaded to, the folder named by the
    environment variable FLOWVAE_DATA, or the user's cache. Raises `InputError` for another file.

    Reference: B. Marlin, K. Swersky, B. Chen, N. de Freitas, Inductive principles for restricted Boltzmann machine
    learning, 2010.
    """
    arrays = matlab(official(NAME, "caltech101_silhouettes", SHA256, URLS, dir))
    # written by columns, with 0 for the object
    images = 1 - arrays["X"].reshape(-1, 28, 28).transpose(0, 2, 1)[:, None]
    parts = partition({"train": Part(images, arrays["Y"][0])}, **SHARES, seed=seed)
    return assemble("caltech", parts)
