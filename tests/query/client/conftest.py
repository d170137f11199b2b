"""A service that speaks the contract over real HTTP, small and in memory, and both clients as one."""

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from oneword.query.client import AsyncClient, Client

HIT = {
    "id": "a/b?c",
    "score": 0.75,
    "confidence": 0.9,
    "modality": "text",
    "uri": "https://example.org/ü",
    "text": "the cat sleeps",
    "metadata": {"year": 2020, "taken": "2020-05-01T12:00:00+00:00"},
    "explain": {"words": [{"text": "cat", "score": 0.5}], "shared": [{"text": "sofa", "score": 0.25}]},
}
RESULT = {
    "hits": [HIT],
    "total": 1,
    "timings": {"encode_ms": 1.5, "search_ms": 0.25, "total_ms": 2.0},
    "model": "hash",
    "collection": "default",
    "version": 7,
    "explain": {"words": [{"text": "cat", "score": 0.5}]},
    "something_new": True,
}
JOB = {
    "id": "20260101T000000000000-1f2e3d4c",
    "collection": "default",
    "state": "running",
    "started": "2026-01-01T00:00:00+00:00",
    "updated": "2026-01-01T00:00:01Z",
    "counts": {"inputs": 3},
}
DETAILS = {
    "name": "default",
    "items": 3,
    "by_modality": {"image": 1, "text": 2},
    "model": "hash",
    "view": "default",
    "dimension": 4,
    "space": {"fingerprint": "0123"},
    "version": 7,
    "metadata_keys": {"year": "int"},
    "quarantined": 1,
    "index": None,
    "created": "2026-01-01T00:00:00+00:00",
    "updated": "2026-01-01T00:00:00+00:00",
    "bytes_on_disk": 100,
}
CHECK = dict.fromkeys(("rows", "missing", "extra", "stale", "fresh", "differing"), 0) | {
    "right": True,
    "recall": 1.0,
    "goal": 0.95,
    "damaged": [],
}


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


@dataclass
class Service:
    """Answers by the contract; what is in `scripted` comes first, one a request."""

    url: str = ""
    scripted: list[Response] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        path = scope["raw_path"].decode()
        asked = Asked(
            request.method, path, request.url.query, dict(request.headers), json.loads(body) if body else None
        )
        self.asked.append(asked)
        response = self.scripted.pop(0) if self.scripted else self.answer(asked)
        await response(scope, receive, send)

    def answer(self, asked: Asked) -> Response:
        body = asked.body
        match [asked.method, *(unquote(part) for part in asked.path.split("/")[1:])]:
            case ["GET", "readyz"]:
                return JSONResponse({"status": "ready"})
            case ["GET", "v1", "models"]:
                return JSONResponse({"object": "list", "data": [{"id": "hash"}]})
            case ["POST", "v1", "embeddings"]:
                rows = [np.full(4, place, dtype="<f4") for place in range(len(body["input"]))]
                data = [
                    {"index": place, "embedding": base64.b64encode(row.tobytes()).decode()}
                    for place, row in enumerate(rows)
                ]
                return JSONResponse({"data": data[::-1]})
            case ["GET", "v1", "collections"]:
                return JSONResponse({"collections": [DETAILS]})
            case ["POST", "v1", "collections"]:
                return JSONResponse(DETAILS | {"name": body["name"]}, 201)
            case ["GET", "v1", "collections", name]:
                return JSONResponse(DETAILS | {"name": name})
            case ["DELETE", "v1", "collections", _]:
                return Response(status_code=204)
            case ["POST", "v1", "collections", _, "verify"]:
                return JSONResponse(CHECK)
            case ["POST", "v1", "collections", name, "search"]:
                return JSONResponse(RESULT | {"collection": name})
            case ["POST", "v1", "collections", _, "search:batch"]:
                bad = {"status": 422, "code": "bad_query", "detail": "no", "field": "queries[1]"}
                results = [{"error": bad} if "like" in str(query) else RESULT for query in body["queries"]]
                return JSONResponse({"results": results, "version": 7})
            case ["POST", "v1", "collections", _, "items"]:
                return self.upsert(body["items"])
            case ["POST", "v1", "collections", _, "items:get"]:
                there = [self.items[id_] for id_ in body["ids"] if id_ in self.items]
                return JSONResponse({"items": there, "missing": []})
            case ["POST", "v1", "collections", _, "items:delete"]:
                gone = [self.items.pop(id_, None) for id_ in body.get("ids") or list(self.items)]
                return JSONResponse({"deleted": len(gone) - gone.count(None), "version": 8})
            case ["POST", "v1", "collections", _, "items:count"]:
                return JSONResponse({"count": len(self.items), "version": 7})
            case ["POST", "v1", "collections", _, "items:scroll"]:
                begin = int(body.get("cursor") or 0)
                end = begin + body["limit"]
                page = list(self.items.values())[begin:end]
                cursor = str(end) if end < len(self.items) else None
                return JSONResponse({"items": page, "cursor": cursor, "version": 7})
            case ["GET", "v1", "collections", _, "items", id_, "thumbnail" | "original"] if id_ in self.items:
                return Response(f"picture of {id_}", media_type="image/jpeg")
            case ["POST", "v1", "jobs"]:
                return JSONResponse(JOB, 201)
            case ["GET", "v1", "jobs"]:
                return JSONResponse({"jobs": [JOB]})
            case ["GET", "v1", "jobs", id_]:
                return JSONResponse(JOB | {"id": id_})
            case ["POST", "v1", "jobs", cancelled]:
                return JSONResponse(JOB | {"id": cancelled.removesuffix(":cancel"), "state": "interrupted"}, 202)
        return problem(404, "item_not_found", "no item 'x' in collection 'default'", remedy="Check the id.")

    def upsert(self, items: list[dict[str, Any]]) -> Response:
        outcomes: list[dict[str, Any]] = []
        for item in items:
            if item.get("text") == "":
                error = {"status": 422, "code": "blank_text", "detail": "the text is blank", "remedy": "Send a text."}
                outcomes.append({"id": item.get("id"), "status": "refused", "error": error})
                continue
            id_ = item.get("id", "hash")
            outcomes.append({"id": id_, "status": "updated" if id_ in self.items else "added"})
            self.items[id_] = {"modality": "text", "metadata": {}, "uri": "", "text": None} | item | {"id": id_}
        counts = {name: sum(one["status"] == name for one in outcomes) for name in ("added", "updated", "refused")}
        return JSONResponse({"items": outcomes, "version": 8, **counts})


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> Response:
    document = {"type": "about:blank", "title": "", "status": status, "code": code, "detail": detail, **more}
    return JSONResponse(document, status, headers, "application/problem+json")


@contextmanager
def serving() -> Iterator[Service]:
    service = Service()
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(service, log_level="critical", lifespan="off", ws="none", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield service
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture(scope="session")
def _services() -> Iterator[tuple[Service, Service]]:
    with serving() as one, serving() as other:
        yield one, other


@pytest.fixture
def service(_services: tuple[Service, Service]) -> Service:
    """The service, with nothing in it."""
    return _emptied(_services[0])


@pytest.fixture
def elsewhere(_services: tuple[Service, Service]) -> Service:
    """Another server, of another origin."""
    return _emptied(_services[1])


def _emptied(service: Service) -> Service:
    service.scripted, service.asked, service.items = [], [], {}
    return service


class Awaited:
    """An `AsyncClient` whose methods are waited for."""

    def __init__(self, runner: asyncio.Runner, url: str, **options: Any) -> None:
        self._runner, self._client = runner, AsyncClient(url, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if name != "scroll":
                return self._runner.run(method(*arguments, **named))

            async def gathered() -> Any:
                return iter([item async for item in method(*arguments, **named)])

            return self._runner.run(gathered())

        return call

    def close(self) -> None:
        self._runner.run(self._client.aclose())

    def __repr__(self) -> str:
        return repr(self._client)


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a client of either kind; both are called alike."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())

        def make(url: str, **options: Any) -> Any:
            client = Client(url, **options) if request.param == "sync" else Awaited(runner, url, **options)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(connect: Callable[..., Any], service: Service) -> Any:
    """A client of the service."""
    return connect(service.url, key="secret")


@pytest.fixture
def problem_of() -> Callable[..., Response]:
    """Makes a problem document's response."""
    return problem


@pytest.fixture
def rude() -> Iterator[Callable[[list[bytes]], tuple[str, list[bytes]]]]:
    """A server that answers each connection's request with given bytes and hangs up; gives its URL and the requests."""
    with ExitStack() as stack:

        def start(answers: list[bytes]) -> tuple[str, list[bytes]]:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            requests: list[bytes] = []

            def run() -> None:
                for answer in answers:
                    connection, _ = listening.accept()
                    with connection:
                        requests.append(connection.recv(1 << 20))
                        connection.sendall(answer)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}", requests

        yield start
