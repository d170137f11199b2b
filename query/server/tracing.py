"""Spans for OpenTelemetry, where a collector was named; nothing otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Scope

from oneword.engine.dependencies import require


class Span:
    """One request's, that nobody records."""

    def end(self, route: str, status: int) -> None:
        """The request was answered."""

    def stage(self, name: str, milliseconds: float) -> None:
        """A part of it took so long. Of many queries in one request each says so, and the times are added up."""


class Tracer:
    """Records nothing."""

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Span]:  # noqa: ARG002
        """A span for the length of the block."""
        yield Span()

    def close(self) -> None:
        """Sends what was not sent yet."""


class _Recorded(Span):
    def __init__(self, span: Any, scope: Scope) -> None:
        self._span, self._scope = span, scope
        self._stages: dict[str, float] = {}

    def end(self, route: str, status: int) -> None:
        self._span.update_name(f"{self._scope['method']} {route}")
        told = {"http.route": route, "http.response.status_code": status}
        request_id = self._scope.get("state", {}).get("request_id")
        self._span.set_attributes({**told, **({"oneword.request_id": request_id} if request_id else {})})
        if status >= 500:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)

    def stage(self, name: str, milliseconds: float) -> None:
        self._stages[name] = self._stages.get(name, 0.0) + milliseconds
        self._span.set_attribute(f"oneword.{name}_ms", self._stages[name])


class OpenTelemetry(Tracer):
    """Sends a span for each request to a collector, as part of the caller's trace (W3C traceparent).

    Attributes are those of OpenTelemetry's semantic conventions for HTTP servers, and `oneword.encode_ms`,
    `oneword.search_ms`.

    Args:
        url: of the collector, OTLP over HTTP: `http://collector:4318`.
        exporter: instead of one to `url`.

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
            recorded = _Recorded(span, scope)
            scope.setdefault("state", {})["span"] = recorded
            yield recorded

    def close(self) -> None:
        """Sends what was not sent yet."""
        self._provider.shutdown()
