"""Telemetry of requests: a log line, Prometheus metrics, and an OpenTelemetry span; and the ASGI layer `Telemetry`."""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneword.engine.dependencies import require

log = logging.getLogger("oneword.query.server.requests")

DISCONNECTED = 499
"""Status of a request whose client disconnected before the response; nginx's."""

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Other methods share one label: clients can make them up."""

SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder where processes share metrics; prometheus_client reads it when it is imported."""

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Prometheus metrics, in their own registry: two services in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watched: list[Collector] = []
        of: Any = {"registry": self.registry, "namespace": "oneword"}
        self._requests = Counter("requests", "Requests answered.", ["method", "route", "status"], **of)
        self._seconds = Histogram("request_seconds", "From head to last byte.", ["route"], buckets=SECONDS, **of)
        self._stages = Histogram("stage_seconds", "Parts of a request.", ["stage"], buckets=SECONDS, **of)
        self._batches = Histogram("batch_size", "Inputs encoded together.", buckets=SIZES, **of)
        self._cache = Counter("vector_cache", "Vectors looked up in the cache.", ["outcome"], **of)
        self._problems = Counter("problems", "Errors returned to clients.", ["code"], **of)
        self.working = Gauge("requests_in_progress", "Requests in progress.", multiprocess_mode="livesum", **of)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request. route: its template, not its path, which would create a label for each item."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """Records the time of a part of a request."""
        self._stages.labels(name).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Records a batch of inputs and its time."""
        self._batches.observe(size)
        self._stages.labels("batch").observe(seconds)

    def cached(self, hits: int, misses: int) -> None:
        """Counts lookups in the vector cache."""
        self._cache.labels("hit").inc(hits)
        self._cache.labels("miss").inc(misses)

    def problem(self, code: str) -> None:
        """Counts an error returned to a client."""
        self._problems.labels(code).inc()

    def watch(self, collector: Collector) -> None:
        """Adds metrics that are computed when they are read."""
        self.registry.register(collector)
        self._watched.append(collector)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format. Where processes share them, what is counted is of all of them."""
        if SHARED_METRICS not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        for one in self._watched:
            together.register(one)
        return generate_latest(together)


class Span:
    """The span of a request."""

    def __init__(self, span: Any, scope: Scope) -> None:
        self._span, self._scope = span, scope
        self._stages: dict[str, float] = {}

    def end(self, route: str, status: int) -> None:
        """Sets the route and the status."""
        self._span.update_name(f"{self._scope['method']} {route}")
        attributes = {"http.route": route, "http.response.status_code": status}
        if request_id := self._scope.get("state", {}).get("request_id"):
            attributes["oneword.request_id"] = request_id
        self._span.set_attributes(attributes)
        if status >= 500:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)

    def stage(self, name: str, milliseconds: float) -> None:
        """Adds the time of a part of the request; the times of a batch's queries are summed."""
        self._stages[name] = self._stages.get(name, 0.0) + milliseconds
        self._span.set_attribute(f"oneword.{name}_ms", self._stages[name])


class OpenTelemetry:
    """Sends a span of each request to a collector, as part of the caller's trace (W3C traceparent).

    Attributes follow OpenTelemetry's semantic conventions for HTTP servers, plus `oneword.encode_ms` and
    `oneword.search_ms`.

    Args:
        url: of the collector, OTLP over HTTP: `http://collector:4318`.
        exporter: used instead of one to `url`.

    Raises:
        MissingDependency: the extra `otel` is not installed.
    """

    def __init__(self, url: str, exporter: Any = None) -> None:
        require("opentelemetry.sdk", what="tracing", extra="otel")
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(endpoint=url.rstrip("/") + "/v1/traces")
        self._provider = TracerProvider(resource=Resource.create({"service.name": "oneword"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("oneword")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Span]:
        """A span for the length of the block."""
        from opentelemetry.trace import SpanKind

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        context = self._propagator.extract(headers)
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self._tracer.start_as_current_span(
            scope["method"], context=context, kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            recorded = Span(span, scope)
            scope.setdefault("state", {})["span"] = recorded
            yield recorded

    def close(self) -> None:
        """Sends the spans that were not sent yet."""
        self._provider.shutdown()


class Telemetry:
    """ASGI layer, the outermost: records every request and its response."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracer: OpenTelemetry | None) -> None:
        self._app, self._metrics, self._tracer = app, metrics, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, size = time.perf_counter(), DISCONNECTED, 0

        async def sending(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        with self._tracer.request(scope) if self._tracer else nullcontext() as span:
            try:
                await self._app(scope, receive, sending)
            except Exception:
                status = 500 if status == DISCONNECTED else status  # uvicorn sends it
                raise
            finally:
                seconds = time.perf_counter() - started
                route = str(getattr(scope.get("route"), "path", "unmatched"))
                if span is not None:
                    span.end(route, status)
                # uvloop sends what was written at the end of the loop's turn: not after this.
                asyncio.get_running_loop().call_soon(self._record, scope, route, status, size, seconds)

    def _record(self, scope: Scope, route: str, status: int, size: int, seconds: float) -> None:
        self._metrics.answered(scope["method"], route, status, seconds)
        if code := scope.get("state", {}).get("problem"):
            self._metrics.problem(code)
        if log.isEnabledFor(logging.INFO):
            log.info("request", extra={"request": _described(scope, route, status, size, seconds)})


def _described(scope: Scope, route: str, status: int, size: int, seconds: float) -> dict[str, Any]:
    state, client = scope.get("state", {}), scope.get("client")
    return {
        "request_id": state.get("request_id"),
        "method": scope["method"],
        "route": route,
        "path": scope["path"][:500],
        "status": status,
        "problem": state.get("problem"),
        "bytes": size,
        "ms": round(1000 * seconds, 3),
        "key": getattr(state.get("principal"), "id", None),
        "client": client[0] if client else None,
    }


class JsonLines(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
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
    """Formats a log record as a line of text."""

    def format(self, record: logging.LogRecord) -> str:
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
