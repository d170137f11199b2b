"""Which columns are the id, the text and the image, and the kinds of the others as metadata."""

import logging
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.indexer.entry import Reference
from oneword.indexer.errors import BadSource

from .table_files import entries, write_csv, write_json_lines, write_parquet


def test_columns_are_guessed_by_their_names_and_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write_csv(tmp_path / "laion.csv", [{"URL": "https://e.org/a.jpg", "TEXT": "a cat", "WIDTH": 3, "é 1": "x"}])
    (one,) = entries(tmp_path / "laion.csv")
    assert one.image == Reference(uri="https://e.org/a.jpg")
    assert one.text == "a cat"
    assert one.metadata == {"WIDTH": 3, "column_1": "x"}
    assert "no id, text: 'TEXT', image: 'URL'" in caplog.text
    assert "'é 1' as 'column_1'" in caplog.text


def test_columns_are_taken_as_asked(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"text": "x", "words": "y", "url": "https://e.org/", "n": 1, "m": 2}])
    (one,) = entries(tmp_path / "t.csv", text_column="words", image_column="", metadata_columns=("n", "url"))
    assert (one.text, one.image, dict(one.metadata)) == ("y", None, {"n": 1, "url": "https://e.org/"})
    for options in ({"text_column": "wrods"}, {"id_column": "wrods"}, {"metadata_columns": ("wrods",)}):
        with pytest.raises(BadSource, match=r"no column 'wrods'.*it has 'text', 'words', 'url', 'n', 'm'"):
            entries(tmp_path / "t.csv", **options)
    with pytest.raises(BadSource, match="called as texts or images usually are"):
        entries(tmp_path / "t.csv", text_column="", image_column="")


def test_metadata_is_typed_by_the_columns(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["x", "y"],
            "decimal": [Decimal("1.50"), None],
            "day": [date(2024, 1, 2), None],
            "naive": pa.array([datetime(2024, 1, 2, 3), None], pa.timestamp("ns")),
            "fine": pa.array([1_001, None], pa.timestamp("ns")),
            "zoned": pa.array([datetime(2024, 1, 2, 3), None], pa.timestamp("ms", "Europe/Berlin")),
            "far": pa.array([2**62, 0], pa.timestamp("s")),
            "words": [["a", None, "b"], None],
            "coded": pa.array(["k", None]).dictionary_encode(),
            "half": pa.array([0.5, float("inf")], pa.float16()),
            "big": pa.array([2**63, None], pa.uint64()),
            "view": pa.array(["v", None], pa.string_view()),
            "uid": pa.array([b"0123456789abcdef", None], pa.uuid()),
            "nested": [{"a": 1}, None],
            "vector": [[0.5], None],
            "nothing": pa.nulls(2),
        }
    )
    pq.write_table(table.drop_columns(["view", "half", "far"]), tmp_path / "t.parquet")
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    expected = {
        "decimal": 1.5,
        "day": datetime(2024, 1, 2, tzinfo=UTC),
        "naive": datetime(2024, 1, 2, 3, tzinfo=UTC),
        "zoned": datetime(2024, 1, 2, 3, tzinfo=UTC),
        "fine": datetime(1970, 1, 1, microsecond=1, tzinfo=UTC),
        "words": ["a", "b"],
        "coded": "k",
        "big": 2**63,
    }
    first, second = entries(tmp_path / "t.parquet", id_column="")
    assert (first.metadata, second.metadata) == (expected, {})
    first, second = entries(tmp_path / "t.arrow", id_column="")
    assert first.problem
    assert "'far' cannot be read" in first.problem.reason
    assert second.metadata == {"far": datetime(1970, 1, 1, tzinfo=UTC)}
    (_, again) = entries(tmp_path / "t.arrow", id_column="", metadata_columns=("half", "view"))
    assert again.metadata == {}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", "-0", ""], [1, 2.5, 0, None]),
        (["1", "nan", "-inf"], [1, None, None]),
        (["01234", "1"], ["01234", "1"]),
        (["1e999", "1"], ["1e999", "1"]),
        (["9" * 310, "1"], ["9" * 310, "1"]),
        (["1_000", "1"], ["1_000", "1"]),
        (["true", "FALSE"], [True, False]),
        (["true", "1"], ["true", "1"]),
        (
            ["2024-01-02", "2024-01-02T03:04:05+01:00"],
            [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 2, 2, 4, 5, tzinfo=UTC)],
        ),
        (["2024-01-02", "2024-13-02"], ["2024-01-02", "2024-13-02"]),
        (["0001-01-01T00:00:00+10:00"], ["0001-01-01T00:00:00+10:00"]),
        (["20240102", "2024-W01"], ["20240102", "2024-W01"]),
        (["Nan", "Mary"], ["Nan", "Mary"]),
    ],
)
def test_a_column_of_a_csv_file_is_of_one_kind(tmp_path: Path, cells: list[str], expected: list[Any]) -> None:
    write_csv(tmp_path / "t.csv", [{"text": "x", "v": one} for one in cells])
    found = [one.metadata.get("v") for one in entries(tmp_path / "t.csv")]
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_mixed_kinds_of_json_become_text(tmp_path: Path) -> None:
    values = [1, "one", True, None, 1.5, ["a"], "\ud800"]
    write_json_lines(tmp_path / "t.jsonl", [{"text": "x", "v": one} for one in values])
    found = [one.metadata.get("v") for one in entries(tmp_path / "t.jsonl")]
    assert found == ["1", "one", "true", None, "1.5", '["a"]', "\\ud800"]


def test_a_key_has_one_kind_in_all_tables(tmp_path: Path) -> None:
    write_parquet(tmp_path / "1.parquet", [{"text": "x", "v": 1}])
    write_csv(tmp_path / "2.csv", [{"text": "y", "v": "one"}])
    write_json_lines(tmp_path / "3.jsonl", [{"caption": "z", "v": True}])
    found = entries(tmp_path / "1.parquet", tmp_path / "2.csv", tmp_path / "3.jsonl")
    assert [(one.text, one.metadata) for one in found] == [("x", {"v": "1"}), ("y", {"v": "one"}), ("z", {"v": "true"})]
