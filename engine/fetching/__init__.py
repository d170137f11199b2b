"""Fetches images and small files by URL, from public addresses only.

    >>> from oneword.engine.fetching import Fetcher
    >>> with Fetcher() as fetcher:                                          # doctest: +SKIP
    ...     fetcher.fetch("https://example.org/cat.jpg").data

URLs come from strangers: from lists of URLs, and from requests. So a URL is parsed strictly (`urls`), its host is
resolved once and every address is checked before one is connected to (`addresses`, `network`), and time and size are
limited (`config`). One `Fetcher` serves many threads. Needs the extra `oneword[remote]`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.engine.fetching.config import FetchConfig
    from oneword.engine.fetching.fetcher import Fetched, Fetcher

__all__ = ["FetchConfig", "Fetched", "Fetcher"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'oneword.engine.fetching' has no attribute {name!r}")
    from oneword.engine.dependencies import require

    require("httpcore", "idna", what="fetching by URL", extra="remote")
    from oneword.engine.fetching import fetcher

    return getattr(fetcher, name)
