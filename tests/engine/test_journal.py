import json

import pytest

from flowvae.engine import read_journal
from flowvae.engine.journal import Journal
from flowvae.errors import InputError


def test_lines_are_json_and_memory_agrees_with_the_file(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write("train", step=1, loss=0.5)
    journal.write("validation", elbo=float("nan"), kl=[1.0, float("inf")])
    journal.close()
    lines = [json.loads(line, parse_constant=lambda name: 1 / 0) for line in path.read_text().splitlines()]
    assert lines == journal.records == read_journal(path)
    assert lines[1] == {"kind": "validation", "elbo": None, "kl": [1.0, None]}
    assert journal.length == path.stat().st_size


def test_resumed_at_a_length_it_forgets_what_came_after(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write("train", step=1)
    kept = journal.length
    journal.write("train", step=2)
    journal.close()
    path.write_bytes(path.read_bytes()[:-3])  # killed while writing
    assert [record["step"] for record in read_journal(path)] == [1]
    again = Journal(path, kept)
    again.write("train", step=3)
    again.close()
    assert [record["step"] for record in read_journal(path)] == [1, 3]
    assert [record["step"] for record in again.records] == [1, 3]


@pytest.mark.parametrize(("left", "steps"), [(0, [3]), (5, [3]), (-5, [1, 3])])
def test_resumed_after_it_was_cut_short_it_goes_on_after_its_last_whole_line(tmp_path, left, steps):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write("train", step=1)
    journal.write("train", step=2)
    journal.close()
    path.write_bytes(path.read_bytes()[:left])
    again = Journal(path, journal.length)
    again.write("train", step=3)
    again.close()
    assert [record["step"] for record in read_journal(path)] == steps
    assert again.length == path.stat().st_size


def test_without_a_path_it_is_in_memory():
    journal = Journal()
    journal.write("event", message="hello")
    journal.sync()
    journal.close()
    assert journal.records == [{"kind": "event", "message": "hello"}]


@pytest.mark.parametrize("damaged", [b"{torn", b"3", b'{"step": 1}', b"", b"\xff\xfe"])
def test_a_damaged_line_is_named(tmp_path, damaged):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind": "event"}\n' + damaged + b'\n{"kind": "event"}\n')
    with pytest.raises(InputError, match=r"line 2 of .*journal.jsonl.*restore"):
        read_journal(path)
