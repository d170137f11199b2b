"""One small store and one service over it for a module's tests; a real server in a thread, for apps of a few lines."""

import asyncio
import base64
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
import pytest
import uvicorn

from oneword.indexer import index_paths
from oneword.query.server.app import application
from oneword.query.server.config import ServerConfig
from oneword.query.server.connections import HttpProtocol
from tests.query.conftest import Requests

COLOURS = ("red", "blue", "green")
TEXTS = {"cat.txt": "the cat sleeps on the sofa", "owl.txt": "we saw an owl at night", "dog.txt": "a dog sleeps"}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Pictures in one colour, encoded."""

    size: tuple[int, int] = (40, 30)

    def png(self, colour: str) -> bytes:
        file = io.BytesIO()
        PIL.Image.new("RGB", self.size, colour).save(file, "PNG")
        return file.getvalue()

    def base64(self, colour: str) -> str:
        return base64.b64encode(self.png(colour)).decode()

    def uri(self, colour: str) -> str:
        return f"data:image/png;base64,{self.base64(colour)}"


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """Pictures to send."""
    return Drawn()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Path:
    """Three pictures (red.png, ...) and three texts (cat.txt, ...)."""
    folder = tmp_path_factory.mktemp("files")
    for colour in COLOURS:
        (folder / f"{colour}.png").write_bytes(drawn.png(colour))
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """A store with the folder in its collection `default`, of model `hash`."""
    db = tmp_path_factory.mktemp("store") / "db"
    index_paths([folder], db=str(db), model="hash")
    return db


@dataclass(kw_only=True)
class Here(Requests):
    """A service in this process, on a socket, for tests in which neither its process nor its log is the point."""

    url: str
    http: httpx.Client


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Here]]:
    """Serves stores in this process: `serve(db=db)`; named arguments are those of `ServerConfig`."""
    with ExitStack() as stack:

        def serving(*, db: Path, **settings: Any) -> Here:
            app, state = application(ServerConfig(db=str(db), **settings))
            state.processes.warm_up = lambda: asyncio.sleep(0)  # type: ignore[method-assign]  # until one is needed
            port = stack.enter_context(_running(app, http=HttpProtocol, lifespan="on"))
            here = Here(url=f"http://127.0.0.1:{port}", http=stack.enter_context(httpx.Client(timeout=60)))
            while here.http.get(f"{here.url}/readyz").status_code != 200:
                time.sleep(0.01)
            return here

        yield serving


@pytest.fixture(scope="module")
def service(serve: Callable[..., Here], db: Path) -> Here:
    """The store, served."""
    return serve(db=db, allow_private=True)


@pytest.fixture(scope="session")
def names() -> Callable[[Any], list[str]]:
    """The files' names of a result's hits."""
    return lambda result: [hit["uri"].rsplit("/", 1)[1] for hit in result["hits"]]


@pytest.fixture(scope="session")
def refused() -> Callable[..., Any]:
    """Checks that an answer is a whole problem document of that status and code, and gives it."""

    def check(answer: Any, status: int, code: str, field: str | None = None) -> Any:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert {"type", "title", "status", "code", "detail"} <= set(document)
        assert (document["type"], document["status"], document["code"]) == ("about:blank", status, code), document
        assert document.get("request_id") == answer.headers.get("x-request-id")
        assert document["title"]
        assert document["detail"]
        if field is not None:
            assert document["field"] == field, document
        return document

    return check


@pytest.fixture
def listening() -> Iterator[Callable[..., int]]:
    """Serves an ASGI app by uvicorn on a free port of 127.0.0.1, which is returned; options are uvicorn's."""
    with ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(_running(app, **options))


@contextmanager
def _running(app: Any, **options: Any) -> Iterator[int]:
    settings = {"lifespan": "off", "ws": "none", "log_config": None, "timeout_graceful_shutdown": 1} | options
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive()
