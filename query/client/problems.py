"""Errors from responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oneword.engine.fetching.retrying import retry_after
from oneword.query.client.errors import BadAnswer, Busy, ClientError, NotThere, Refused, Rejected

if TYPE_CHECKING:
    import httpx

SHOWN = 200
"""Characters shown of a response that is not the service's."""

_KINDS: dict[int, type[ClientError]] = (
    dict.fromkeys((401, 403), Refused)
    | dict.fromkeys((404, 410), NotThere)
    | dict.fromkeys((400, 405, 409, 413, 415, 421, 422, 431, 501), Rejected)
    | dict.fromkeys((408, 429, 503, 504), Busy)
)


def failure(response: httpx.Response) -> ClientError:
    """The error of a response with a status other than 2xx."""
    status, wait = response.status_code, retry_after(response.headers.get("retry-after"))
    request_id = response.headers.get("x-request-id")
    if response.is_redirect:
        to = response.headers.get("location")
        return BadAnswer(
            f"{_where(response)}: redirects to {to!r}, and redirects are not followed, as the key would go along",
            status=status,
            request_id=request_id,
            remedy="Give the address that it redirects to, if that is the service's.",
        )
    problem = _problem(response)
    if problem is not None:
        return stated(problem, status=status, request_id=request_id, wait=wait)
    kind = _KINDS.get(status, BadAnswer)
    return kind(
        f"{_where(response)}: answers {status} {response.reason_phrase}, not as the service does: {shown(response)}",
        status=status,
        request_id=request_id,
        retry_after=wait,
        remedy="Is it the service's address, and is the service up behind its proxy?",
    )


def stated(
    problem: Mapping[str, Any], *, status: int | None = None, request_id: str | None = None, wait: float | None = None
) -> ClientError:
    """The error of a problem document: {"status", "code", "detail", "field"?, "remedy"?, "request_id"?}."""
    given = problem.get("status")
    status = status if status is not None else given if isinstance(given, int) else None
    kind = _KINDS.get(status or 0, ClientError)
    text = {name: problem[name] for name in ("code", "field", "remedy") if isinstance(problem.get(name), str)}
    return kind(
        str(problem.get("detail") or problem.get("title") or "the request failed"),
        status=status,
        request_id=str(problem.get("request_id") or "") or request_id,
        retry_after=wait,
        **text,
    )


def unreadable(response: httpx.Response, error: Exception) -> BadAnswer:
    """The error of a 2xx response that cannot be read."""
    return BadAnswer(
        f"{_where(response)}: answers what cannot be read ({type(error).__name__}: {error}): {shown(response)}",
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
        remedy="Is it the service's address, and is the service as new as this client?",
    )


def shown(response: httpx.Response) -> str:
    """The media type and the beginning of a response."""
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    try:
        line = " ".join(response.text[: 10 * SHOWN].split())
    except (LookupError, ValueError):  # a charset that is none
        line = repr(response.content[:SHOWN])
    return f"{kind}, {line if len(line) <= SHOWN else line[: SHOWN - 3] + '...'!r}" if line else f"{kind}, nothing"


def _where(response: httpx.Response) -> str:
    return str(response.request.url.copy_with(query=None))


def _problem(response: httpx.Response) -> Mapping[str, Any] | None:
    """The problem document, also of OpenAI's form: {"error": {"message", "param", "code"}}."""
    try:
        document = response.json()
    except ValueError:  # undecodable bytes are, too
        return None
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return {"detail": error["message"], "code": error.get("code"), "field": error.get("param")}
    return document if isinstance(document.get("detail"), str) else None
