"""What is written down of each request: a line in the log, numbers in the metrics, a span in the trace."""

import json
import logging
import sys
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.query.server.metrics import Metrics
from oneword.query.server.tracing import Tracer

log = logging.getLogger("oneword.query.server.requests")

GONE = 499
"""The status of a request that nobody waited for until it was answered; nginx's."""


class Telemetry:
    """ASGI: the outermost layer, which sees every request and what it was told."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracer: Tracer) -> None:
        self._app, self._metrics, self._tracer = app, metrics, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, size = time.perf_counter(), GONE, 0

        async def told(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        with self._tracer.request(scope) as span:
            try:
                await self._app(scope, receive, told)
            except Exception:
                status = 500 if status == GONE else status  # the server says so for us
                raise
            finally:
                seconds = time.perf_counter() - started
                route = _route(scope)
                self._metrics.answered(scope["method"], route, status, seconds)
                if code := scope.get("state", {}).get("problem"):
                    self._metrics.problem(code)
                span.end(route, status)
                if log.isEnabledFor(logging.INFO):
                    log.info("request", extra={"request": _told(scope, route, status, size, seconds)})


def _route(scope: Scope) -> str:
    """The route's template: a path would make a new label for each item."""
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))


def _told(scope: Scope, route: str, status: int, size: int, seconds: float) -> dict[str, Any]:
    state = scope.get("state", {})
    principal = state.get("principal")
    client = scope.get("client")
    return {
        "request_id": state.get("request_id"),
        "method": scope["method"],
        "route": route,
        "path": scope["path"][:500],
        "status": status,
        "problem": state.get("problem"),
        "bytes": size,
        "ms": round(1000 * seconds, 3),
        "key": getattr(principal, "id", None),
        "client": client[0] if client else None,
    }


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """time, level, logger, message, and what the record brings."""
        document: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("request", "request_id"):
            if hasattr(record, name):
                document[name] = getattr(record, name)
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=True, default=str)


class Lines(logging.Formatter):
    """A log record as a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message; of a request what it was and what it was told."""
        request = getattr(record, "request", None)
        if request is not None:
            record.msg = "%(method)s %(path)r %(status)s %(ms).1f ms [%(request_id)s]"
            record.args = request
        return f"{self.formatTime(record, '%H:%M:%S')} {record.levelname.lower():7} {super().format(record)}"


def log_to_stderr(form: str) -> None:
    """Sends all logs to stderr. form: "json" or "text"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("faiss.loader", "httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
