"""JSON lines: a bad line costs itself only."""

from pathlib import Path

import pytest

from oneword.indexer.errors import BadSource

from .table_files import entries

NASTY_LINES = b"""\xef\xbb\xbf{"id": 1, "text": "good"}
{"id": 2, "text": "cut
[]
{"id": 3, "text": "caf\xe9"}

null
{"id": 4, "text": "good", "n": NaN, "big": 1%s}
{"id": 5, "n": {"deep": 1}, "text": "good"}
%s
{"id": 6, "text": "also good", "text ": "?", "": 5}
{"id": 7, "text": "\\ud83d\\ude00", "id": 8}
""" % (b"0" * 400, b"[" * 100_000)


def test_a_spoilt_line_of_json_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(NASTY_LINES)
    found = entries(tmp_path / "t.jsonl")
    assert {one.id: one.text for one in found if not one.problem} == {
        "1": "good",
        "4": "good",
        "5": "good",
        "6": "also good",
        "8": "😀",
    }
    assert len([one for one in found if one.problem]) == 5
    by_id = {one.id: one.metadata for one in found}
    assert by_id["4"] == {"big": "1" + "0" * 400}
    assert by_id["6"] == {"text_": "?", "column": 5}


def test_json_that_is_no_lines(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"text": "x"}\n{"text": "y"}')
    assert [one.text for one in entries(tmp_path / "t.json")] == ["x", "y"]
    (tmp_path / "t.json").write_text('[{"text": "x"}]')
    with pytest.raises(BadSource, match=r"one JSON list.*jq"):
        entries(tmp_path / "t.json")
    (tmp_path / "t.json").write_text('{\n "text": "x"\n}')
    with pytest.raises(BadSource, match="no line holds a JSON object"):
        entries(tmp_path / "t.json")
