"""URLs of pictures, given outright or listed in files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from oneword.indexer.entry import Entry, Problem, Reference, id_of
from oneword.indexer.errors import BadSource
from oneword.indexer.sources.lines import DAMAGE, lines
from oneword.indexer.sources.place import Place, may_reference, printable, reason_of

MAX_LINE = 2**16
"""Longest URL in bytes; browsers and servers stop well before."""


class UrlSource:
    """A URL each, or a file with one URL a line; blank lines and those that begin with # are passed over.

    Args:
        given: URLs, and places of files that list them.

    Raises:
        BadSource: a list cannot be opened.
    """

    def __init__(self, given: Sequence[str | Place], schemes: tuple[str, ...] = ()) -> None:
        self.ignored: Counter[str] = Counter()
        self._given, self._schemes = given, schemes
        for one in given:
            if isinstance(one, Place):
                try:
                    next(lines(one, MAX_LINE), None)
                except DAMAGE as error:
                    raise BadSource(f"{one.shown}: cannot be read as a list of URLs ({reason_of(error)})") from error

    @property
    def containers(self) -> frozenset[str]:
        """See `Source`."""
        return frozenset(one.uri for one in self._given if isinstance(one, Place))

    @property
    def total(self) -> int | None:
        """Known where no file is read."""
        return None if any(isinstance(one, Place) for one in self._given) else len(self._given)

    def entries(self) -> Iterator[Entry]:
        """In the order given, and in each file line by line."""
        for one in self._given:
            if isinstance(one, Place):
                yield from _listed(one, self._schemes)
            elif (url := printable(one)) != one:
                yield _failed(
                    url, "BadUrl", f"{url}: holds bytes that are not UTF-8, expected a URL; write them as %XX"
                )
            else:
                yield _entry(one)


def _listed(place: Place, schemes: tuple[str, ...]) -> Iterator[Entry]:
    try:
        for number, line in lines(place, MAX_LINE):
            try:
                url = (line or b"\0").decode().strip().replace(" ", "%20")
            except UnicodeDecodeError:
                url = "\0"
            if not url or url.startswith("#"):
                continue
            if (
                not may_reference(url, place, schemes)
                or "\0" in url
                or any(one.isspace() for one in url)
                or not _has_place(url)
            ):
                said = (
                    printable(ascii(line.strip()[:100]))[2:-1] if line is not None else f"more than {MAX_LINE:,} bytes"
                )
                reason = (
                    f"{place.shown}, line {number:,}: is {said!r}, expected a URL such as https://example.org/a.jpg"
                )
                yield _failed(f"{place.uri}#row={number}", "BadUrl", reason)
            else:
                yield replace(_entry(url), source=place.uri)
    except DAMAGE as error:
        yield _failed(place.uri, "DamagedFile", f"{place.shown}: cannot be read to its end ({reason_of(error)})")


def _has_place(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) if parts.scheme.lower() in ("http", "https") else True
    except ValueError:  # a spoilt IPv6 address
        return False


def _entry(url: str) -> Entry:
    return Entry(id=id_of(url), uri=url, origin=url, image=Reference(uri=url))


def _failed(origin: str, kind: str, reason: str) -> Entry:
    return Entry(id=id_of(origin), uri=origin, origin=origin, problem=Problem(kind=kind, reason=reason))
