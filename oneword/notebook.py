"""A search box with a grid of hits, for notebooks (anywidget, the extra `notebook`)."""

import base64
from pathlib import Path
from typing import Any

from oneword.database import Collection
from oneword.engine.dependencies import require
from oneword.errors import Error
from oneword.query.result import SearchResult, data_uri

require("anywidget", what="oneword.widget", extra="notebook")

import anywidget  # noqa: E402
import traitlets  # noqa: E402


class SearchWidget(anywidget.AnyWidget):
    """A search box over a collection. Made by `oneword.widget`.

    Traits, which the browser sets and anyone may observe:
        query: words; with an image an edit of it.
        image: an encoded image as a data URI; "" for none.
        where: a filter; "" for none.
        limit: number of hits.
        note: what is shown below the box.
        hits: what is shown, each with id, score, name, text and image.

    result: the `SearchResult` behind it; None before the first search and after an error.
    """

    _esm = Path(__file__).with_name("notebook.js")
    _css = Path(__file__).with_name("notebook.css")

    query = traitlets.Unicode("").tag(sync=True)
    image = traitlets.Unicode("").tag(sync=True)
    where = traitlets.Unicode("").tag(sync=True)
    limit = traitlets.Int(12).tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    hits: Any = traitlets.List().tag(sync=True)

    def __init__(self, collection: Collection, **given: Any) -> None:
        super().__init__(**given)
        self.collection = collection
        self.result: SearchResult | None = None
        self.observe(self._search, ["query", "image", "where", "limit"])
        self._search()

    def _search(self, _: object = None) -> None:
        self.result = None
        if not self.query.strip() and not self.image:
            self.hits, self.note = [], ""
            return
        try:
            self.result = self.collection.search(**self._parts(), limit=self.limit, where=self.where or None)
        except Error as error:
            self.hits, self.note = [], str(error)
            return
        found = self.result
        about = f"{len(found)} items in {found.encode_ms + found.search_ms:.0f} ms"
        self.note = about if found.fits else f"{about}; nothing fits well"
        images = found.thumbnails()
        self.hits = [
            {
                "id": hit.id,
                "score": round(hit.score, 3),
                "name": hit.uri.rsplit("/", 1)[-1] or hit.id,
                "text": hit.text or "",
                "image": data_uri(images[hit.id]) if hit.id in images else "",
            }
            for hit in found
        ]

    def _parts(self) -> dict[str, Any]:
        words = self.query.strip() or None
        if not self.image:
            return {"query": words}
        try:
            data = base64.b64decode(self.image.partition(",")[2], validate=True)
        except ValueError as error:
            raise Error(f"the image is not a data URI: {error}") from error
        return {"image": data, "edit": words}
