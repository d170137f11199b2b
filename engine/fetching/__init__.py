"""Pictures and small files by URL, safely: from the world, never from the network that we stand in.

    >>> from oneword.engine.fetching import Fetcher
    >>> with Fetcher() as fetcher:                                          # doctest: +SKIP
    ...     fetcher.fetch("https://example.org/cat.jpg").data

What is fetched is what strangers name: in lists of URLs, in requests. So a URL is read strictly (`urls`), its host is
resolved once and every address checked before one of them is connected to (`addresses`, `network`), and a server may
be slow, large or busy only so far (`config`). One `Fetcher` serves many threads. Needs the extra `oneword[remote]`.
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
