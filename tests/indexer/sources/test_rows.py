"""Ids, images and texts in the cells of a row."""

from pathlib import Path
from typing import Any

import fsspec
import pytest

from oneword.indexer.entry import Reference, id_of

from .table_files import WRITERS, entries, write_json_lines, write_parquet


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
    assert {one.problem.kind for one in found if one.image is None and one.problem} == {"BadImage"}


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
    assert (one.problem.kind, "--allow-scheme" in one.problem.reason) == ("BadImage", True)
    (one,) = entries(tmp_path / "t.csv", allow_schemes=("s3", "gs", "memory"))
    assert bool(one.problem) == (cell.startswith("ftp") or "::" in cell)


def test_a_table_in_a_store_may_name_what_is_in_it() -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/in/t.csv", b"id,image\na,memory://in/a.jpg\nb,file:///etc/passwd\n")
    one, two = entries("memory://in/t.csv")
    assert one.image == Reference(uri="memory://in/a.jpg")
    assert two.problem
