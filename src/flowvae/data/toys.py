"""Densities in the plane, drawn by seed: what flows are tried on."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from flowvae.data.assemble import assemble
from flowvae.data.base import Data, stream
from flowvae.data.parts import SPLITS, Part
from flowvae.registry import Seed, register

Points = Annotated[int, Field(ge=10, strict=True)]
"""As many as leave none of the splits empty."""

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

SCALE = 2.0  # of moons and pinwheel
BLUR = 0.1  # of the moons
RADII, THICKNESS = 0.75 * np.arange(1, 5), 0.08  # of the rings
ARMS, MIDDLE, LENGTH, WIDTH, BEND = 5, 1.0, 0.3, 0.1, 0.25  # of the pinwheel


@register("data", "moons")
def moons(*, count: Points = 25_000, seed: Seed = 0) -> Data:
    """Two interleaved half circles with normal noise: points of the plane, labelled by their half.

    ``count`` points, eight tenths for training and one each for validation and test, drawn by ``seed``.
    """
    return _toy("moons", _moons, 2, count, seed)


@register("data", "rings")
def rings(*, count: Points = 25_000, seed: Seed = 0) -> Data:
    """Four concentric circles with normal noise: points of the plane, labelled by their circle.

    ``count`` points, eight tenths for training and one each for validation and test, drawn by ``seed``.
    """
    return _toy("rings", _rings, len(RADII), count, seed)


@register("data", "pinwheel")
def pinwheel(*, count: Points = 25_000, seed: Seed = 0) -> Data:
    """Five normal arms that are bent by the distance from the centre: points of the plane, labelled by their arm.

    ``count`` points, eight tenths for training and one each for validation and test, drawn by ``seed``.

    Reference: Johnson, Duvenaud, Wiltschko, Datta, Adams (2016), arXiv:1603.06277.
    """
    return _toy("pinwheel", _pinwheel, ARMS, count, seed)


Draw = Callable[[np.random.RandomState, np.ndarray], np.ndarray]
"""Points ``(N, 2)`` of the parts of a density that are given by number, ``(N,)``."""


def _moons(noise: np.random.RandomState, half: np.ndarray) -> np.ndarray:
    upper = upper_moon(np.pi * noise.random_sample(len(half)))
    return SCALE * (np.where(half[:, None] == 0, upper, -upper) + BLUR * noise.standard_normal(upper.shape))


def upper_moon(angle: np.ndarray) -> np.ndarray:
    """Points of the upper half circle, before noise and scale; the lower ones are their negatives."""
    return np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], 1)


def _rings(noise: np.random.RandomState, ring: np.ndarray) -> np.ndarray:
    angle, radius = 2 * np.pi * noise.random_sample(len(ring)), RADII[ring]
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return points + THICKNESS * noise.standard_normal(points.shape)


def _pinwheel(noise: np.random.RandomState, arm: np.ndarray) -> np.ndarray:
    along, across = MIDDLE + LENGTH * noise.standard_normal(len(arm)), WIDTH * noise.standard_normal(len(arm))
    angle = 2 * np.pi * arm / ARMS + BEND * np.exp(along)
    cos, sin = np.cos(angle), np.sin(angle)
    return SCALE * np.stack([along * cos - across * sin, along * sin + across * cos], 1)


def _toy(name: str, draw: Draw, parts: int, count: int, seed: int) -> Data:
    """Points of ``parts`` equally likely parts."""
    noise = stream(seed)
    labels = noise.randint(parts, size=count)
    points = draw(noise, labels).astype(np.float32)
    ends = np.cumsum([0, *(round(SHARES[split] * count) for split in SPLITS)])
    dealt = {
        split: Part(points[start:end], labels[start:end])
        for split, start, end in zip(SPLITS, ends[:-1], ends[1:], strict=True)
    }
    return assemble(name, dealt)
