"""URLs of images, given by the user or listed in files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from oneword.indexer.entry import Entry, Reference, failed, id_of
from oneword.indexer.errors import BadSource
from oneword.indexer.sources.lines import DAMAGE, lines
from oneword.indexer.sources.place import Place, may_reference, printable, reason_of

MAX_LINE = 2**16
"""Longest URL in bytes; browsers and servers stop well before."""


class UrlSource:
    """URLs, and files with a URL on each line; blank lines and those that begin with # are skipped.

    Args:
        given: URLs, and places of files that list them.
        schemes: of object stores that lists may name.

    Raises:
        BadSource: a list cannot be opened.
    """

    def __init__(self, given: Sequence[str | Place], schemes: tuple[str, ...] = ()) -> None:
        self.ignored: Counter[str] = Counter()
        self._given, self._schemes = given, schemes
        lists = [one for one in given if isinstance(one, Place)]
        self.containers = frozenset(one.uri for one in lists)
        self.total = None if lists else len(given)
        for one in lists:
            try:
                next(lines(one, MAX_LINE), None)
            except DAMAGE as error:
                raise BadSource(f"{one}: cannot be read as a list of URLs ({reason_of(error)})") from error

    def entries(self) -> Iterator[Entry]:
        """In the order given, and in each file line by line."""
        for one in self._given:
            if isinstance(one, Place):
                yield from self._listed(one)
            elif (url := printable(one)) != one:
                reason = f"{url}: holds bytes that are not UTF-8, expected a URL; write them as %XX"
                yield failed(url, "BadUrl", reason)
            else:
                yield _entry(one)

    def _listed(self, place: Place) -> Iterator[Entry]:
        try:
            for number, line in lines(place, MAX_LINE):
                url = "\0" if line is None else line.decode(errors="surrogateescape").strip().replace(" ", "%20")
                if not url or url.startswith("#"):
                    continue
                if may_reference(url, place, self._schemes) and _is_url(url):
                    yield replace(_entry(url), source=place.uri)
                    continue
                found = f"more than {MAX_LINE:,} bytes" if line is None else ascii(line.strip()[:100])[1:]
                expected = "expected a URL such as https://example.org/a.jpg"
                reason = f"{place}, line {number:,}: is {found}, {expected}"
                yield failed(f"{place.uri}#row={number}", "BadUrl", reason)
        except DAMAGE as error:
            yield failed(place.uri, "DamagedFile", f"{place}: cannot be read to its end ({reason_of(error)})")


def _is_url(url: str) -> bool:
    """Whether it holds no blanks and no undecodable bytes and, if http(s), names a host."""
    if "\0" in url or printable(url) != url or any(map(str.isspace, url)):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme.lower() not in ("http", "https") or bool(parts.hostname)
    except ValueError:  # a broken IPv6 address
        return False


def _entry(url: str) -> Entry:
    return Entry(id=id_of(url), uri=url, origin=url, image=Reference(uri=url))
