"""Answers that list many things: written one thing at a time, no larger than an answer may be, and sent in pieces."""

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from oneword.query.server.limits import MAX_ANSWER
from oneword.query.server.problem import Problem
from oneword.query.server.response import dumped

PIECE = 64 * 2**10
"""Bytes that are joined to one piece, or a little more."""

Pieces = list[bytes]
"""JSON, cut anywhere."""


def listed(name: str, documents: Iterable[Any], rest: Mapping[str, Any]) -> Pieces:
    """`{"name": [documents], **rest}` as JSON. Run it in a thread: others have their turn between two documents.

    Args:
        documents: what JSON can hold, or `Pieces`.

    Raises:
        Problem: 422 `answer_too_large`, as soon as it has more than `MAX_ANSWER` bytes.
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
    """Bytes."""
    return sum(map(len, pieces))


def check_size(size: int) -> int:
    """The size, if an answer may be as large. Raises Problem."""
    if size > MAX_ANSWER:
        raise Problem(
            422,
            "answer_too_large",
            f"the answer has more than {MAX_ANSWER:,} bytes",
            remedy="Ask for fewer items or queries at once, or without vectors and thumbnails; an item's thumbnail is "
            "at GET /v1/collections/NAME/items/ID/thumbnail.",
        )
    return size


class Listing(Response):
    """JSON in pieces, each of which is let go of when it is sent."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(media_type="application/json", headers={"Content-Length": str(length(pieces))})
        self._pieces = pieces[::-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """As ASGI says."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while self._pieces:
            piece = self._pieces.pop()
            await send({"type": "http.response.body", "body": piece, "more_body": bool(self._pieces)})
