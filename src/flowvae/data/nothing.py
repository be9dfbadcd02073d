"""No data: what a posterior is fitted on that only has a prior to fit."""

from dataclasses import replace

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Data
from flowvae.data.parts import Part
from flowvae.registry import Count, register


@register("data", "nothing")
def nothing(*, count: Count = 10_000) -> Data:
    """``count`` training rows of a single 0, and one in each other split: an epoch is so many posterior draws."""
    rows = {"train": count, "validation": 1, "test": 1}
    data = assemble("nothing", {split: Part(np.zeros((n, 1), np.uint8)) for split, n in rows.items()})
    return replace(data, support="nothing")
