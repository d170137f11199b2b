import os
from pathlib import Path

import fsspec
import pytest

from oneword.engine.errors import EmptyFile, FileTooLarge, InputError, NotAnImage, UnreadableFile
from oneword.indexer.entry import Reference
from oneword.indexer.sources.reading import read


def test_files_are_read_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 #1?.png")
    path.write_bytes(b"data")
    assert read(Reference(uri=path.as_uri())) == b"data"
    fsspec.filesystem("memory").pipe("/far/x y#1.png", b"more")
    assert read(Reference(uri="memory://far/x y#1.png")) == b"more"
    assert read(Reference(uri="https://e.org/x"), fetch=lambda url: url.encode()) == b"https://e.org/x"


def test_what_cannot_be_read_is_an_error_of_the_input(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "long").write_bytes(b"x" * 11)
    os.mkfifo(tmp_path / "pipe")

    def refusing(url: str) -> bytes:
        raise NotAnImage(f"{url}: no")

    def failing(url: str) -> bytes:
        raise RuntimeError("the network is down")

    cases: list[tuple[str, type[InputError], str]] = [
        ((tmp_path / "absent").as_uri(), UnreadableFile, "No such file"),
        ((tmp_path / "pipe").as_uri(), UnreadableFile, "not a regular file"),
        (tmp_path.as_uri(), UnreadableFile, "not a regular file"),
        ((tmp_path / "empty").as_uri(), EmptyFile, "0 bytes"),
        ((tmp_path / "long").as_uri(), FileTooLarge, "longer than 10 bytes"),
        ("file://elsewhere/x", UnreadableFile, "another machine"),
        ("file:///a%00b", UnreadableFile, "null byte"),
        ("memory://absent", UnreadableFile, "absent"),
        ("no-such-scheme://x", UnreadableFile, "no-such-scheme"),
        ("https://e.org/x", UnreadableFile, "not fetched here"),
    ]
    for uri, kind, sign in cases:
        with pytest.raises(kind, match=sign) as caught:
            read(Reference(uri=uri), max_bytes=10)
        assert type(caught.value) is kind
    with pytest.raises(NotAnImage):
        read(Reference(uri="https://e.org/x"), fetch=refusing)
    with pytest.raises(UnreadableFile, match="the network is down"):
        read(Reference(uri="https://e.org/x"), fetch=failing)
    with pytest.raises(FileTooLarge):
        read(Reference(uri="https://e.org/x"), fetch=lambda _: b"x" * 11, max_bytes=10)
