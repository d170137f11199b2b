"""CSV as people and spreadsheets write it: a bad row costs itself only."""

from pathlib import Path

import pytest

from .table_files import entries, write_csv, write_json_lines

NASTY_CSV = b"""\xef\xbb\xbfid,text,text,
1,good,a,b
2,"never closed,a,b
3,"also never closed
4,"two
lines",a,b
5,caf\xe9,a,b
6,too,few
7,too,many,cells,here
8,"stray"quote,a,b

9,"doubled ""quotes"", and a comma",a,b
10,5" disk,a,b
"""


def test_a_spoilt_row_of_a_csv_file_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(NASTY_CSV)
    found = entries(tmp_path / "t.csv")
    good = {one.id: one.text for one in found if not one.problem}
    assert good == {
        "1": "good",
        "4": "two\nlines",
        "9": 'doubled "quotes", and a comma',
        "10": '5" disk',
    }
    assert found[0].metadata == {"text_2": "a", "column_4": "b"}
    bad = [one.problem.reason for one in found if one.problem]
    signs = ["(line 3)", "(line 4)", "0xe9", "has 3 cells, expected 4", "has 5 cells, expected 4", "double it"]
    assert len(bad) == len(signs)
    for reason, sign in zip(bad, signs, strict=True):
        assert sign in reason
    assert len({one.origin for one in found}) == len(found)


def test_a_quote_at_the_end_of_a_csv_file_that_is_never_closed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'text,n\na,1\n"b,2\nc,3\n"d\ne,5')
    found = entries(tmp_path / "t.csv")
    assert [one.text for one in found if not one.problem] == ["a", "c", "e"]
    assert all("not closed" in one.problem.reason for one in found if one.problem)


def test_long_lines_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneword.indexer.sources import text_tables

    monkeypatch.setattr(text_tables, "MAX_CSV_LINE", 1000)
    monkeypatch.setattr(text_tables, "MAX_CSV_CONTINUATION", 100)
    long, broad = "x" * 2000, "y" * 900
    rows = [f"a,{long}", f"b,{broad}", 'c,"' + "z\n" * 20 + '"', 'd,"' + "z\n" * 200, "e,1"]
    (tmp_path / "t.csv").write_text("text,v\n" + "\n".join(rows))
    found = entries(tmp_path / "t.csv")
    assert [one.text for one in found if not one.problem] == ["b", "c", "e"]
    bad = [one.problem.reason for one in found if one.problem]
    assert "more than 1,000 bytes" in bad[0]
    assert "does not end within 100 bytes" in bad[1]
    monkeypatch.setattr(text_tables, "MAX_JSON_LINE", 1000)
    write_json_lines(tmp_path / "t.jsonl", [{"text": long}, {"text": "ok"}])
    assert [one.text for one in entries(tmp_path / "t.jsonl")] == [None, "ok"]


def test_a_cell_may_be_longer_than_pythons_default(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"text": "x" * 200_000}])
    assert [len(str(one.text)) for one in entries(tmp_path / "t.csv")] == [200_000]


def test_other_separators(tmp_path: Path) -> None:
    for name, content in (
        ("a.csv", "text;n\nx, y;1\n"),
        ("a.tsv", "text\tn\nx, y\t1\n"),
        ("b.csv", "text\tn\r\nx, y\t1"),
    ):
        (tmp_path / name).write_text(content)
        assert [(one.text, one.metadata) for one in entries(tmp_path / name)] == [("x, y", {"n": 1})]


AS_PEOPLE_SAVE_THEM = {
    "Excel's sep=": b"\xef\xbb\xbfsep=;\r\nid;text\r\na;a red cat\r\n",
    "the same, quoted": b'"sep=;"\nid;text\na;a red cat\n',
    "a comma in a header of semicolons": b"id;text;note, remarks\na;a red cat;x, y\n",
    "blanks after commas": b'id, text, year\na, "a red cat", 2020\n',
    "bars and blanks": b"id| text| year\na| a red cat| 2020\n",
    "UTF-16": "id\ttext\na\ta red cat\n".encode("utf-16"),
}


@pytest.mark.parametrize("content", AS_PEOPLE_SAVE_THEM.values(), ids=AS_PEOPLE_SAVE_THEM)
def test_tables_as_spreadsheets_save_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    (one,) = entries(tmp_path / "t.csv")
    assert (one.id, one.text) == ("a", "a red cat")


def test_the_separator_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id:text\na:one, two\n")
    (one,) = entries(tmp_path / "t.csv", delimiter=":")
    assert (one.id, one.text) == ("a", "one, two")
