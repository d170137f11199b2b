"""An address that comes from data is not contacted, and no key goes there, unless the operator says so."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from oneword.engine.config import EngineConfig
from oneword.engine.errors import EngineError, UntrustedModel
from oneword.engine.models import load


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str | None]]]:
    """The URL of a server that notes the key of each request."""
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers["Authorization"])
            body = json.dumps({"data": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("ONEWORD_REMOTE_KEY", "sesame")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1", keys
        server.shutdown()


def test_an_address_from_a_collection_is_not_contacted(asked: tuple[str, list[str | None]]) -> None:
    url, keys = asked
    with pytest.raises(UntrustedModel, match=r"--model http.*ONEWORD_REMOTE_MODELS="):
        load(EngineConfig().for_space(f"{url}#model@1"))
    assert keys == []


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "in the environment"])
def test_one_that_the_operator_names_is(
    asked: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch, typed: bool
) -> None:
    url, keys = asked
    if not typed:
        monkeypatch.setenv("ONEWORD_REMOTE_MODELS", f"https://elsewhere.example/v1, {url.removesuffix('/v1')}")
    with pytest.raises(EngineError, match="lists no model"):
        load(EngineConfig(model=url) if typed else EngineConfig().for_space(url))
    assert keys == ["Bearer sesame"]


@pytest.mark.parametrize("trusted", ["http://127.0.0.1:1", "http://127.0.0.1:80", "http://127.0.0.1.evil.example", ""])
def test_a_trusted_address_is_no_prefix_of_another_host(
    asked: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    url, keys = asked
    monkeypatch.setenv("ONEWORD_REMOTE_MODELS", trusted)
    with pytest.raises(UntrustedModel):
        load(EngineConfig().for_space(url))
    assert keys == []
