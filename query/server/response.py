"""JSON responses, and conditional requests."""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from starlette.requests import Request
from starlette.responses import Response


def answer(document: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(dumped(document), status, media_type="application/json")


def dumped(document: Any) -> bytes:
    """JSON in UTF-8; NaN becomes null, lone surrogates stay escaped."""
    try:
        return to_json(document, inf_nan_mode="null")  # much faster than the standard library, especially for vectors
    except PydanticSerializationError:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def is_held(request: Request, tag: str) -> bool:
    """Whether If-None-Match has the tag (RFC 9110, 13.1.2: a list, or `*`; weak tags match)."""
    tags = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag in tags or tags == ["*"]
