"""What is written down of a request: log lines, metrics, spans; and nothing that is secret."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from oneword.indexer import index_paths
from oneword.query.server import app as app_module
from oneword.query.server.app import application
from oneword.query.server.config import ServerConfig
from oneword.query.server.telemetry import JsonLines, Lines, Metrics, OpenTelemetry, Telemetry

SECRET, WORDS = "sk-secret-key", "a private question"


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    kept, logger = Kept(), logging.getLogger("oneword.query.server.requests")
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept.records
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "a.txt").write_text("the cat sleeps", encoding="utf-8")
    db = str(tmp_path_factory.mktemp("store") / "db")
    index_paths([folder], db=db, model="hash")
    return db


def served(db: str, *requests: tuple[str, str, Any], headers: dict[str, str] | None = None, **config: Any) -> list[Any]:
    """The answers of the whole application, in this process."""

    async def whole() -> list[Any]:
        app, state = application(ServerConfig(db=db, **config))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
            answers = [await http.request(method, path, json=body) for method, path, body in requests]
        await state.close()
        return answers

    return asyncio.run(whole())


SEARCH = ("POST", "/v1/collections/default/search", {"text": WORDS})


def test_one_line_a_request(db: str, log: list[logging.LogRecord]) -> None:
    item = ("GET", "/v1/collections/default/items/x%22y?with=payload&api_key=hush", None)
    headers = {"Authorization": f"Bearer {SECRET}", "X-Request-Id": "my-id"}
    answers = served(db, SEARCH, item, ("BREW", "/tea%0Apot", None), headers=headers)
    assert [one.status_code for one in answers] == [200, 404, 404]
    lines = [JsonLines().format(record) for record in log]
    assert len(lines) == 3
    assert not any("\n" in line for line in lines)
    for line in lines:
        assert SECRET not in line
        assert WORDS not in line
        assert "hush" not in line
    first, second, third = (json.loads(line)["request"] for line in lines)
    assert {key: first[key] for key in ("method", "route", "path", "status")} == {
        "method": "POST",
        "route": "/v1/collections/{collection}/search",
        "path": "/v1/collections/default/search",
        "status": 200,
    }
    assert first["ms"] > 0
    assert first["bytes"] == len(answers[0].content)
    assert first["request_id"] == answers[0].headers.get("x-request-id")
    assert (second["route"], second["status"]) == ("/v1/collections/{collection}/items/{id:path}", 404)
    assert (third["route"], third["status"]) == ("unmatched", 404)
    assert "\n" not in Lines().format(log[2])


def test_a_line_for_people() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "request", None, None)
    record.request = {"method": "GET", "path": "/a\n", "status": 200, "ms": 1.25, "request_id": "r"}
    assert Lines().format(record).endswith("info    GET '/a\\n' 200 1.2 ms [r]")


def test_an_exception_in_a_line() -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed %s", ("here",), sys.exc_info())
    record.request_id = "r"
    document = json.loads(JsonLines().format(record))
    assert (document["message"], document["level"], document["request_id"]) == ("failed here", "error", "r")
    assert document["exception"].endswith("RuntimeError: broken")


async def _broken(*_: Any) -> None:
    raise RuntimeError("broken")


async def _gone(*_: Any) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(("app", "status"), [(_broken, 500), (_gone, 499)])
def test_a_request_without_an_answer(log: list[logging.LogRecord], app: Any, status: int) -> None:
    metrics = Metrics()
    scope = {"type": "http", "method": "MADEUP", "path": "/", "headers": [], "state": {"request_id": "r"}}
    with pytest.raises((RuntimeError, asyncio.CancelledError)):
        asyncio.run(Telemetry(app, metrics, None)(scope, None, None))  # type: ignore[arg-type]
    (record,) = log
    told = record.request  # type: ignore[attr-defined]
    assert (told["status"], told["request_id"]) == (status, "r")
    labels = {"method": "other", "route": "unmatched", "status": str(status)}  # methods can be made up
    assert metrics.registry.get_sample_value("oneword_requests_total", labels) == 1


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(
        app_module, "OpenTelemetry", lambda url: tracers.append(OpenTelemetry(url, exporter)) or tracers[-1]
    )
    tracers: list[OpenTelemetry] = []
    exporter.flush = lambda: tracers[-1].close()  # type: ignore[attr-defined]
    return exporter


def test_a_span_for_each_request(db: str, spans: Any) -> None:
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    batch = ("POST", "/v1/collections/default/search:batch", {"queries": [{"text": "a"}, {"text": "b"}]})
    headers = {"traceparent": f"00-{trace}-{parent}-01", "Authorization": f"Bearer {SECRET}"}
    served(db, SEARCH, batch, ("GET", "/v1/collections/none", None), headers=headers, otlp="http://127.0.0.1:9")
    spans.flush()
    search, many, missing = spans.get_finished_spans()
    assert search.name == "POST /v1/collections/{collection}/search"
    assert search.kind is SpanKind.SERVER
    assert f"{search.context.trace_id:032x}" == trace
    assert f"{search.parent.span_id:016x}" == parent
    assert search.attributes["http.route"] == "/v1/collections/{collection}/search"
    assert search.attributes["http.response.status_code"] == 200
    for span in (search, many):
        assert span.attributes["oneword.search_ms"] > 0
        assert span.attributes["oneword.encode_ms"] > 0
    assert search.attributes["oneword.encode_ms"] + search.attributes["oneword.search_ms"] < (
        (search.end_time - search.start_time) / 1e6
    )
    assert missing.attributes["http.response.status_code"] == 404
    assert missing.status.status_code is StatusCode.UNSET
    for span in (search, many, missing):
        assert SECRET not in span.to_json()
        assert WORDS not in span.to_json()


def test_a_failure_is_an_error_of_the_span(spans: Any) -> None:
    tracer = app_module.OpenTelemetry("http://127.0.0.1:9")
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(RuntimeError):
        asyncio.run(Telemetry(_broken, Metrics(), tracer)(scope, None, None))  # type: ignore[arg-type]
    spans.flush()
    (span,) = spans.get_finished_spans()
    assert span.attributes["http.response.status_code"] == 500
    assert span.status.status_code is StatusCode.ERROR


def test_any_other_exception_is_a_problem_that_tells_nothing(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneword.query.server.routes import search

    async def broken(*_: Any) -> Any:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(search, "_answer", broken)
    (answer,) = served(db, SEARCH)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal"
    assert "hunter2" not in answer.text
