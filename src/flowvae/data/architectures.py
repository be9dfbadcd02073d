"""19,020 neural architectures of six layers with skip connections, and their accuracy."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Data
from flowvae.data.official import official
from flowvae.data.parts import Part
from flowvae.registry import register
from flowvae.schema import Feature, Schema, Step, Type

URL = "https://raw.githubusercontent.com/muhanzhang/D-VAE/master/data/final_structures6.txt"
NAME = "final_structures6.txt"
SHA256 = "fea9a7dde1545e7d3bd58fd4b9c3db08a89c18e0351f770cde2fe530c4791725"

LAYERS = 6
SKIPPED = 1_000  # lines of the search's first, random steps, which the literature leaves out
HELD_OUT = 1_000  # training architectures, the last ones after shuffling, kept for validation

OPERATIONS = ("conv3x3", "sepconv3x3", "conv5x5", "sepconv5x5", "avgpool3x3", "maxpool3x3")
BITS = tuple(f"{number:b}"[1:] for number in range(1, 2**LAYERS))
"""All strings of up to five bits: the empty one, 0, 1, 00, 01, ..."""

SCHEMA = Schema(LAYERS, [Type(name, Feature("discrete", levels=BITS)) for name in OPERATIONS])


@register("data", "architectures")
def architectures(*, dir: str = "") -> Data:
    """Neural architectures found by ENAS on CIFAR-10, sequences of six layers (operation, skip bits): event (6, 2).

    The feature of layer i is a string of i bits, layers counted from 0: bit j says whether vertex j, 0 being the
    input, has a skip edge to the layer. Labels are the accuracies, .7020 to .7502. Of 19,020 architectures, shuffled as
    in the literature, 1,902 are for test; of the 17,118 others the last 1,000 are kept for validation. ``dir`` holds
    the file, or has it in its ``architectures/``; without it, it is looked for, and else downloaded to, the folder
    named by the environment variable FLOWVAE_DATA, or the user's cache.

    Reference: Zhang, Jiang, Cui, Garnett, Chen (2019), D-VAE, arXiv:1904.11088 (MIT licence).
    """
    lines = official(NAME, "architectures", SHA256, [URL], dir).decode().splitlines()[SKIPPED:]
    order = list(range(len(lines)))
    random.Random(0).shuffle(order)
    rows = [json.loads(f"[{lines[number]}]") for number in order]
    values = np.stack([SCHEMA.values([step_of(layer) for layer in layers]) for layers, _ in rows])
    everything = Part(values, np.array([accuracy for _, accuracy in rows], dtype=np.float32))
    train = int(0.9 * len(rows))
    parts = {
        "train": everything.rows(slice(train - HELD_OUT)),
        "validation": everything.rows(slice(train - HELD_OUT, train)),
        "test": everything.rows(slice(train, None)),
    }
    return replace(assemble("architectures", parts, schema=SCHEMA), valid=is_valid)


def step_of(layer: Sequence[int]) -> Step:
    """A layer as the file has it, [operation, bit, bit, ...], as a step.

    >>> step_of([4, 0, 1])
    ('avgpool3x3', '01')
    """
    operation, *bits = layer
    return OPERATIONS[operation], "".join(map(str, bits))


def is_valid(steps: Sequence[Step]) -> bool:
    """Whether there are six layers, each with a bit for every vertex before the one that it follows anyway."""
    return len(steps) == LAYERS and all(len(bits or "") == place for place, (_, bits) in enumerate(steps))
