"""The same rows give the same entries in every format, and damage of a file costs no more than it must."""

import contextlib
import tempfile
from datetime import UTC
from pathlib import Path

import fsspec
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneword.engine.texts import is_blank
from oneword.indexer.entry import Reference
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.options import SourceKind
from oneword.indexer.sources import open_sources

from .table_files import WRITERS, Rows, entries, write_csv, write_json_lines, write_parquet, write_stream

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


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
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


@settings(max_examples=80)
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


def test_many_files_are_one_source(tmp_path: Path) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    for at, name in enumerate(("b.parquet", "a.parquet", "sub/c.parquet", "notes.md", ".hidden.parquet")):
        write_parquet(tmp_path / "data" / name, [{"text": f"{at}"}])
    assert [one.text for one in entries(f"{tmp_path}/data/*.parquet")] == ["1", "0"]
    assert [one.text for one in entries(f"{tmp_path}/data/**/*.parquet")] == ["1", "0", "2"]
    assert [one.text for one in entries(tmp_path / "data", kind=SourceKind.TABLE)] == ["1", "0", "2"]
    assert [one.text for one in entries(tmp_path / "data", kind=SourceKind.TABLE, exclude=("sub",))] == ["1", "0"]
    (tmp_path / "data" / "phone").mkdir()
    write_parquet(tmp_path / "data" / "phone" / "d.parquet", [{"text": "hidden"}])
    (tmp_path / "data" / "phone" / ".nomedia").touch()
    assert [one.text for one in entries(tmp_path / "data", kind=SourceKind.TABLE)] == ["1", "0", "2"], "as globs"
    one = tmp_path / "data" / "a.parquet"
    assert [one.text for one in entries(one, one, tmp_path / "data/b.parquet")] == ["1", "0"]
    (source,) = open_sources([f"{tmp_path}/data/*.parquet"])
    assert source.total == 2
    with pytest.raises(BadSource, match="is not a table"):
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
