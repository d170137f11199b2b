"""Embedding servers over real HTTP on loopback, which run our own encoders: one of Oneword's kind, one as vLLM."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jinja2.sandbox
import numpy as np
import PIL.Image
import pytest
import torch

from oneword.engine import Composed, Document, Image, Interleaved, Side, Text, View, decode, encode, views
from oneword.engine.e5v import E5VEncoder, load_e5v
from oneword.engine.e5v.encoder import Batch
from oneword.engine.errors import EngineError, InputError, ViewError
from oneword.engine.hashing import HashEncoder
from oneword.engine.remote.vllm import CHAT_TEMPLATE
from tests.tiny import make_checkpoint


class Status(Exception):
    """Ends a request with a status, a document and headers."""

    def __init__(self, status: int, document: Any = None, **headers: str) -> None:
        self.status, self.document, self.headers = status, document, headers


class OnewordService:
    """`docs/remote.md`, in few lines. `before` is called with each body and may end the request."""

    def __init__(self, encoder: Any, name: str, *, any_view: bool = True) -> None:
        self.encoder, self.name, self.any_view = encoder, name, any_view
        self.before: Callable[[dict[str, Any]], None] = lambda body: None
        self.after: Callable[[Any], Any] = lambda document: document
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def get(self, path: str) -> Any:
        return self.models() if path == "/v1/models" else _absent()

    def models(self) -> Any:
        space = self.encoder.space(views.DEFAULT)
        told = {"fingerprint": space.fingerprint, "space": space.as_dict(), "any_view": self.any_view}
        return {"object": "list", "data": [{"id": self.name, "object": "model", "oneword": told}]}

    def embeddings(self, body: dict[str, Any]) -> Any:
        if body["model"] != self.name:
            raise Status(404, {"error": {"message": "no such model"}})
        view = body.get("view", "default")
        try:
            view = views.get(view) if isinstance(view, str) else View.from_dict(view)
            inputs = [self._read(one) for one in body["input"]]
            vectors = encode(self.encoder, inputs, view, Side.of(body.get("input_type", "document")), unit=False)
        except ViewError as error:
            raise Status(400, {"error": {"message": str(error)}}) from error
        except InputError as error:
            raise Status(422, {"error": {"message": str(error)}}) from error
        return answer(self.name, vectors, body)

    @classmethod
    def _read(cls, one: Any) -> Any:
        if isinstance(one, str):
            return Text(text=one)
        if "composed" in one:
            return Interleaved(pieces=[part if isinstance(part, str) else cls._read(part) for part in one["composed"]])
        image = Image(pixels=decode(base64.b64decode(one["image"].partition("base64,")[2])))
        if "text" in one:
            return Document(image=image, text=one["text"])
        return Composed(image=image, edit=one["edit"]) if "edit" in one else image


class VllmService(OnewordService):
    """What of vLLM we rely on: ids as they are; messages through the template, tokenized with special tokens.

    `batches`: whether it takes a list of conversations, as newer servers do.
    """

    batches = True
    template = CHAT_TEMPLATE
    root: str | None = None
    longest = 100_000

    def models(self) -> Any:
        return {"object": "list", "data": [{"id": self.name, "object": "model", "owned_by": "vllm", "root": self.root}]}

    def embeddings(self, body: dict[str, Any]) -> Any:
        encoder = self.encoder
        rows: list[list[int]] = []
        pictures: list[PIL.Image.Image] = []
        if "input" in body:
            rows = [row[: self.longest] for row in body["input"]]
        elif isinstance(body["messages"][0], dict):
            self._rendered(body["messages"], body, rows, pictures)
        elif self.batches:
            for conversation in body["messages"]:
                self._rendered(conversation, body, rows, pictures)
        else:
            raise Status(400, {"error": {"message": "messages.0: Input should be a valid dictionary"}})
        last = torch.tensor([len(row) - 1 for row in rows])
        padded = torch.zeros(len(rows), int(last.max()) + 1, dtype=torch.long)
        for row, into in zip(rows, padded, strict=True):
            into[: len(row)] = torch.tensor(row)
        tiles = [torch.from_numpy(encoder.image_processor.tiles(picture)) for picture in pictures]
        sizes = torch.tensor([(picture.height, picture.width) for picture in pictures]) if pictures else None
        batch = Batch(ids=padded, last=last, tiles=torch.cat(tiles) if tiles else None, sizes=sizes)
        raw = encoder.finish(encoder.forward(batch))
        unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        return answer(self.name, unit, body) | {"usage": {"prompt_tokens": sum(map(len, rows))}}

    def _rendered(
        self, conversation: Any, body: dict[str, Any], rows: list[list[int]], pictures: list[PIL.Image.Image]
    ) -> None:
        """Adds the ids and the pictures of a conversation. As transformers renders chat templates."""
        jinja = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        parts = conversation[0]["content"]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        seen = [decode(base64.b64decode(url.partition("base64,")[2])) for url in urls]
        messages = [{"role": "user", "content": [p if p["type"] == "text" else {"type": "image"} for p in parts]}]
        text = jinja.from_string(self.template).render(messages=messages)
        tokens = self.encoder.tokens
        ids = tokens.tokenizer(text, add_special_tokens=body.get("add_special_tokens", False))["input_ids"]
        if ids.count(tokens.image_token_id) != len(seen):
            raise Status(400, {"error": {"message": "placeholders and pictures differ in number"}})
        counts = iter([self.encoder.image_processor.tokens(picture.size) for picture in seen])
        rows.append([x for id_ in ids for x in [id_] * (next(counts) if id_ == tokens.image_token_id else 1)])
        pictures += seen


def answer(name: str, vectors: np.ndarray, body: dict[str, Any]) -> dict[str, Any]:
    """Entries backwards: their order is nobody's promise."""
    packed = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.tolist(),
        }
        for i, row in enumerate(vectors)
    ]
    return {"object": "list", "model": name, "data": data[::-1]}


@pytest.fixture
def serve() -> Iterator[Callable[[OnewordService], str]]:
    """Serves a service; gives the URL for `--model`."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(service: OnewordService) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet: two make the client wait for the second

            def do_GET(self) -> None:
                self._finish(lambda: service.get(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._finish(lambda: self._embeddings(body) if self.path == "/v1/embeddings" else _absent())

            def _embeddings(self, body: dict[str, Any]) -> Any:
                service.bodies.append(body)
                service.headers.append(dict(self.headers))
                service.before(body)
                return service.after(service.embeddings(body))

            def _finish(self, work: Callable[[], Any]) -> None:
                try:
                    status, document, headers = 200, work(), {}
                except Status as ended:
                    status, document, headers = ended.status, ended.document, ended.headers
                except EngineError as error:
                    status, document, headers = 500, {"error": {"message": repr(error)}}, {}
                payload = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(payload)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/v1"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


def _absent() -> Any:
    raise Status(404, {"error": {"message": "no such path"}})


@pytest.fixture
def hashing() -> OnewordService:
    return OnewordService(HashEncoder(), "hash", any_view=False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def local(folder: Path) -> E5VEncoder:
    return load_e5v(str(folder), device="cpu")


@pytest.fixture
def vllm(local: E5VEncoder, folder: Path) -> VllmService:
    service = VllmService(local, "tiny")
    service.root = str(folder)
    return service
