import gzip
from pathlib import Path
from typing import Any

import fsspec
import pytest

from oneword.indexer.entry import Entry, Reference, id_of
from oneword.indexer.errors import BadSource
from oneword.indexer.options import SourceKind, SourceOptions
from oneword.indexer.sources import open_sources

LIST = b"""\xef\xbb\xbfhttps://example.org/a.jpg

# a note
  http://example.org/b c.jpg
http://example.org/%20.jpg\r
nonsense
https://
http://[::1/x.png
caf\xe9
s3://bucket/x.png
ftp://127.0.0.1/x.png
zip://x.png::http://127.0.0.1/x.zip
https://example.org/\xc3\xa9.png"""


def entries(*given: str | Path, kind: SourceKind = SourceKind.URLS, **options: Any) -> list[Entry]:
    (source,) = open_sources(given, SourceOptions(kind=kind, **options))
    found = list(source.entries())
    assert source.total in (None, len(found))
    return found


def test_urls_given_outright() -> None:
    urls = ["https://example.org/a.jpg?x=*", "HTTP://example.org/{1,2}.png"]
    for kind in (SourceKind.AUTO, SourceKind.URLS):
        found = entries(*urls, kind=kind)
        assert [(one.uri, one.origin, one.image, one.id) for one in found] == [
            (url, url, Reference(uri=url), id_of(url)) for url in urls
        ]


def test_a_list_of_urls(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(LIST)
    (tmp_path / "list.gz").write_bytes(gzip.compress(LIST))
    fsspec.filesystem("memory").pipe("/list.txt", LIST)
    for given in (tmp_path / "list.txt", tmp_path / "list.gz", "memory://list.txt"):
        found = entries(given, "https://example.org/last.png", allow_schemes=("s3",))
        assert [one.uri for one in found if not one.problem] == [
            "https://example.org/a.jpg",
            "http://example.org/b%20c.jpg",
            "http://example.org/%20.jpg",
            "s3://bucket/x.png",
            "https://example.org/é.png",
            "https://example.org/last.png",
        ]
        bad = [one.problem for one in found if one.problem]
        assert {one.kind for one in bad} == {"BadUrl"}
        assert len(bad) == 6
        assert "line 6: is 'nonsense', expected a URL such as" in bad[0].reason
        assert len({one.origin for one in found}) == len(found)


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "wide.txt").write_text("https://example.org/\n", encoding="utf-16")
    assert [one.uri for one in entries(tmp_path / "wide.txt")] == ["https://example.org/"]
    with pytest.raises(BadSource, match="cannot be read as a list of URLs"):
        entries(tmp_path)
    packed = gzip.compress(b"".join(b"https://example.org/%d.png\n" % at for at in range(9000)))
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
    *good, last = entries(tmp_path / "cut.gz")
    assert good
    assert last.problem
    assert last.problem.kind == "DamagedFile"
