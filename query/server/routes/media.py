"""Thumbnails of items, and the originals that they were made of."""

import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from oneword import engine
from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.errors import InputError
from oneword.engine.images import decode
from oneword.query.result import media_type
from oneword.query.server.guard.access import needs
from oneword.query.server.problem import Problem
from oneword.query.server.response import is_held
from oneword.query.server.schemas import PROBLEMS
from oneword.query.server.state import State, state_of
from oneword.storage import Item, ItemNotFound

router = APIRouter(prefix="/v1/collections/{collection}/items", tags=["items"])

MOST = 256 * 2**20
"""Bytes of an original that is served."""

_TYPES = {
    b"\xff\xd8": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}
_IMAGES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {}, "text/plain": {}}, "description": "The bytes."}
}


@router.get("/{id:path}/thumbnail", dependencies=[needs("read")], responses={**PROBLEMS, **_IMAGES})
async def thumbnail(request: Request, collection: str, id: str) -> Response:  # noqa: A002
    """A small picture of an item."""
    item = await _item(state_of(request), collection, id)
    if item.thumbnail is None:
        raise Problem(404, "no_thumbnail", f"item {id!r} has no thumbnail", remedy="Only pictures have.")
    tag = f'"{item.content_hash[:32]}-t"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
    if is_held(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(item.thumbnail, media_type=media_type(item.thumbnail), headers=headers)


@router.get("/{id:path}/original", dependencies=[needs("read")], responses={**PROBLEMS, **_IMAGES})
async def original(request: Request, collection: str, id: str) -> Response:  # noqa: A002
    """The file that an item was made of, if it is still the same; for one on the web, a redirect to it."""
    state = state_of(request)
    item = await _item(state, collection, id)
    if item.uri.lower().startswith(("http://", "https://")):
        return RedirectResponse(item.uri, 302)
    tag = f'"{item.content_hash[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
    if is_held(request, tag):
        return Response(status_code=304, headers=headers)
    if item.modality == "text":
        return Response(item.text or "", media_type="text/plain", headers=headers)
    data = await state.workers.run("originals", picture_of, item)
    kind = next((kind for start, kind in _TYPES.items() if data.startswith(start)), "application/octet-stream")
    return Response(data, media_type=kind, headers=headers)


async def _item(state: State, collection: str, item_id: str) -> Item:
    served = await state.catalogue.current(collection)
    found = await state.workers.run("search", served.collection.get, [item_id])
    if item_id not in found:
        raise ItemNotFound(item_id, collection)
    return found[item_id]


def picture_of(item: Item) -> bytes:
    """The file at the item's URI, of which the pixels are still those that were indexed: nothing else is ever told.

    Raises:
        Problem: it is gone, was changed, or lies in an archive, a table, or another place that is not read here.
    """
    try:
        parts = urlsplit(item.uri)
    except ValueError:  # s3://[
        parts = urlsplit("")
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.fragment or item.image_hash is None:
        detail = f"the original of item {item.id!r} is no file of its own"
        raise Problem(404, "no_original", detail, remedy="Ask for its thumbnail.")
    gone = Problem(
        404, "original_gone", f"the original of item {item.id!r} is gone, or was changed", remedy="Index it again."
    )
    try:
        # Without waiting for a pipe; whatever a link leads to is compared with what was indexed.
        with os.fdopen(
            os.open(Path(os.fsdecode(unquote_to_bytes(parts.path))), os.O_RDONLY | os.O_NONBLOCK), "rb"
        ) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_size > MOST:
                raise gone
            data = file.read(MOST)
        # An image may be as large as the one that was indexed. A JPEG may be larger: it is reduced, as it was then.
        most = max(MAX_PIXELS, (item.width or 0) * (item.height or 0))
        pixels = decode(data, max_pixels=most, max_jpeg_pixels=MOST_PIXELS)
        same = engine.Image(pixels=pixels).content_hash == item.image_hash
    except (OSError, ValueError, InputError):
        raise gone from None
    if not same:
        raise gone
    return data
