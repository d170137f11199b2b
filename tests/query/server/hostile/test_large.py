"""Requests that ask for too much: too large an answer, too long a search, a picture that never ends decoding."""

import base64
import io
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword import query

BATCH = "/v1/collections/c/search:batch"
SIDE = 384  # of pictures whose thumbnails are large: noise


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    """200 pictures with thumbnails of about 40 kB; 2 seconds for a request."""
    made = attack("--deadline", 60, "--max-body", 64)
    draw = np.random.default_rng(0)
    file = io.BytesIO()
    PIL.Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(file, "JPEG", quality=50)
    image = base64.b64encode(file.getvalue()).decode()
    for start in range(0, 200, 50):
        items = [{"id": f"noise-{start + n}", "image": image} for n in range(50)]
        assert made.post("/items", {"items": items}).status_code == 200
    return made


def queries(count: int, **more: Any) -> dict[str, Any]:
    return {
        "queries": [{"text": f"cat {n}", "limit": 200, "with": ["payload", "thumbnail"], **more} for n in range(count)]
    }


def held(target: Any) -> float:
    lines = target.call("GET", "/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("oneword_held_answer_bytes ")).split()[1])


def cpu(target: Any) -> float:
    """Seconds of the service's own process."""
    fields = Path(f"/proc/{target.service.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def deaf(target: Any, document: Any, path: str = BATCH) -> socket.socket:
    """A connection whose answer nobody reads."""
    connection = socket.create_connection(("127.0.0.1", target.port), timeout=30)
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    connection.sendall(f"{head}\r\n\r\n".encode() + body)
    return connection


def test_an_answer_that_is_too_large_says_what_to_ask_instead(target: Any) -> None:
    before = target.peak
    told = target.check(target.call("POST", BATCH, json=queries(64)), 422, "answer_too_large").json()
    assert "thumbnail" in told["remedy"]
    assert target.peak < before + 400
    assert len(target.check(target.call("POST", BATCH, json=queries(2)), 200).json()["results"]) == 2


def test_answers_that_are_not_read_are_let_go(target: Any) -> None:
    """They count while they are held; whoever reads nothing until the deadline is cut off."""
    before = target.peak
    waiting = [deaf(target, queries(5), f"{BATCH}?timeout=5") for _ in range(6)]
    try:
        until(lambda: held(target) > 0)
        target.alive()
        until(lambda: held(target) == 0)
        assert target.peak < before + 500
    finally:
        for one in waiting:
            one.close()
    target.alive()


def test_a_search_that_nobody_waits_for_ends(attack: Callable[..., Any]) -> None:
    """At the deadline. It would go on for many times as long as this test waits for it to end."""
    target = attack()
    vector = [1.0] * target.call("GET", "/v1/collections/c").json()["dimension"]
    texts = [{"id": f"long-{n}", "text": f"{n} " + "word " * 15_000, "vector": vector} for n in range(1000)]
    for start in range(0, 1000, 50):
        assert target.post("/items", {"items": texts[start : start + 50]}).status_code == 200
    words = {"should": [{"field": "text", "contains": f"{n} x"} for n in range(900)]}
    for path in ("items:count", "search", "items:scroll") * 4:
        asked = {"filter": words} | ({"vector": vector} if path == "search" else {})
        target.check(target.call("POST", f"/v1/collections/c/{path}?timeout=0.3", json=asked), 504, "deadline")

    def quiet() -> bool:
        began = cpu(target)
        time.sleep(0.5)
        return cpu(target) - began < 0.1

    until(quiet)


SLOW = """
import time
from oneword.engine import images
from oneword.query.server.config import ServerConfig
ServerConfig.__init__.__kwdefaults__["read_seconds"] = 2.0
decode = images.decode
def slow(data, **more):
    while b"never" in data:
        time.sleep(0.01)
    return decode(data, **more)
images.decode = slow
"""


def test_a_picture_that_never_ends_holds_up_nobody(attack: Callable[..., Any], drawn: Any, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW, encoding="utf-8")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(query.__file__).parents[2])])}
    target = attack("--deadline", 30, env=env)
    never = base64.b64encode(base64.b64decode(drawn("blue")) + b"never").decode()
    told: list[Any] = []

    def ask() -> None:
        told.append(target.post("/search", {"image": never}))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for one in asking:
        one.start()
    found = target.post("/search", {"image": drawn("red"), "limit": 1})  # waits for at most one deadline
    assert found.json()["hits"][0]["id"] == "red"
    assert target.call("GET", "/v1/collections/c/items/red/thumbnail").status_code == 200
    for one in asking:
        one.join()
    assert [(one.status_code, one.json()["code"]) for one in told] == [(422, "bad_image")] * 3
    assert "not decoded within 2 s" in told[0].json()["detail"]
    answer = target.call("POST", "/v1/collections/c/search?timeout=0.5", json={"image": never})
    target.check(answer, 504, "deadline")
