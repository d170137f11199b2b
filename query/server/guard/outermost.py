"""What every answer has: an id, safe headers, and a problem document where something went wrong."""

import logging
import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.server.problem import Problem

log = logging.getLogger(__name__)

_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

SAFE = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""Headers of every answer, unless the app has set its own of that name."""


class SafeHeaders:
    """ASGI middleware: a request id, in `scope["state"]["request_id"]` and in the answer, and the headers `SAFE`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = [value for name, value in scope["headers"] if name == b"x-request-id"]
        request_id = said[0] if len(said) == 1 and _ID.fullmatch(said[0]) else new_id().encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                headers += [header for header in SAFE.items() if header[0] not in there]
                if b"x-request-id" not in there:
                    headers.append((b"x-request-id", request_id))
                message["headers"] = headers
            await send(message)

        await self.app(scope, receive, sending)


class Net:
    """ASGI middleware: what is raised below becomes the answer.

    A Problem, or another exception that `Problem.of` knows, is told; of any other only that there was one, and it is
    logged with its traceback. An app that answers its own exceptions and raises them again (Starlette's does) has
    them logged here too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            problem = Problem.of(error)
            request_id = scope.get("state", {}).get("request_id")
            scope.setdefault("state", {})["problem"] = problem.code  # for who counts them
            if problem.code == "internal":
                what = f"{scope['method']} {scope['path']!r}"
                log.exception("%s failed (request %s)", what, request_id, extra={"request_id": request_id})
            if not started:  # else the server cuts the answer off, as it is not complete
                await problem.response(request_id, openai=speaks_openai(scope["path"]))(scope, receive, send)


def new_id() -> str:
    """An id of a request: 32 hexadecimal digits, as long as a trace's."""
    return secrets.token_hex(16)


def speaks_openai(path: str) -> bool:
    """Whether errors of this path have OpenAI's form."""
    return path in ("/v1/models", "/v1/embeddings") or path.startswith("/v1/models/")
