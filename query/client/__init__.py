"""A running service from Python, with or without asyncio. Needs the extra `oneword[client]`, on httpx alone.

>>> from oneword.query.client import Client
>>> with Client("http://localhost:8000", key=None) as client:               # doctest: +SKIP
...     for hit in client.search("a cat", where="year >= 2020", limit=5):
...         print(hit.score, hit.uri)
...     client.search(image="cat.jpg", edit="the same, but a dog")

`AsyncClient` has the same methods, to be awaited. What both raise is in `oneword.query.client.errors`. The public names
are those of `__init__.pyi`.
"""

from typing import Any

import lazy_loader

from oneword.engine.dependencies import require

_loaded, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__:
        require("httpx", what="a client of a server", extra="client")
    return _loaded(name)
