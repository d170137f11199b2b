"""Parquet and Arrow files that are corrupt inside."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword.indexer.errors import BadSource
from oneword.indexer.sources import open_sources

from .table_files import WRITERS, entries, write_file


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
