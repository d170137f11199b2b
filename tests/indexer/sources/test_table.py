"""The same rows in every format give the same entries, and what is wrong with one row, file or option is told."""

import contextlib
import csv
import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneword.engine.texts import is_blank
from oneword.indexer.entry import Entry, Reference, id_of
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.sources import open_sources
from oneword.indexer.sources.options import SourceKind, SourceOptions
from oneword.storage.metadata import KEY

Rows = Sequence[Mapping[str, Any]]


def entries(*paths: str | Path, **options: Any) -> list[Entry]:
    (source,) = open_sources(paths, SourceOptions(**options))
    found = list(source.entries())
    assert source.total == len(found) or source.total is None
    assert found == list(source.entries()), "the same from the start, each time"
    for one in found:
        (one.id + one.uri + one.origin + (one.problem.reason if one.problem else "")).encode()
        assert all(KEY.fullmatch(key) for key in one.metadata)
    return found


def columns_of(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns_of(rows), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_tsv(path: Path, rows: Rows) -> None:
    write_csv(path, rows, "\t")


def write_json_lines(path: Path, rows: Rows) -> None:
    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value

    lines = [json.dumps({key: plain(value) for key, value in row.items()}) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines))


def table_of(rows: Rows) -> pa.Table:
    return pa.table({name: [row.get(name) for row in rows] for name in columns_of(rows)})


def write_parquet(path: Path, rows: Rows) -> None:
    pq.write_table(table_of(rows), path, row_group_size=3)


def write_file(path: Path, rows: Rows) -> None:
    table = table_of(rows)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def write_stream(path: Path, rows: Rows) -> None:
    table = table_of(rows)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "t.csv": write_csv,
    "t.tsv": write_tsv,
    "t.jsonl": write_json_lines,
    "t.parquet": write_parquet,
    "t.arrow": write_file,
    "s.feather": write_stream,
}

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | WORDS,
            "image": st.none()
            | st.sampled_from(["a.png", "sub/b.jpg", "https://example.org/c.png", "s3://b/d.png", "data:,x"]),
            "whole": st.none() | st.integers(-(2**53), 2**53),
            "decimal": st.none() | st.floats(),
            "flag": st.none() | st.booleans(),
            "when": st.none() | st.datetimes(timezones=st.just(UTC)),
            "word": st.none() | WORDS.map("w{}".format),
            "bad key": st.none() | st.just("x"),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS)
def test_the_same_rows_give_the_same_entries_in_every_format(rows: Rows) -> None:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WRITERS.items():
            write(Path(folder) / name, rows)
            found[name] = [
                (one.text, one.image, dict(one.metadata), one.problem.kind if one.problem else None)
                for one in entries(Path(folder) / name, allow_schemes=("s3",))
            ]
    expected = found["t.parquet"]
    assert len(expected) == len(rows)
    for row, (text, image, metadata, problem) in zip(rows, expected, strict=True):
        empty = is_blank(row["text"] or "") and row["image"] is None
        assert (problem == "EmptyRow") == empty
        if not empty:
            assert text == (row["text"] if not is_blank(row["text"] or "") else None)
            assert (image is None) == (row["image"] is None)
            assert metadata.get("bad_key") == row["bad key"]
            assert metadata.get("when") == row["when"]
            assert metadata.get("whole") == row["whole"]
    for name, others in found.items():
        assert others == expected, name


@pytest.mark.parametrize("name", WRITERS)
def test_ids_origins_and_uris(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"id": "a/b ü", "text": "x"}, {"id": "c", "text": "y", "image": "../p q.png"}])
    table = (tmp_path / name).as_uri()
    first, second = entries(tmp_path / name)
    assert (first.id, first.origin, first.uri) == ("a/b ü", f"{table}#id=a%2Fb%20%C3%BC", f"{table}#id=a%2Fb%20%C3%BC")
    assert second.origin == f"{table}#id=c"
    assert second.uri == (tmp_path.parent / "p q.png").as_uri()
    assert second.image == Reference(uri=second.uri)
    first, second = entries(tmp_path / name, id_column="")
    assert (first.id, first.origin) == (id_of(f"{table}#row=1"), f"{table}#row=1")
    assert first.metadata == {"id": "a/b ü"}
    assert second.origin == f"{table}#row=2"


@pytest.mark.parametrize("name", WRITERS)
def test_an_id_must_be_one(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"id": one, "text": "x"} for one in ("a", None, " ", "y" * 513, "z" * 512)])
    kinds = [one.problem and one.problem.kind for one in entries(tmp_path / name)]
    assert kinds == [None, "BadId", "BadId", "BadId", None]


def test_ids_that_are_numbers(tmp_path: Path) -> None:
    for ids, expected in (([1, 2], ["1", "2"]), ([1.0, None], ["1", None]), ([1.5, float("nan")], [None, None])):
        write_parquet(tmp_path / "t.parquet", [{"id": one, "text": "x"} for one in ids])
        found = entries(tmp_path / "t.parquet")
        assert [None if one.problem else one.id for one in found] == expected
    write_json_lines(tmp_path / "t.jsonl", [{"id": one, "text": "x"} for one in (7, True, [1], "\ud800")])
    assert [one.problem and one.problem.kind for one in entries(tmp_path / "t.jsonl")] == [None, *["BadId"] * 3]


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
    with pytest.raises(BadSource, match="called as texts or pictures usually are"):
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


def test_pictures_in_cells(tmp_path: Path) -> None:
    cells: list[Any] = [
        {"bytes": b"abc", "path": "x.png"},
        {"bytes": None, "path": "x.png"},
        {"bytes": None, "path": None},
    ]
    write_parquet(tmp_path / "t.parquet", [{"image": one} for one in cells])
    first, second, third = entries(tmp_path / "t.parquet")
    assert first.image == b"abc"
    assert first.uri == first.origin
    assert second.image == Reference(uri=(tmp_path / "x.png").as_uri())
    assert third.problem
    assert third.problem.kind == "EmptyRow"
    write_parquet(tmp_path / "t.parquet", [{"image": b"abc"}, {"image": b""}])
    assert [one.image for one in entries(tmp_path / "t.parquet")] == [b"abc", None]
    texts = {
        "data:image/png;base64,QUJD": b"ABC",
        "DATA:;base64,QUJD": b"ABC",
        "data:,a%20b": b"a b",
        "/abs/x.png": Reference(uri="file:///abs/x.png"),
        " y.png ": Reference(uri=(tmp_path / "y.png").as_uri()),
        "~": Reference(uri=(tmp_path / "~").as_uri()),
        "a#b%20?.png": Reference(uri=(tmp_path / "a#b%20?.png").as_uri()),
        "gs://b/x.png": Reference(uri="gs://b/x.png"),
        "data:image/png;base64,QUJ": None,
        "data:image/png;base64,": None,
        "data:nothing": None,
        "\ud800.png": None,
        "a\0b": None,
    }
    write_json_lines(tmp_path / "t.jsonl", [{"image": one} for one in [*texts, 5, [1]]])
    found = entries(tmp_path / "t.jsonl", allow_schemes=("gs",))
    assert [one.image for one in found] == [*texts.values(), None, None]
    assert {one.problem.kind for one in found if one.image is None and one.problem} == {"BadPicture"}


def test_texts_in_cells(tmp_path: Path) -> None:
    values = ["x", 5, True, ["a", "b"], {"a": 1}, [1]]
    write_json_lines(tmp_path / "t.jsonl", [{"text": one} for one in values])
    found = entries(tmp_path / "t.jsonl")
    assert [one.text for one in found] == ["x", "5", "true", "a\nb", None, None]
    assert [one.problem.kind for one in found if one.problem] == ["BadText", "BadText"]
    write_parquet(tmp_path / "t.parquet", [{"text": b"caf\xc3\xa9"}, {"text": b"caf\xe9"}])
    first, second = entries(tmp_path / "t.parquet")
    assert first.text == "café"
    assert second.problem
    assert second.problem.kind == "BadText"


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


@pytest.mark.parametrize("name", [*WRITERS, "t.csv.gz", "t.jsonl.gz"])
@pytest.mark.parametrize(
    "content", [b"", b"\0\1\2", b"ARROW1", b"PAR1PAR1", b"\x1f\x8b", b"\xff\xfea\0", b"\x89PNG\r\n\x1a\n\0"]
)
def test_what_is_no_table_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    if content == b"" and "jsonl" in name:
        assert entries(tmp_path / name) == []
        return
    with pytest.raises(BadSource, match=name):
        entries(tmp_path / name)
    write_csv(tmp_path / "good.csv", [{"text": "x"}])
    bad, good = entries(tmp_path / name, tmp_path / "good.csv")
    assert bad.problem
    assert bad.problem.kind == "NotATable"
    assert good.text == "x"


@pytest.mark.parametrize("name", WRITERS)
def test_tables_without_rows(tmp_path: Path, name: str) -> None:
    if name.endswith((".csv", ".tsv")):
        (tmp_path / name).write_text("text,n\n" if name.endswith("csv") else "text\tn\n")
    elif name.endswith(".jsonl"):
        (tmp_path / name).write_text("\n\n")
    else:
        table = pa.table({"text": pa.array([], pa.string())})
        if name.endswith("parquet"):
            pq.write_table(table, tmp_path / name)
        else:
            with pa.OSFile(str(tmp_path / name), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
                writer.write_table(table)
    assert entries(tmp_path / name) == []


def test_of_a_damaged_file_what_comes_before_counts(tmp_path: Path) -> None:
    import gzip

    rows = [{"text": f"text {at} {'pad' * (at % 7)}", "n": at} for at in range(3000)]
    for name, write in (("t.csv", write_csv), ("t.jsonl", write_json_lines)):
        write(tmp_path / name, rows)
        packed = gzip.compress((tmp_path / name).read_bytes())
        (tmp_path / f"{name}.gz").write_bytes(packed)
        assert len(entries(tmp_path / f"{name}.gz")) == 3000
        (tmp_path / f"{name}.gz").write_bytes(packed[: len(packed) // 2])
        *good, last = entries(tmp_path / f"{name}.gz")
        assert 0 < len([one for one in good if not one.problem]) < 3000
        assert last.problem
        assert last.problem.kind == "DamagedFile"
        assert last.origin == (tmp_path / f"{name}.gz").as_uri()
    write_stream(tmp_path / "t.arrow", rows)
    whole = (tmp_path / "t.arrow").read_bytes()
    (tmp_path / "t.arrow").write_bytes(whole[: len(whole) // 2])
    *good, last = entries(tmp_path / "t.arrow")
    assert [one.text for one in good] == [row["text"] for row in rows[: len(good)]]
    assert good
    assert last.problem


def test_of_a_damaged_parquet_file_the_other_row_groups_count(tmp_path: Path) -> None:
    table = pa.table({"text": [f"text {at}" for at in range(300)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100, compression="zstd", use_dictionary=False)
    data = bytearray((tmp_path / "t.parquet").read_bytes())
    second = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(1).column(0)
    start = second.data_page_offset
    data[start : start + second.total_compressed_size] = b"\x5a" * second.total_compressed_size
    (tmp_path / "t.parquet").write_bytes(data)
    (source,) = open_sources([tmp_path / "t.parquet"])
    found = list(source.entries())
    assert [one.text for one in found if not one.problem] == [f"text {at}" for at in (*range(100), *range(200, 300))]
    (bad,) = [one.problem.reason for one in found if one.problem]
    assert "rows 101 to 200 cannot be read" in bad
    assert found[-1].origin.endswith("#row=300")


@settings(deadline=None, max_examples=80)
@given(data=st.data(), name=st.sampled_from(list(WRITERS)))
def test_spoilt_bytes_never_raise_anything_else(data: st.DataObject, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        WRITERS[name](path, [{"id": f"i{at}", "text": "some text", "n": at, "d": ["x"]} for at in range(5)])
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        with contextlib.suppress(BadSource):
            (source,) = open_sources([path])
            for one in source.entries():
                assert one.problem or one.text


def test_a_text_in_arrow_that_is_no_utf8_spoils_its_row_alone(tmp_path: Path) -> None:
    offsets, data = pa.py_buffer(b"".join(at.to_bytes(4, "little") for at in (0, 1, 2, 3))), pa.py_buffer(b"a\xe9c")
    column = pa.Array.from_buffers(pa.string(), 3, [None, offsets, data])
    table = pa.table({"text": column})
    pq.write_table(table, tmp_path / "t.parquet")
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    for name in ("t.parquet", "t.arrow"):
        found = entries(tmp_path / name)
        assert [one.text for one in found] == ["a", None, "c"]
        assert found[1].problem
        assert found[1].problem.kind == "BadText"


@pytest.mark.parametrize("name", ["t.arrow", "s.feather", "t.parquet"])
def test_a_column_whose_name_is_no_utf8(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, [{"text": "x", "strange": 1}])
    data = (tmp_path / name).read_bytes().replace(b"strange", b"\xfftrange")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadSource, match="utf-8"):
        entries(tmp_path / name)


def test_arrow_that_points_outside_its_memory_is_damage(tmp_path: Path) -> None:
    write_file(tmp_path / "t.arrow", [{"text": one} for one in ("aa", "b", "cc")])
    data = bytearray((tmp_path / "t.arrow").read_bytes())
    offsets = data.index(b"".join(at.to_bytes(4, "little") for at in (0, 2, 3, 5)))
    data[offsets + 12 : offsets + 16] = (2**30).to_bytes(4, "little")
    (tmp_path / "t.arrow").write_bytes(data)
    (only,) = entries(tmp_path / "t.arrow")
    assert only.problem
    assert only.problem.kind == "DamagedFile"


def test_many_files_are_one_source(tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    for at, name in enumerate(("b.parquet", "a.parquet", "sub/c.parquet", "notes.md", ".hidden.parquet")):
        write_parquet(tmp_path / "data" / name, [{"text": f"{at}"}])
    assert [one.text for one in entries(f"{tmp_path}/data/*.parquet")] == ["1", "0"]
    assert [one.text for one in entries(f"{tmp_path}/data/**/*.parquet")] == ["1", "0", "2"]
    assert [one.text for one in entries(tmp_path / "data", kind=SourceKind.TABLE)] == ["1", "0", "2"]
    assert [one.text for one in entries(tmp_path / "data", kind=SourceKind.TABLE, exclude=("sub",))] == ["1", "0"]
    one = tmp_path / "data" / "a.parquet"
    assert [one.text for one in entries(one, one, tmp_path / "data/b.parquet")] == ["1", "0"]
    (source,) = open_sources([f"{tmp_path}/data/*.parquet"])
    assert source.total == 2
    with pytest.raises(BadSource, match="is no table"):
        entries(tmp_path / "data" / "notes.md", kind=SourceKind.TABLE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceNotFound, match="holds no file"):
        entries(tmp_path / "empty", kind=SourceKind.TABLE)


def test_tables_in_an_object_store(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    for name, write in WRITERS.items():
        write(tmp_path / name, [{"text": "x", "image": "p.png"}, {"text": "y", "image": "/abs.png"}])
        store.pipe(f"/tables/{name}", (tmp_path / name).read_bytes())
        first, second = entries(f"memory://tables/{name}")
        assert first.image == Reference(uri="memory:///tables/p.png") or first.image == Reference(
            uri="memory://tables/p.png"
        )
        assert second.problem
        assert "absolute path" in second.problem.reason


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.arrow"])
def test_the_memory_does_not_grow_with_the_rows(tmp_path: Path, name: str) -> None:
    words = [f"a text of some length, number {at}" for at in range(200_000)]
    path = tmp_path / name
    if name.endswith(("csv", "jsonl")):
        line = '"{}",{}' if name.endswith("csv") else '{{"text":"{}","n":{}}}'
        with path.open("w") as file:
            file.write("text,n\n" if name.endswith("csv") else "")
            file.writelines(line.format(word, at) + "\n" for at, word in enumerate(words))
    else:
        table = pa.table({"text": words, "n": list(range(200_000))})
        if name.endswith("parquet"):
            pq.write_table(table, path)
        else:
            with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
                writer.write_table(table, max_chunksize=1000)
        del table
    del words
    (source,) = open_sources([path])
    process = psutil.Process()
    settled = most = 0
    for at, _ in enumerate(source.entries(), 1):
        if at == 20_000:
            settled = process.memory_info().rss
        elif at % 5_000 == 0:
            most = max(most, process.memory_info().rss)
    assert at == 200_000
    assert most - settled < 30_000_000  # one kept entry takes some 1,000 bytes


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


def test_a_url_may_hold_blanks(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,image\na,https://example.org/a cat.jpg\n")
    (one,) = entries(tmp_path / "t.csv")
    assert one.image == Reference(uri="https://example.org/a%20cat.jpg")


@pytest.mark.parametrize(
    "cell", ["s3://bucket/a.jpg", "memory://x/a.jpg", "gs://b/a.jpg", "ftp://h/a.jpg", "s3://b/a.zip::file://x"]
)
def test_a_table_opens_no_other_store_with_the_users_credentials(tmp_path: Path, cell: str) -> None:
    (tmp_path / "t.csv").write_text(f"id,image\na,{cell}\n")
    (one,) = entries(tmp_path / "t.csv")
    assert one.problem
    assert (one.problem.kind, "--allow-scheme" in one.problem.reason) == ("BadPicture", True)
    (one,) = entries(tmp_path / "t.csv", allow_schemes=("s3", "gs", "memory"))
    assert bool(one.problem) == (cell.startswith("ftp") or "::" in cell)


def test_a_table_in_a_store_may_name_what_is_in_it() -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/in/t.csv", b"id,image\na,memory://in/a.jpg\nb,file:///etc/passwd\n")
    one, two = entries("memory://in/t.csv")
    assert one.image == Reference(uri="memory://in/a.jpg")
    assert two.problem
