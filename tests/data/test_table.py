"""Tables as text: header, delimiter, labels, and every way in which a cell is no number."""

import csv
from pathlib import Path

import numpy as np
import pytest

from flowvae.data.table import read_table
from flowvae.errors import InputError


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[list, list | None]:
    path = tmp_path / "my.csv"
    path.write_text(text, encoding=encoding)
    part = read_table(path)["train"]
    return part.values.tolist(), None if part.labels is None else part.labels.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5\n3,4e1\n",
        "a,b\n1,2.5\n3,4e1\n",
        "a;b\n1;2.5\n3;4e1",
        "1\t2.5\n3\t4e1\n",
        "a|b\r\n1|2.5\r\n3|4e1\r\n",
        '"a","b, with a comma"\n"1","2.5"\n"3","4e1"\n',
        "a, b\n1, 2.5\n\n3, 4e1\n\n",
        "\n\na,b\n1,2.5\n3,4e1\n",
        "2019_01,2019_02\n1,2.5\n3,4e1\n",
        "a,\n1,2.5\n3,4e1\n",
    ],
)
def test_headers_and_delimiters_are_found(tmp_path: Path, text: str) -> None:
    assert table(tmp_path, text) == ([[1.0, 2.5], [3.0, 40.0]], None)


def test_a_byte_order_mark_is_no_part_of_the_table(tmp_path: Path) -> None:
    assert table(tmp_path, "1,2\n3,4\n", encoding="utf-8-sig")[0] == [[1.0, 2.0], [3.0, 4.0]]
    assert table(tmp_path, "label,b\n1,2\n3,4\n", encoding="utf-8-sig") == ([[2.0], [4.0]], [1, 3])


def test_numbers_that_pandas_gives_to_columns_are_a_header(tmp_path: Path) -> None:
    assert table(tmp_path, "0,1,2\n5,6,7\n8,9,10\n")[0] == [[5.0, 6.0, 7.0], [8.0, 9.0, 10.0]]


def test_one_column_is_a_table(tmp_path: Path) -> None:
    assert table(tmp_path, "height\n1.5\n2.5\n")[0] == [[1.5], [2.5]]


def test_columns_keep_their_names(tmp_path: Path) -> None:
    def columns(text: str) -> tuple[str, ...]:
        table(tmp_path, text)
        return read_table(tmp_path / "my.csv")["train"].columns

    assert columns("a,label,b\n1,2,3\n4,5,6\n") == ("a", "b")
    assert columns("a,b\n1,2\n") == ("a", "b")
    assert columns("1,2\n3,4\n") == ()


@pytest.mark.parametrize("text", ["x\n1\n\n2\n", "1\n\n2\n3\n", "x\n1\n  \n2\n"])
def test_an_empty_line_between_single_numbers_is_a_missing_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"expected a number in every row of my.csv; got none in line [23]: fill"):
        table(tmp_path, text)
    for text in ("x\n1\n2\n\n\n", "\nx\n1\n2\n", "\n\n1\n2\n", '"a\n\nname"\n1\n2\n'):
        assert table(tmp_path, text)[0] == [[1.0], [2.0]], "lines before all and at the end are none"
    years = table(tmp_path, ",x\n1990,1.5\n1991,2.5\n1992,3.5\n")[0]
    assert years == [[1990.0, 1.5], [1991.0, 2.5], [1992.0, 3.5]]
    values = np.array(table(tmp_path, 'x\n1\n""\n2\n')[0])  # as pandas writes it
    assert np.array_equal(values, [[1.0], [np.nan], [2.0]], equal_nan=True)


def test_a_wide_row_is_one_long_cell_to_other_delimiters(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    rows = np.full((2, 20_000), 0.123456)
    text = "\n".join(",".join(map(str, row)) for row in rows)
    assert len(text) > 2 * limit
    assert table(tmp_path, text)[0] == rows.tolist()
    assert csv.field_size_limit() == limit


def test_a_column_of_labels_is_no_data(tmp_path: Path) -> None:
    assert table(tmp_path, "a,Label,b\n1,7,2\n3,8,4\n") == ([[1.0, 2.0], [3.0, 4.0]], [7, 8])


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "null", "?"])
def test_missing_cells_are_nan(tmp_path: Path, cell: str) -> None:
    values, _ = table(tmp_path, f"a,b\n1,2\n3,{cell}\n")
    np.testing.assert_array_equal(values, [[1, 2], [3, np.nan]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,species,b,colour\n1,setosa,2,red\n3,4,5,6\n",
            "got text in 'species': 'setosa' in line 2, 'colour': 'red' in line 2: leave out or encode",
        ),
        ("5.1,setosa\n4.9,setosa\n", "got text in 'column 1': 'setosa' in line 1"),
        ("name\nanna\nberta\n", "got text in 'name': 'anna' in line 2"),
        (
            ",".join("abcdefg") + "\n" + ",".join("tuvwxyz") + "\n",
            "'e': 'x' in line 2 and 2 more columns: leave out",
        ),
        ("a;b\n1,5;2\n3;4\n", "got text in 'a': '1,5' in line 2"),
        ("a,b\n1,2\n3\n", "expected 2 columns in every row of my.csv; got 1 in line 3"),
        ("1,2\n3,4,5\n", "expected 2 columns in every row of my.csv; got 3 in line 2"),
        ("a,b\n", "expected rows below the header of my.csv; got none"),
        ("\n \n", "expected a table in my.csv; got no rows"),
        (",x\n0,1.5\n1,2.5\n2,3.5\n", r"got a row number without a name in the first: write the file without it"),
        ('"","x"\n"1",1.5\n"2",2.5\n"3",3.5\n', r"in the first: .* R: row.names = FALSE"),
        ("label,x\n0.5,1\n1,2\n", "expected whole numbers of 64 bits in 'label' of my.csv"),
        (
            "label,x\n0,1\n,2\n",
            "expected whole numbers of 64 bits in 'label' of my.csv; got nan in row 1, counted from 0",
        ),
        (
            "label,x\ninf,1\n1,2\n",
            "expected whole numbers of 64 bits in 'label' of my.csv; got inf in row 0, counted from 0",
        ),
        ("label,x\n1e30,1\n1,2\n", "in 'label' of my.csv; got 1e\\+30 in row 0, counted from 0"),
        ("a,label,Labels\n1,2,3\n4,5,6\n", "expected one column of labels in my.csv; got 'label' and 'Labels': rename"),
        ("label,labels\n1,2\n3,4\n", "expected one column of labels in my.csv; got 'label' and 'labels'"),
        ("a,b\n1,2_0\n", "got text in 'b': '2_0' in line 2"),
        ("label\n1\n2\n", "expected columns beside 'label' in my.csv; got none"),
    ],
)
def test_what_is_no_table_of_numbers_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"expected a table as UTF-8 text in my.csv; got something else"):
        read_table(path)


def test_a_table_written_by_numpy_comes_back(tmp_path: Path) -> None:
    values = np.random.RandomState(0).randn(200, 7)
    np.savetxt(tmp_path / "my.csv", values, delimiter=",")
    np.testing.assert_array_equal(read_table(tmp_path / "my.csv")["train"].values, values)
