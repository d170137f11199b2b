import gzip
import io
import os
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.indexer.entry import Entry, id_of
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.options import SourceKind, SourceOptions
from oneword.indexer.sources import open_sources, webdataset
from oneword.indexer.sources.webdataset import WebDatasetSource

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
    assert (first.origin, first.uri) == (f"{root}#a/000", f"{root}#a/000.jpg")
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


def photos(*names: str) -> Members:
    return [(name, name.encode()) for name in names]


def told(*paths: str | Path, **options: Any) -> dict[str, Any]:
    """What each sample has, by its member: its text, or True; or its problem."""
    found = {
        one.uri.partition("#")[2]: one.problem.kind if one.problem else one.text or True for one in entries(*paths)
    }
    assert len(found) == len(entries(*paths))
    return {unquote(name): what for name, what in found.items()}


def test_names_with_dots_are_images_of_their_own(tmp_path: Path) -> None:
    names = [f"p/WhatsApp Image 2023-01-02 at 10.{at}.12.jpeg" for at in range(11, 15)]
    names += ["p/IMG_2023.03.17_10.11.12.jpg", "p/IMG_2023.03.18_10.11.12.jpg", "p/v1.000001.png", "p/v1.000002.png"]
    captions = ["p/IMG_2023.03.17_10.11.12.txt", "p/v1.000002.png.txt"]
    (tmp_path / "s.tar").write_bytes(tar(photos(*sorted([*names, *captions]))))
    expected = dict.fromkeys(names, True) | {
        "p/IMG_2023.03.17_10.11.12.jpg": captions[0],
        "p/v1.000002.png": captions[1],
    }
    assert told(tmp_path / "s.tar") == expected
    assert len({one.id for one in entries(tmp_path / "s.tar")}) == len(names)


def test_all_images_of_a_sample_and_all_its_texts_count(tmp_path: Path) -> None:
    members = photos("k.jpg", "k.left.png", "k.mask.png", "k.txt", "k.outputs.txt", "k.mask.txt")
    members += [("m.left.jpg", b"x"), ("m.right.jpg", b"x"), ("m.txt", b"both"), ("n.jpg", b"x")]
    members += [("n.json", b'{"caption": "of the JSON", "year": 1}'), ("o.txt", b"words"), ("o.json", b'{"year": 2}')]
    (tmp_path / "s.tar").write_bytes(tar(members))
    assert told(tmp_path / "s.tar") == {
        "k.jpg": "k.outputs.txt\nk.txt",
        "k.left.png": True,
        "k.mask.png": "k.mask.txt",
        "m.left.jpg": "both",
        "m.right.jpg": "both",
        "n.jpg": "of the JSON",
        "o.txt": "words",
    }
    assert [one.metadata for one in entries(tmp_path / "s.tar") if one.metadata] == [{"year": 1}, {"year": 2}]


def test_an_unsorted_shard_is_paired_or_its_texts_are_told(tmp_path: Path) -> None:
    names = [f"{at}.{end}" for end in ("jpg", "txt", "json") for at in range(5)]
    members = [(name, b'{"n": 1}' if name.endswith("json") else name.encode()) for name in [*names, "alone.txt"]]
    (tmp_path / "s.tar").write_bytes(tar(members))
    (tmp_path / "s.tar.gz").write_bytes(gzip.compress(tar(members)))
    assert told(tmp_path / "s.tar") == {f"{at}.jpg": f"{at}.txt" for at in range(5)} | {"alone.txt": "alone.txt"}
    assert sum(one.metadata == {"n": 1} for one in entries(tmp_path / "s.tar")) == 5
    found = entries(tmp_path / "s.tar.gz")
    assert [one.image for one in found if one.image] == [f"{at}.jpg".encode() for at in range(5)]
    assert sum(bool(one.problem and one.problem.kind == "UnsortedShard") for one in found) == 10


def test_other_members_are_counted(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name in ("a.jpg", "._a.jpg", ".hidden/b.jpg", "README", "a.cls", "__MACOSX/._a.jpg"):
            member = tarfile.TarInfo(name)
            archive.addfile(member)
        for name, kind in (
            ("link.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a.jpg"
            archive.addfile(member)
    (source,) = open_sources([tmp_path / "s.tar"])
    assert len(list(source.entries())) == 1
    assert source.ignored == {"hidden files": 3, "(no suffix)": 1, ".cls": 1, "links": 2, "special files": 1}


def test_spoilt_samples_spoil_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset, "MAX_MEMBER", 100)
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
        "a second of the same name",
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


@settings(max_examples=60)
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
    with pytest.raises(BadSource, match=r"bad\.tar: is not a tar file"):
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
    assert peak(2_000) < peak(100) + 300_000, "but for a number a key"
