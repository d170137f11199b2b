"""A running service from Python, with or without asyncio. Needs the extra `oneword[client]`, on httpx alone.

>>> from oneword.query.client import Client
>>> with Client("http://localhost:8000", key=None) as client:               # doctest: +SKIP
...     for hit in client.search("a cat", where="year >= 2020", limit=5):
...         print(hit.score, hit.uri)
...     client.search(image="cat.jpg", edit="the same, but a dog")

`AsyncClient` has the same methods, to be awaited. What both raise is in `oneword.query.client.errors`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.query.client.answers import (
        CollectionDetails,
        CollectionSummary,
        File,
        IndexCheck,
        Job,
        Outcome,
        StoredItem,
        Upserted,
    )
    from oneword.query.client.client import AsyncClient, Client
    from oneword.query.client.errors import BadAnswer, Busy, ClientError, NotThere, Refused, Rejected, ServerUnreachable
    from oneword.query.client.inputs import NewItem

_HOMES = {
    "answers": [
        "CollectionDetails",
        "CollectionSummary",
        "File",
        "IndexCheck",
        "Job",
        "Outcome",
        "StoredItem",
        "Upserted",
    ],
    "client": ["AsyncClient", "Client"],
    "errors": ["BadAnswer", "Busy", "ClientError", "NotThere", "Refused", "Rejected", "ServerUnreachable"],
    "inputs": ["NewItem"],
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "Busy",
    "Client",
    "ClientError",
    "CollectionDetails",
    "CollectionSummary",
    "File",
    "IndexCheck",
    "Job",
    "NewItem",
    "NotThere",
    "Outcome",
    "Refused",
    "Rejected",
    "ServerUnreachable",
    "StoredItem",
    "Upserted",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'oneword.query.client' has no attribute {name!r}")
    from oneword.engine.dependencies import require

    require("httpx", what="a client of a server", extra="client")
    return getattr(import_module(f"oneword.query.client.{_HOME[name]}"), name)
