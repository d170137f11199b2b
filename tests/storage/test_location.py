from __future__ import annotations

from pathlib import Path

import pytest

from oneword.storage.location import Location


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/data/db", Path("/data/db")),
        (Path("/data/db"), Path("/data/db")),
        ("file:///data/my%20db", Path("/data/my db")),
        ("~/db", Path.home() / "db"),
        ("s3://bucket/db/", None),
    ],
)
def test_reading_an_address(given: str | Path, path: Path | None) -> None:
    place = Location.of(given)
    assert place.path == path
    assert place.uri == (str(path) if path else "s3://bucket/db")


def test_a_relative_path_is_taken_where_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Location.of("db")
    monkeypatch.chdir("/")
    assert place.uri == str(tmp_path / "db")


def test_a_local_lock_lies_beside_the_table() -> None:
    assert Location.of("/data/db").lock_file("things") == Path("/data/db/things.lock")


def test_locks_in_an_object_store_are_local_and_apart() -> None:
    files = {Location.of(uri).lock_file(name) for uri in ("s3://a/x", "s3://b/x") for name in ("one", "two")}
    assert len(files) == 4
    assert Location.of("s3://a/x").lock_file("one") == Location.of("s3://a/x/").lock_file("one")


def test_size_is_known_of_a_local_table_only(tmp_path: Path) -> None:
    (tmp_path / "t.lance" / "data").mkdir(parents=True)
    (tmp_path / "t.lance" / "data" / "x").write_bytes(b"12345")
    assert Location.of(tmp_path).bytes_of("t") == 5
    assert Location.of("s3://a/x").bytes_of("t") is None
