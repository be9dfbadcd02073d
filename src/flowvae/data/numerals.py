"""Whole numbers in English words: a language whose every sentence can be checked, and whose entropy is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Data, stream
from flowvae.data.parts import Part, partition
from flowvae.registry import Count, Seed, register
from flowvae.schema import Schema, Step, Type

BELOW = 1_000_000
LENGTH = 9
"""Of the longest numeral, such as three hundred seventy three thousand three hundred seventy three."""

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VALUES = {word: number for number, word in enumerate(SMALL)} | {word: 10 * n for n, word in enumerate(TENS, 2)}


@register("data", "numerals")
def numerals(*, count: Count = 20_000, seed: Seed = 0) -> Data:
    """``count`` whole numbers in words, drawn evenly from 0 to 999,999: sequences of at most 9 words, event (9, 1).

    Their entropy is log 1,000,000 = 13.82 nats: no model has a greater mean of log p(x). ``seed`` draws the numbers,
    and a tenth of them for validation and a tenth for test.
    """
    schema = Schema(LENGTH, [Type(word) for word in [*VALUES, "hundred", "thousand"]])
    numbers = stream(seed).randint(BELOW, size=count)
    values = np.stack([schema.values([(word, None) for word in spelled(int(number))]) for number in numbers])
    parts = partition({"train": Part(values)}, validation=0.1, test=0.1, seed=seed)
    return replace(assemble("numerals", parts, schema=schema), valid=is_valid)


def spelled(number: int) -> list[str]:
    """The words of a number from 0 to 999,999.

    >>> " ".join(spelled(210_019))
    'two hundred ten thousand nineteen'
    """
    thousands, rest = divmod(number, 1000)
    words = [*_below_thousand(thousands), "thousand"] if thousands else []
    return [*words, *_below_thousand(rest)] or [SMALL[0]]


def value(words: Sequence[str]) -> int:
    """The sum that words stand for, whatever their order.

    >>> value("two hundred ten thousand nineteen".split())
    210019
    """
    total = group = 0
    for word in words:
        if word == "thousand":
            total, group = total + 1000 * group, 0
        elif word == "hundred":
            group *= 100
        else:
            group += VALUES[word]
    return total + group


def is_valid(steps: Sequence[Step]) -> bool:
    """Whether the words are those of a number.

    >>> is_valid([("twenty", None), ("one", None)]), is_valid([("one", None), ("twenty", None)])
    (True, False)
    """
    words = [name for name, _ in steps]
    number = value(words)
    return number < BELOW and spelled(number) == words


def _below_thousand(number: int) -> list[str]:
    """The words of a number from 1 to 999; none of 0."""
    hundreds, rest = divmod(number, 100)
    words = [SMALL[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        tens, rest = divmod(rest, 10)
        words.append(TENS[tens - 2])
    return [*words, SMALL[rest]] if rest else words
