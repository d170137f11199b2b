"""JSON responses that list many objects: bounded in size, encoded one object at a time, and sent in pieces."""

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from oneword.query.server.limits import MAX_ANSWER
from oneword.query.server.problem import Problem
from oneword.query.server.response import dumped

PIECE = 64 * 2**10
"""Approximate size of a piece in bytes."""

Pieces = list[bytes]
"""JSON, split anywhere."""


def listed(name: str, documents: Iterable[Any], rest: Mapping[str, Any]) -> Pieces:
    """`{"name": [documents], **rest}` as JSON. Run it in a thread: other threads run between two documents.

    Args:
        documents: JSON-ready objects, or `Pieces`.

    Raises:
        Problem: 422 `answer_too_large`, once it exceeds `MAX_ANSWER` bytes.
    """
    pieces: Pieces = []
    some, size, total = [b'{"%s":[' % name.encode()], 0, 0
    for place, document in enumerate(documents):
        written = document if isinstance(document, list) else [dumped(document)]
        added = length(written)
        size, total = size + added, check_size(total + added)
        some += [b",", *written] if place else written
        if size > PIECE:
            pieces += some if isinstance(document, list) else [b"".join(some)]
            some, size = [], 0
    end = dumped(rest)[1:]
    return [*pieces, b"".join([*some, b"]," if len(end) > 1 else b"]", end])]


def length(pieces: Pieces) -> int:
    """The total number of bytes."""
    return sum(map(len, pieces))


def check_size(size: int) -> int:
    """Returns the size if it is allowed, else raises Problem."""
    if size > MAX_ANSWER:
        raise Problem("answer_too_large", f"the response exceeds {MAX_ANSWER:,} bytes")
    return size


class Listing(Response):
    """A JSON response in pieces, each of which is freed when it is sent."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(media_type="application/json", headers={"Content-Length": str(length(pieces))})
        self._pieces = pieces[::-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while self._pieces:
            piece = self._pieces.pop()
            await send({"type": "http.response.body", "body": piece, "more_body": bool(self._pieces)})
