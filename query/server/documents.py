"""Originals of which an item is a part: a document or a video, whole or a range of its bytes (RFC 9110, 14)."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from oneword.engine.files import ETAG, mark, whole
from oneword.engine.roots import local_path
from oneword.query.server.problem import Problem
from oneword.query.server.response import is_held
from oneword.storage import Item

TYPES = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    *((4, one, "video/mp4") for one in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS", "video/ogg"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-wmv"),
)
"""Where a signature stands in a file, the signature, and the media type. No file without one is ever returned."""

PLAYS = "default-src 'none'; media-src 'self'; frame-ancestors 'none'"
"""Content-Security-Policy of videos: a browser shows one on a page that it makes, which may load nothing else."""

PIECE = 2**18
"""Bytes that are read at once."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Range(StreamingResponse):
    """A range of a file's bytes, which closes the file however it ends."""

    def __init__(self, descriptor: int, start: int, end: int, **options: Any) -> None:
        """descriptor: of the open file. start, end: the first byte, and the one after the last."""
        super().__init__(_pieces(descriptor, start, end), **options)
        self._descriptor = descriptor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


def document(item: Item, request: Request) -> Response:
    """Returns the file that an item is a part of, if its time and size are those that it was indexed with.

    Args:
        item: whose URI names a part. Only indexing stores such URIs together with that mark.
        request: one range of bytes is honored, several are not.

    Raises:
        Problem: the file is gone or changed, or is not on this machine.
    """
    path = local_path(whole(item.uri))
    if path is None:
        raise Problem("no_original", f"the original of item {item.id!r} is not a local file")
    gone = Problem("original_gone", f"the original of item {item.id!r} is gone or was changed")
    known = item.metadata.get(ETAG)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # do not wait for a pipe
    except (OSError, ValueError):
        raise gone from None
    keep = False
    try:
        about = os.fstat(descriptor)
        head = os.pread(descriptor, 16, 0) if stat.S_ISREG(about.st_mode) else b""
        kind = next((kind for at, sign, kind in TYPES if head.startswith(sign, at)), None)
        # A caption's mark may follow the file's own.
        if kind is None or not isinstance(known, str) or known.partition("+")[0] != mark(about):
            raise gone
        size, tag = about.st_size, f'"{mark(about)}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=3600", "Accept-Ranges": "bytes"}
        headers |= {"Content-Security-Policy": PLAYS} if kind.startswith("video/") else {}
        if is_held(request, tag):
            return Response(status_code=304, headers=headers)
        span = _span(request.headers, size, tag)
        start, end = span or (0, size)
        if span:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}" if start < end else f"bytes */{size}"
        if start >= end:
            return Response(status_code=416, headers=headers)
        keep = True
        headers["Content-Length"] = str(end - start)
        return Range(descriptor, start, end, status_code=206 if span else 200, headers=headers, media_type=kind)
    finally:
        if not keep:
            os.close(descriptor)


def _span(headers: Mapping[str, str], size: int, tag: str) -> tuple[int, int] | None:
    """The bytes that are asked for, from the first to the one after the last; empty: there are none. None: all."""
    match = _RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or not any(match.groups()) or headers.get("if-range", tag) != tag:
        return None
    first, last = match.groups()
    if not first:  # the last so many
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def _pieces(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    while start < end and (piece := os.pread(descriptor, min(PIECE, end - start), start)):
        start += len(piece)
        yield piece
