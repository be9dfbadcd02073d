"""Texts of one's own: tokens, vocabulary, the unknown, and what cannot be read."""

from pathlib import Path

import pytest

from flowvae.data import load_data
from flowvae.data.tokens import read_lines, read_sequences
from flowvae.errors import InputError
from flowvae.schema import Schema

LINES = ["to be or not to be", "", "to see", "to be", "not now", "or else", "to go", "be", "see", "to do"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES))
    return path


def texts(data) -> list[str]:
    return sorted(data.event_shape.text(row) for split in data.splits.values() for row in split.values.numpy())


def test_every_line_is_kept_once(text: Path) -> None:
    data = load_data(text)
    assert (data.support, data.event_shape.length) == ("sequence", 6)
    known = set(data.event_shape.numbers)
    expected = [" ".join(w if w in known else "<unk>" for w in line.split()) for line in LINES if line]
    assert texts(data) == sorted(expected)


def test_the_vocabulary_is_that_of_the_training_rows(text: Path) -> None:
    data = load_data({"name": "tokens", "path": str(text), "vocabulary": 2, "seed": 4})
    schema = data.event_shape
    assert isinstance(schema, Schema)
    trained = [schema.text(row).split() for row in data.train.values.numpy()]
    assert schema.types[0].name == "<unk>"
    assert len(schema.types) == 3
    assert {word for row in trained for word in row} == set(schema.numbers)
    rare = load_data({"name": "tokens", "path": str(text), "at_least": 3}).event_shape
    assert set(rare.numbers) <= {"<unk>", "to", "be"}


@pytest.mark.parametrize(("unit", "tokens"), [("characters", 5), ("smiles", 3)])
def test_characters_and_smiles(unit: str, tokens: int, tmp_path: Path) -> None:
    path = tmp_path / "molecules.csv"
    path.write_text("name,smiles\n" + "".join(f"m{n},{'CCl' if n % 2 else 'C[K]'}\n" for n in range(9)))
    data = load_data({"name": "tokens", "path": str(path), "column": "smiles", "unit": unit})
    assert len(data.event_shape.types) == 1 + tokens
    assert set(texts(data)) == {"CCl", "C[K]"}


def test_long_lines_are_refused_dropped_or_cut(text: Path) -> None:
    spec = {"name": "tokens", "path": str(text), "length": 4}
    with pytest.raises(InputError, match=r"at most 4 tokens; got 1 that are longer: raise data.length"):
        load_data(spec)
    assert len(texts(load_data(spec | {"longer": "drop"}))) == 8
    assert len(texts(load_data(spec | {"longer": "cut"}))) == 9


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("x.txt", b"\xff\xfe\xfa", {}, "expected a text in UTF-8"),
        ("x.txt", b"a\nb", {}, "at least 3 sequences"),
        ("x.csv", b"a,b\n1,2\n", {}, "set data.column to one of a, b"),
        ("x.csv", b"text,b\n1,2\n", {"column": "txt"}, "did you mean 'text'"),
        ("x.txt", b"a\nb\nc\n", {"column": "text"}, "leave the column out"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, content: bytes, options: dict, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        load_data({"name": "tokens", "path": str(tmp_path / name), **options})


def test_a_path_is_of_tokens_by_its_ending_or_its_options(tmp_path: Path) -> None:
    lines = ["CCl", "CCO", "OC", "CO"]
    (tmp_path / "molecules.smi").write_text("\n".join(lines))
    (tmp_path / "molecules.csv").write_text("name,smiles\n" + "".join(f"m,{line}\n" for line in lines))
    text = load_data(tmp_path / "molecules.smi", unit="smiles")
    table = load_data(tmp_path / "molecules.csv", unit="smiles", column="smiles")
    assert set(texts(text)) == set(texts(table)) == set(lines)


def test_cells_and_lines_end_where_they_end(tmp_path: Path) -> None:
    """A cell may hold a line break, and a line what only looks like one."""
    (tmp_path / "a.csv").write_bytes(b'text,n\r\n"one\nline",1\r\ntwo,2\r\nthree,3\r\n')
    assert read_lines(tmp_path / "a.csv", "text") == ["one\nline", "two", "three"]
    long = "x" * 200_000
    (tmp_path / "b.csv").write_text(f"text,n\n{long},1\n")
    assert read_lines(tmp_path / "b.csv", "text") == [long]
    (tmp_path / "a.txt").write_bytes("one\u2028line\r\ntwo\x0cwords\n".encode())
    assert read_lines(tmp_path / "a.txt") == ["one\u2028line", "two\x0cwords"]


def test_tokens_that_training_had_not_seen_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x.txt").write_text("\n".join(["the cat sees", "my bird", "the bird sees the cat"] * 5))
    schema = load_data(tmp_path / "x.txt").event_shape
    (tmp_path / "new.txt").write_text("the dog sees\nelephants\n")
    with caplog.at_level("INFO", logger="flowvae"):
        read_sequences(tmp_path / "new.txt", schema)
        assert "2 of 4 tokens are unknown to the run" in caplog.text
        caplog.clear()
        read_sequences(tmp_path / "x.txt", schema)
        assert caplog.text == ""
