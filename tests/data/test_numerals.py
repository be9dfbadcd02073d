"""Numbers in words: every number has one numeral, nothing else is valid, and a seed says it all."""

import pytest

from flowvae.data import load_data
from flowvae.data.numerals import BELOW, LENGTH, is_valid, spelled, value
from flowvae.schema import Schema


def test_every_number_has_a_numeral_of_its_own() -> None:
    """All below 2,000, the greatest ones, and each thousand: read back, told apart, in their place."""
    numbers = [*range(2000), *range(BELOW - 2000, BELOW), *range(0, BELOW, 1000)]
    texts = {number: " ".join(spelled(number)) for number in numbers}
    assert len(set(texts.values())) == len(texts)
    assert all(value(text.split()) == number for number, text in texts.items())
    assert max(len(text.split()) for text in texts.values()) == LENGTH
    assert texts[0] == "zero"
    assert texts[999_999] == "nine hundred ninety nine thousand nine hundred ninety nine"
    assert texts[7_000] == "seven thousand"
    assert texts[1_115] == "one thousand one hundred fifteen"


@pytest.mark.parametrize(
    "words",
    [
        "", "one twenty", "twenty zero", "one one", "hundred", "thousand", "one thousand zero", "zero thousand",
        "twenty hundred", "one hundred hundred", "one thousand one thousand", "ten one", "thirty twenty",
        "one hundred thousand thousand",
    ],
)  # fmt: skip
def test_other_words_are_no_numeral(words: str) -> None:
    assert not is_valid([(word, None) for word in words.split()])


def test_what_is_drawn_is_valid_even_and_repeatable() -> None:
    data = load_data("numerals", count=3000)
    schema = data.event_shape
    assert isinstance(schema, Schema)
    assert data.valid is not None
    numbers = []
    for split in data.splits.values():
        for datum in split.values.numpy():
            steps = schema.steps(datum)
            assert data.valid(steps)
            numbers.append(value([name for name, _ in steps]))
    assert len(numbers) == 3000
    deviation = BELOW / (12 * 3000) ** 0.5
    assert abs(sum(numbers) / 3000 - BELOW / 2) < 4 * deviation
    assert load_data("numerals", count=3000).digest == data.digest != load_data("numerals", count=3000, seed=1).digest
