"""How long the service falls silent, and what memory it takes, while large requests are answered.

    python benchmarks/stalls.py [--quick] [--out FILE]

A service of its own over 2,000 items with vectors of 384 numbers, metadata and thumbnails. While one client sends a
large request, another asks `/livez` every 10 ms over a connection of its own. For each request: its status, the seconds
that it took, the longest answer of `/livez` in milliseconds (goal: under 100), and the peak memory of the service above
what it took before, in MiB. The client's own work is in the figures: both share the machine. The last line is one JSON
object.
"""

import argparse
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from oneword.engine.decoded import thumbnail  # noqa: E402
from oneword.storage import Item, Store  # noqa: E402

ITEMS, DIMENSION = 2_000, 384
SPACE = {"model": "none", "view": "default", "fingerprint": "0" * 16, "dimension": DIMENSION, "prompts": {}}
SEARCH, BATCH, UPSERT = (f"/v1/collections/default/{path}" for path in ("search", "search:batch", "items"))


def make(db: Path) -> None:
    """Makes the store: the model is one that needs no files."""
    import oneword.engine.views as views
    from oneword.engine.config import EngineConfig
    from oneword.engine.models import load

    encoder = load(EngineConfig(model="hash"))
    collection = Store(str(db)).create("default", encoder.space(views.DEFAULT).as_dict())
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    small = thumbnail(PIL.Image.fromarray(pixels).resize((512, 384)))
    vectors = draw.normal(size=(ITEMS, encoder.dimension)).astype(np.float32)
    items = [
        Item(
            id=f"item-{n}",
            modality="image",
            uri=f"urn:item:{n}",
            content_hash=f"{n:064x}",
            image_hash=f"{n:064x}",
            text=f"a caption of item {n}",
            metadata={"year": n % 50, "name": f"name {n}"},
            thumbnail=small,
            vector=vector / np.linalg.norm(vector),
        )
        for n, vector in enumerate(vectors)
    ]
    collection.upsert(items)


def requests(dimension: int) -> Iterator[tuple[str, str, bytes]]:
    """Name, path and body of each request."""
    draw = random.Random(0)

    def vector() -> list[float]:
        return [draw.uniform(-1, 1) for _ in range(dimension)]

    def body(document: Any) -> bytes:
        return json.dumps(document).encode()

    parts = [{"vector": vector()} for _ in range(32)]
    yield "vectors in a batch", BATCH, body({"queries": [{"parts": parts, "limit": 1} for _ in range(64)]})
    yield (
        "thumbnails of a batch",
        BATCH,
        body({"queries": [{"vector": vector(), "limit": 1000, "with": ["payload", "thumbnail"]} for _ in range(64)]}),
    )
    yield "vectors of 1,000 hits", SEARCH, body({"vector": vector(), "limit": 1000, "with": ["payload", "vector"]})
    yield "10,000 hits", SEARCH, body({"vector": vector(), "limit": 10_000})
    yield (
        "1,000 items of 200 fields",
        UPSERT,
        body(
            {
                "items": [
                    {
                        "id": f"new-{n}",
                        "vector": vector(),
                        "metadata": {f"key_{k}": f"value {k} {n}" for k in range(200)},
                    }
                    for n in range(1000)
                ]
            }
        ),
    )
    yield (
        "1,000 items with long texts",
        UPSERT,
        body({"items": [{"id": f"text-{n}", "vector": vector(), "text": "word " * 5000} for n in range(1000)]}),
    )
    yield (
        "1,000 contains",
        SEARCH,
        body({"vector": vector(), "filter": {"should": [{"field": "text", "contains": f"{n} x"} for n in range(998)]}}),
    )
    yield "diversity, deep", SEARCH, body({"vector": vector(), "diversity": 0.5, "offset": 1900, "limit": 100})
    yield (
        "a long list of names",
        UPSERT,
        b'{"items": [' + b",".join(b'{"id": "%d", "metadata": {}}' % n for n in range(160_000)) + b"]}",
    )


class Prober(threading.Thread):
    """Asks /livez over and over; `longest` is the longest answer in ms since it was last read."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self._told, self._over = port, [0.0], threading.Event()

    def run(self) -> None:
        """Until `end`."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._over.is_set():
            began = time.perf_counter()
            connection.request("GET", "/livez")
            connection.getresponse().read()
            self._told.append(1000 * (time.perf_counter() - began))
            time.sleep(0.01)

    def longest(self) -> float:
        """ms; starts anew."""
        told, self._told = self._told, [0.0]
        return max(told)

    def end(self) -> None:
        """Stops."""
        self._over.set()
        self.join()


def memory(pid: int, name: str) -> float:
    """MiB: VmRSS, or VmHWM, the peak."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def ask(port: int, path: str, body: bytes) -> tuple[int, int, str]:
    """Status, bytes of the answer, and its code if it is a problem."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    size, told = 0, b""
    while piece := answer.read(2**20):
        size += len(piece)
        told = told or piece
    connection.close()
    code = json.loads(told).get("code", "") if answer.status >= 400 else ""
    return answer.status, size, code


def main() -> None:
    """Prints a line for each request, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "db"
        make(db)
        from oneword.engine.config import EngineConfig
        from oneword.engine.models import load

        dimension = load(EngineConfig(model="hash")).dimension
        command = [sys.executable, "-m", "oneword", "serve", "--db", str(db), "--model", "hash", "--port", "0"]
        service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT.parent)
        try:
            port = 0
            for line in service.stderr:  # type: ignore[union-attr]
                if listening := re.search(r"listening on http://127.0.0.1:(\d+)", line):
                    port = int(listening[1])
                if '"ready"' in line:
                    break
            log: list[str] = []
            threading.Thread(target=lambda: log.extend(service.stderr), daemon=True).start()  # type: ignore[arg-type]
            prober = Prober(port)
            prober.start()
            time.sleep(1)
            found["idle"] = {"livez_ms": round(prober.longest(), 1)}
            for name, path, body in requests(dimension):
                if args.only and args.only not in name:
                    continue
                Path(f"/proc/{service.pid}/clear_refs").write_text("5")  # the peak begins anew
                before = memory(service.pid, "VmRSS")
                prober.longest()
                began = time.perf_counter()
                status, size, code = ask(port, path, body)
                seconds = time.perf_counter() - began
                found[name] = {
                    "sent_mb": round(len(body) / 1e6, 2),
                    "status": status,
                    "code": code,
                    "answer_mb": round(size / 1e6, 2),
                    "seconds": round(seconds, 2),
                    "livez_ms": round(prober.longest(), 1),
                    "peak_mib": round(memory(service.pid, "VmHWM") - before),
                }
                print(name, found[name], flush=True)
            prober.end()
        finally:
            service.terminate()
            service.wait(30)
    print(json.dumps(found))
    if args.out:
        args.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
