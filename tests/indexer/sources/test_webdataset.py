import gzip
import io
import os
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.entry import Entry, id_of
from indexer.errors import BadSource, SourceNotFound
from indexer.sources import shard
from indexer.sources.choosing import open_sources
from indexer.sources.options import SourceKind, SourceOptions
from indexer.sources.webdataset import WebDatasetSource

Members = Iterable[tuple[str, bytes]]


def tar(members: Members, layout: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=layout) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def entries(*paths: str | Path, **options: Any) -> list[Entry]:
    (source,) = open_sources(paths, SourceOptions(**options))
    assert isinstance(source, WebDatasetSource)
    assert source.total is None
    found = list(source.entries())
    assert found == list(source.entries())
    return found


SAMPLES: Members = [
    ("a/000.jpg", b"first"),
    ("a/000.txt", b"a cat\r\n"),
    ("a/000.json", b'{"id": 7, "width": 3, "when": "2024-01-02", "tags": ["x"], "nested": {"a": 1}, "bad key": true}'),
    ("a/000.cls", b"5"),
    ("a/001.seg.PNG", b"second"),
    ("a/001.caption", b" "),
    ("b/000.txt", b"only words"),
    ("c.json", b'{"id": "x"}'),
]


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.tgz"])
def test_samples_become_entries(tmp_path: Path, name: str, layout: int) -> None:
    data = tar(SAMPLES, layout)
    (tmp_path / name).write_bytes(data if name == "s.tar" else gzip.compress(data))
    root = (tmp_path / name).as_uri()
    first, second, third, fourth = entries(tmp_path / name)
    assert (first.image, first.text) == (b"first", "a cat")
    assert first.origin == first.uri == f"{root}#a/000"
    assert first.id == id_of(first.origin)
    assert {key: str(value) for key, value in first.metadata.items()} == {
        "id": "7",
        "width": "3",
        "when": "2024-01-02",
        "tags": "['x']",
        "bad_key": "True",
    }
    assert (second.image, second.text) == (b"second", None)
    assert (third.image, third.text) == (None, "only words")
    assert fourth.problem
    assert fourth.problem.kind == "EmptyRow"
    (source,) = open_sources([tmp_path / name])
    list(source.entries())
    assert source.ignored == {".cls": 1}


def test_ids_and_metadata_as_asked(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(tar(SAMPLES))
    found = entries(tmp_path / "s.tar", id_column="id", metadata_columns=("width",))
    assert found[0].id == "7"
    assert found[0].metadata == {"width": 3}
    assert [one.problem and one.problem.kind for one in found] == [None, "BadId", "BadId", "EmptyRow"]


def test_the_picture_is_the_one_with_the_plainest_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "MAX_MEMBER", 100)
    members = [("k.mask.png", b"mask"), ("k.webp", b"plain"), ("k.a.jpg", b"other"), ("k.mp4", b"x" * 200)]
    (tmp_path / "s.tar").write_bytes(tar(members))
    (one,) = entries(tmp_path / "s.tar")
    assert one.image == b"plain"


def test_spoilt_samples_spoil_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "MAX_MEMBER", 100)
    members = [
        ("0.txt", b"\xff\x00"),
        ("1.txt", b"x"),
        ("1.json", b"{"),
        ("2.txt", b"x"),
        ("2.json", b"[]"),
        ("3.jpg", b"x" * 101),
        ("3.txt", b"x"),
        ("4.txt", b"good"),
        ("4.txt", b"a second of the same name"),
        ("README", b"no sample"),
        (".hidden", b"no sample"),
        (os.fsdecode(b"caf\xe9.txt"), b"odd name"),
    ]
    (tmp_path / "s.tar").write_bytes(tar(members, tarfile.GNU_FORMAT))
    found = entries(tmp_path / "s.tar")
    assert [one.problem.kind if one.problem else one.text for one in found] == [
        "BadText",
        "BadRow",
        "BadRow",
        "FileTooLarge",
        "good",
        "odd name",
    ]
    assert found[-1].origin.endswith("#caf%E9")
    assert all(
        one.problem.reason.startswith(f"{tmp_path}/s.tar, sample") or ".txt" in one.problem.reason
        for one in found
        if one.problem
    )


def many(count: int) -> bytes:
    return tar((f"{at:04}.{end}", data) for at in range(count) for end, data in (("jpg", b"p" * 700), ("txt", b"t")))


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(1, 5 * 512 * 20), packed=st.booleans())
def test_of_a_cut_shard_the_whole_samples_count(
    tmp_path_factory: pytest.TempPathFactory, cut: int, packed: bool
) -> None:
    """Never is less than the whole shard read without a word."""
    data = many(20)
    path = tmp_path_factory.mktemp("cut") / "s.tar"
    path.write_bytes(gzip.compress(data[:cut], 1) if packed else data[:cut])
    try:
        found = entries(path)
    except BadSource:
        assert cut < 5 * 512
        return
    *good, last = found
    assert last.problem
    assert last.problem.kind == "DamagedFile"
    assert last.origin == path.as_uri()
    assert [one.origin.rpartition("#")[2] for one in good] == [f"{at:04}" for at in range(len(good))]
    assert len(good) >= cut // (5 * 512) - 1


def test_a_spoilt_header_is_told(tmp_path: Path) -> None:
    """tarfile alone, and webdataset with it, takes this for the end."""
    data = bytearray(many(10))
    at = data.index(b"0005.jpg")
    data[at : at + 200] = b"\x55" * 200
    (tmp_path / "s.tar").write_bytes(data)
    (tmp_path / "t.tar").write_bytes(many(2))
    with tarfile.open(tmp_path / "s.tar") as archive:
        assert len(archive.getnames()) == 2 * 5
    found = entries(tmp_path / "s.tar", tmp_path / "t.tar")
    assert [bool(one.problem) for one in found] == [*[False] * 4, True, False, False]
    assert found[4].problem
    assert "damaged after 4 samples" in found[4].problem.reason


def test_what_follows_the_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(many(2) + many(3))
    *good, last = entries(tmp_path / "s.tar")
    assert [one.problem for one in good] == [None, None]
    assert last.problem
    assert "perhaps another archive" in last.problem.reason
    packed = bytearray(gzip.compress(many(2)))
    packed[-6] ^= 1  # the checksum
    (tmp_path / "s.tar.gz").write_bytes(packed)
    *good, last = entries(tmp_path / "s.tar.gz")
    assert [one.problem for one in good] == [None, None]
    assert last.problem
    assert "CRC" in last.problem.reason


def test_a_cut_gzip_stream_is_told(tmp_path: Path) -> None:
    packed = gzip.compress(many(200))
    (tmp_path / "s.tar.gz").write_bytes(packed[: len(packed) // 2])
    *good, last = entries(tmp_path / "s.tar.gz")
    assert 0 < len(good) < 200
    assert last.problem


def test_shards_by_braces_globs_and_folders(tmp_path: Path) -> None:
    for at in range(12):
        (tmp_path / f"s-{at:03}.tar").write_bytes(tar([("k.txt", str(at).encode())]))
    assert [one.text for one in entries(f"{tmp_path}/s-{{000..011}}.tar")] == [str(at) for at in range(12)]
    assert [one.text for one in entries(f"{tmp_path}/s-{{003,001}}.tar")] == ["3", "1"]
    assert [one.text for one in entries(f"{tmp_path}/s-*.tar")] == [str(at) for at in range(12)]
    assert len({one.id for one in entries(tmp_path, kind=SourceKind.WEBDATASET)}) == 12
    with pytest.raises(SourceNotFound, match=r"s-012\.tar"):
        entries(f"{tmp_path}/s-{{010..012}}.tar")
    with pytest.raises(SourceNotFound, match="does not exist"):
        entries(f"{tmp_path}/s-{{010..012.tar")
    store = fsspec.filesystem("memory")
    store.pipe("/shards/s-1.tar", tar([("k.txt", b"far")]))
    assert [one.text for one in entries("memory://shards/s-{1..1}.tar")] == ["far"]
    with pytest.raises(SourceNotFound, match=r"s-2\.tar"):
        entries("memory://shards/s-{1..2}.tar")
    with pytest.raises(SourceNotFound, match=r"s-1\.tar"):
        entries("memory://nowhere/s-{1..2}.tar")


@pytest.mark.parametrize("content", [b"", b"not a tar file" * 100, b"\x1f\x8b\0"])
def test_what_is_no_tar_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(BadSource, match=r"bad\.tar: is no tar file"):
        entries(tmp_path / "bad.tar")
    (tmp_path / "good.tar").write_bytes(many(1))
    bad, good = entries(tmp_path / "bad.tar", tmp_path / "good.tar")
    assert bad.problem
    assert good.text == "t"


def test_an_empty_shard_has_no_samples(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(tar([]))
    assert entries(tmp_path / "s.tar") == []


def test_the_memory_holds_one_sample(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        (tmp_path / "s.tar").write_bytes(many(count))
        (source,) = open_sources([tmp_path / "s.tar"])
        tracemalloc.start()
        assert sum(1 for _ in source.entries()) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # what is made once
    assert peak(2_000) < peak(100) + 100_000
