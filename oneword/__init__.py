"""Multimodal vector search: find images and texts by words, by an image, or by an image and an edit.

    import oneword

    photos = oneword.connect(".oneword").collection("photos")
    photos.index("~/Pictures", "captions.csv")
    for hit in photos.search("a cat", limit=5):
        print(hit.score, hit.uri)
    photos.search(image="beach.jpg", edit="at night")

`connect` takes a folder, an object store's URI, or a service's URL; `connect_async` has the same to be awaited. The
parts: `oneword.engine` embeds, `oneword.storage` keeps, `oneword.indexer` fills a store, `oneword.query` answers.
"""

import os
from typing import TYPE_CHECKING

from oneword.errors import Error

if TYPE_CHECKING:
    from oneword.awaited import AsyncDatabase
    from oneword.database import Collection, Database
    from oneword.notebook import SearchWidget

__all__ = ["Error", "connect", "connect_async", "widget"]


def connect(db: str | os.PathLike[str] = ".oneword", *, key: str | None = None) -> "Database":
    """Opens a database, here or behind a service.

    Args:
        db: a folder, an object store's URI (s3://bucket/path), or a service's URL (http://host:8000).
        key: an API key, for a service that wants one.

    Raises:
        Error: no database can be there.
    """
    from oneword.database import Database
    from oneword.local import Local
    from oneword.remote import Remote

    where = os.fspath(db)
    return Database(Remote(where, key) if where.startswith(("http://", "https://")) else Local(where, key))


def connect_async(db: str | os.PathLike[str] = ".oneword", *, key: str | None = None) -> "AsyncDatabase":
    """Opens a database whose methods are awaited. Args and raises: as `connect`."""
    from oneword.awaited import AsyncDatabase

    return AsyncDatabase(connect(db, key=key))


def widget(collection: "Collection", *, query: str = "", where: str = "", limit: int = 12) -> "SearchWidget":
    """Returns a search box with a grid of hits, for notebooks.

    Args:
        collection: of `connect`, here or behind a service.
        query, where, limit: to begin with.

    Raises:
        Error: the extra `notebook` is not installed.
    """
    from oneword.notebook import SearchWidget

    return SearchWidget(collection, query=query, where=where, limit=limit)
