"""1,797 handwritten digits, in the package itself: the data of examples, tests and the demo."""

from importlib.resources import files

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Binarise, Data
from flowvae.data.parts import Part, stratified
from flowvae.registry import Seed, register

SHUFFLE = 0  # the split is fixed: figures on digits compare across runs and releases


@register("data", "digits")
def digits(*, binarise: Binarise = "dynamic", seed: Seed = 0, dequantise: bool = False) -> Data:
    """Handwritten digits of 8 x 8 pixels with intensities 0..16: x = values / 16 in [0, 1], event shape (1,
    8, 8).

    1,257 for training, 180 for validation and 360 for test, every class in proportion; always the same.
    ``seed`` draws the bits of ``binarise = "static-seeded"``; ``dequantise``, with ``binarise = "none"``,
    makes x = (values + u) / 17 with uniform noise u, afresh in every batch.

    Reference: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998 (CC BY 4.0); its test set, as scikit-learn ships it.
    """
    with files("flowvae.data").joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        everything = Part(arrays["images"], arrays["labels"])
    parts = stratified(everything, validation=180, test=360, seed=SHUFFLE)
    return assemble("digits", parts, scale=16.0, binarise=binarise, seed=seed, dequantise=dequantise)
