"""Answers as bytes, and whether the client has them already."""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from starlette.requests import Request
from starlette.responses import Response


def answer(document: Any, status: int = 200) -> Response:
    """JSON."""
    return Response(dumped(document), status, media_type="application/json")


def dumped(document: Any) -> bytes:
    """JSON in UTF-8, null for NaN; what no Unicode text can hold (lone surrogates) stays an escape."""
    try:
        return to_json(document, inf_nan_mode="null")  # much quicker than the standard library's, above all for vectors
    except PydanticSerializationError:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


def is_held(request: Request, tag: str) -> bool:
    """Whether the client holds what has the tag (RFC 9110, 13.1.2: a list, or `*`; weak tags will do)."""
    told = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag in told or told == ["*"]
