"""Originals of pages: the whole document or a range of it, if its time and size are those that were indexed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneword.indexer import index_paths
from oneword.indexer.entry import id_of
from tests import papers

ITEMS = "/collections/default/items"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    pytest.importorskip("pypdfium2")
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "book.pdf").write_bytes(papers.pdf("one", "two"))
    (folder / "fax.tif").write_bytes(papers.tiff("red", "blue"))
    return folder


@pytest.fixture
def original(service: Any, db: Path, shelf: Path) -> Callable[..., Any]:
    """Asks for the original of a file's second page."""
    index_paths([shelf], db=str(db), model="hash")

    def ask(name: str = "book.pdf", **headers: str) -> Any:
        page = id_of(f"{(shelf / name).as_uri()}#page=2")
        named = {key.replace("_", "-"): one for key, one in headers.items()}
        return service.get(f"{ITEMS}/{page}/original", headers=named)

    return ask


def test_the_document_of_a_page(original: Any, shelf: Path) -> None:
    for name, kind in {"book.pdf": "application/pdf", "fax.tif": "image/tiff"}.items():
        answer = original(name)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.content == (shelf / name).read_bytes()
        assert answer.headers["x-content-type-options"] == "nosniff"
    again = original("fax.tif", If_None_Match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


def test_ranges(original: Any, shelf: Path) -> None:
    data = (shelf / "book.pdf").read_bytes()
    size = len(data)
    tag = original().headers["etag"]
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=10-", 10, size - 1),
        ("bytes=-7", size - 7, size - 1),
        ("bytes=5-999999", 5, size - 1),
        (f"bytes=-{size + 1}", 0, size - 1),
    ):
        answer = original(Range=asked, If_Range=tag)
        assert answer.status_code == 206, asked
        assert answer.content == data[first : last + 1], asked
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert answer.headers["content-length"] == str(last - first + 1)
    for asked in (f"bytes={size}-", "bytes=9-3", "bytes=-0"):
        answer = original(Range=asked)
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}"), asked
    for asked in ("bytes=-", "bytes=0-1,4-5", "lines=0-1", "bytes=x", f"bytes={'9' * 5000}-"):
        assert original(Range=asked).status_code == 200, asked
    assert original(Range="bytes=0-0", If_Range='"other"').status_code == 200


def test_a_document_that_is_another(original: Any, shelf: Path, refused: Any) -> None:
    book = shelf / "book.pdf"
    data, about = book.read_bytes(), book.stat()

    def keep_time() -> None:
        os.utime(book, ns=(about.st_atime_ns, about.st_mtime_ns))

    book.write_bytes(data)
    os.utime(book, ns=(1, 1))
    refused(original(), 404, "original_gone")
    keep_time()
    assert original().status_code == 200
    book.write_bytes(b"a secret of the very same length".ljust(len(data)))
    keep_time()
    refused(original(), 404, "original_gone")
    book.unlink()
    book.symlink_to("/etc/passwd")
    refused(original(), 404, "original_gone")
    book.unlink()
    refused(original(), 404, "original_gone")
    os.mkfifo(book)
    refused(original(), 404, "original_gone")


def test_files_are_closed(original: Any) -> None:
    def opened() -> list[str]:
        links = [Path(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd")]  # noqa: PTH208
        return [os.readlink(one) for one in links if one.is_symlink()]  # noqa: PTH115

    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=99999-"}, {"If_None_Match": "*"}):
        original(**headers)
    assert not [one for one in opened() if one.endswith("book.pdf")]
