"""Reads content from wherever an entry says that it is."""

import threading
from typing import TYPE_CHECKING

from oneword.engine.roots import Roots
from oneword.indexer.entry import Reference
from oneword.indexer.sources.reading import read

if TYPE_CHECKING:
    from oneword.engine.fetching import Fetcher


class Contents:
    """See `oneword.indexer.loading.Read`. Safe from many threads; URLs go through one safe fetcher, made at need."""

    def __init__(self, *, allow_private: bool = False, roots: Roots | None = None) -> None:
        """allow_private: let URLs lead to private addresses, too. roots: outside which nothing is read."""
        self._allow_private, self._roots = allow_private, roots
        self._mutex = threading.Lock()
        self._fetcher: Fetcher | None = None

    def __call__(self, place: Reference) -> bytes:
        """The bytes; raises InputError."""
        return read(place, fetch=self._fetch, roots=self._roots)

    def close(self) -> None:
        """Closes connections."""
        if self._fetcher is not None:
            self._fetcher.close()

    def _fetch(self, url: str) -> bytes:
        with self._mutex:
            if self._fetcher is None:
                from oneword.engine.fetching import FetchConfig, Fetcher

                self._fetcher = Fetcher(FetchConfig(allow_private=self._allow_private))
        return self._fetcher.fetch(url).data
