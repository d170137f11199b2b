"""A real service to attack, and what must hold whatever it is sent."""

import base64
import io
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
import pytest

from oneword import query
from oneword.query.server import keys as key_file
from oneword.query.server.keys import make

_SECRETS = re.compile(r"Traceback|File \"|\.py\b|site-packages|\b[A-Z]\w*(Error|Exception|Warning)\b")
CATS = {"cat": ("the cat sleeps", 2020), "owl": ("an owl at night", 2021), "dog": ("a dog barks", 2022)}


@dataclass(kw_only=True)
class Target:
    """A running service with the collection `c` of three texts and a picture."""

    service: Any
    folder: Path
    keys: Mapping[str, str]

    @property
    def url(self) -> str:
        return str(self.service.url)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def peak(self) -> int:
        """Most memory that the process has had, MiB."""
        status = Path(f"/proc/{self.service.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]

    def call(self, method: str, path: str, *, key: str | None = "admin", **more: Any) -> httpx.Response:
        """A request under the service's root."""
        headers = dict(more.pop("headers", {}))
        if key is not None and self.keys:
            headers.setdefault("Authorization", f"Bearer {self.keys.get(key, key)}")
        answer: httpx.Response = self.service.http.request(method, self.url + path, headers=headers, timeout=30, **more)
        return answer

    def post(self, path: str, document: Any = None, **more: Any) -> httpx.Response:
        """POST of JSON to the collection."""
        return self.call("POST", f"/v1/collections/c{path}", json=document or {}, **more)

    def sent(self, path: str, body: bytes, kind: str = "application/json") -> httpx.Response:
        """POST of bytes to the collection."""
        return self.call("POST", f"/v1/collections/c{path}", content=body, headers={"Content-Type": kind})

    def check(self, answer: httpx.Response, status: int | Sequence[int], code: str | Sequence[str] = ()) -> Any:
        """It is answered so, nothing is told of the machine, and the service goes on."""
        wanted = [status] if isinstance(status, int) else status
        assert answer.status_code in wanted, (answer.status_code, answer.text[:500])
        self.discreet(answer.text if "json" in answer.headers.get("content-type", "") else "")
        if code:
            document = answer.json()
            told = document["error"]["code"] if "error" in document else document["code"]
            assert told in ([code] if isinstance(code, str) else code), answer.text[:500]
        for name in ("x-request-id", "x-content-type-options", "content-security-policy", "cache-control"):
            assert name in answer.headers, name
        self.alive()
        return answer

    def discreet(self, text: str) -> None:
        """Nothing of the machine, or of what the service is made of, is in it."""
        assert not (found := _SECRETS.search(text)), (found, text[:1000])
        for place in (str(self.folder), str(Path(query.__file__).parents[2]), sys.prefix, "root:x:"):
            assert place not in text, text[:1000]

    def alive(self) -> None:
        """It still answers a good request as it should, and all of its items are there."""
        answer = self.post("/search", {"text": "the cat sleeps", "modality": "text", "limit": 1})
        assert answer.status_code == 200, answer.text
        assert answer.json()["hits"][0]["id"] == "cat"

    def raw(self, data: bytes, *, wait: float = 5) -> bytes:
        """What it answers to bytes, until it closes, answers whole, or is silent for so many seconds."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            told = b""
            try:
                while piece := connection.recv(65536):
                    told += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return told


@pytest.fixture(scope="module")
def attack(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Target]]:
    """Starts targets: `attack("--queue", 4)`; with `keys=True` it has keys of each scope, by the scope's name."""
    targets: list[Target] = []

    def attacking(*options: object, keys: bool = False, env: dict[str, str] | None = None) -> Target:
        folder = tmp_path_factory.mktemp("target")
        made = {scope: make(scope, scope) for scope in ("read", "write", "admin")} if keys else {}  # type: ignore[arg-type]
        if keys:
            key_file.write(folder / "keys.toml", [key for key, _ in made.values()])
            options = (*options, "--api-keys", folder / "keys.toml")
        service = start("--db", folder / "db", "--model", "hash", *options, env=env)
        target = Target(service=service, folder=folder, keys={scope: text for scope, (_, text) in made.items()})
        targets.append(target)
        assert target.call("POST", "/v1/collections", json={"name": "c"}).status_code == 201
        items = [{"id": name, "text": text, "metadata": {"year": year}} for name, (text, year) in CATS.items()]
        assert target.post("/items", {"items": [*items, {"id": "red", "image": picture("red")}]}).status_code == 200
        return target

    yield attacking
    for target in targets:
        assert target.service.process.poll() is None, "the service died"
        assert not [line for line in target.service.log if '"exception"' in line]


@pytest.fixture(scope="module")
def drawn() -> Callable[..., str]:
    """A picture of one colour in base64."""
    return picture


def picture(colour: Any, size: tuple[int, int] = (8, 6), mode: str = "RGB", form: str = "PNG") -> str:
    file = io.BytesIO()
    PIL.Image.new(mode, size, colour).save(file, form)
    return base64.b64encode(file.getvalue()).decode()
