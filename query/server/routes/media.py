"""Thumbnails and originals of items."""

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
from oneword.engine.files import part_of
from oneword.engine.images import decode
from oneword.query.result import media_type
from oneword.query.server.collection_route import CollectionRoute
from oneword.query.server.documents import document
from oneword.query.server.problem import Problem
from oneword.query.server.registry import State, state_of
from oneword.query.server.response import is_held
from oneword.query.server.schemas import PROBLEMS, operation
from oneword.storage import Item, ItemNotFound

router = APIRouter(prefix="/v1/collections/{collection}/items", tags=["items"], route_class=CollectionRoute)

MOST = 256 * 2**20
"""Maximum size of an original in bytes."""

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
    200: {
        "content": {"image/*": {}, "text/plain": {}, "application/pdf": {}, "video/*": {}},
        "description": "The bytes.",
    },
    206: {"content": {"application/pdf": {}, "video/*": {}}, "description": "A range of them."},
}


@router.get("/{id:path}/thumbnail", **operation("read", problems={**PROBLEMS, **_IMAGES}))
async def thumbnail(request: Request, collection: str, id: str) -> Response:  # noqa: A002
    """The thumbnail of an item."""
    item = await _item(state_of(request), collection, id)
    if item.thumbnail is None:
        raise Problem("no_thumbnail", f"item {id!r} has no thumbnail")
    tag = f'"{item.content_hash[:32]}-t"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
    if is_held(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(item.thumbnail, media_type=media_type(item.thumbnail), headers=headers)


@router.get("/{id:path}/original", **operation("read", problems={**PROBLEMS, **_IMAGES}))
async def original(request: Request, collection: str, id: str) -> Response:  # noqa: A002
    """The original file of an item, if it is unchanged; for a web address, a redirect to it.

    Of a page the whole document is returned, and a range of its bytes where that is asked for.
    """
    state = state_of(request)
    item = await _item(state, collection, id)
    if item.uri.lower().startswith(("http://", "https://")):
        return RedirectResponse(item.uri, 302)
    if part_of(item.uri) is not None:
        return await state.workers.run("originals", document, item, request)
    tag = f'"{item.content_hash[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
    if is_held(request, tag):
        return Response(status_code=304, headers=headers)
    if item.modality == "text":
        return Response(item.text or "", media_type="text/plain", headers=headers)
    data = await state.workers.run("originals", original_of, item)
    kind = next((kind for start, kind in _TYPES.items() if data.startswith(start)), "application/octet-stream")
    return Response(data, media_type=kind, headers=headers)


async def _item(state: State, collection: str, item_id: str) -> Item:
    served = await state.collections.get(collection)
    found = await state.workers.run("search", served.collection.get, [item_id])
    if item_id not in found:
        raise ItemNotFound(item_id, collection)
    return found[item_id]


def original_of(item: Item) -> bytes:
    """The file at the item's URI, if its pixels are still those that were indexed: no other file is ever returned.

    Raises:
        Problem: it is gone or changed, or it is not a local file (but in an archive, a table or a remote store).
    """
    try:
        parts = urlsplit(item.uri)
    except ValueError:  # s3://[
        parts = urlsplit("")
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.fragment or item.image_hash is None:
        detail = f"the original of item {item.id!r} is not a local file"
        raise Problem("no_original", detail)
    gone = Problem("original_gone", f"the original of item {item.id!r} is gone or was changed")
    try:
        # O_NONBLOCK: do not wait for a pipe. A link is safe: its target is compared with what was indexed.
        with os.fdopen(
            os.open(Path(os.fsdecode(unquote_to_bytes(parts.path))), os.O_RDONLY | os.O_NONBLOCK), "rb"
        ) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_size > MOST:
                raise gone
            data = file.read(MOST)
        # As large as the indexed image at most; a JPEG may be larger, as it is reduced when it is decoded.
        most = max(MAX_PIXELS, (item.width or 0) * (item.height or 0))
        pixels = decode(data, max_pixels=most, max_jpeg_pixels=MOST_PIXELS)
        same = engine.Image(pixels=pixels).content_hash == item.image_hash
    except (OSError, ValueError, InputError):
        raise gone from None
    if not same:
        raise gone
    return data
