"""How fast the query service is: against the same search in process, without batching, and against a plain service.

    python benchmarks/serve.py [--quick] [--model basic] [--rows N] [--before FOLDER] [--overhead] [--out FILE]

A collection of `--rows` vectors with the structure of MiniLM's (vectors.py; 384 numbers), its ANN index built; the
service in a process of its own, its clients in this one, which costs the service some of the two cores.

**Overhead**: a request whose query vector is cached, and the same search by `SearchService.answer` in this process, in
turn; the difference of the medians (goal: at most 1 ms), and of the lowest deciles, which other work on the machine
moves less. `--overhead` measures it alone.

**Load**: closed loops of 1, 8, 32 and 64 clients, each text never asked before: p50, p99, queries a second (goal: p99
at 64 clients at most 3 times p50).

**Cached**: the same of 64 clients whose texts were asked before, so that no model is asked; also with `--workers`, one
a core. The clients take a core themselves.

**Batching**: at 32 clients the service against itself with `--max-batch 1` (goal: at least twice the queries a second);
at one client, what it costs.

**Before**: the checkout of another commit in FOLDER, in all of these, too.

**Plain**: at 1 and 32 clients against plain_service.py, on the same vectors in a table with LanceDB's index at its
defaults (`IvfPq`), which is quicker and finds less than what we build: speed here is mostly the encoder's.

**Writing**: one item a request, as it is and with `--no-durable`.

Contenders take turns within a round; figures are medians over rounds. `--quick`: two rounds of two seconds on 10,000
rows, under two minutes; the whole: three of four on 50,000. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT.parent), str(ROOT)]

from clients import Connection, Load, closed_loop  # noqa: E402
from vectors import Corpus, Shape  # noqa: E402

from oneword.engine import load, views  # noqa: E402
from oneword.query import SearchService, Text  # noqa: E402
from oneword.query.mixing import PreparedQuery  # noqa: E402
from oneword.query.query import Query  # noqa: E402
from oneword.storage import Item, Store  # noqa: E402

COLLECTION, PLAIN = "default", "plain"
SEARCH = f"/v1/collections/{COLLECTION}/search"
WORDS = "red old quiet large green small busy blue cat dog house boat river table street lamp window tree bird".split()


def asking() -> Callable[[], Any]:
    """Makes texts that were never asked before."""
    draw = random.Random(time.time_ns())
    return lambda: {"text": " ".join(draw.choices(WORDS, k=6)) + f" {draw.getrandbits(40)}"}


def repeating() -> Callable[[], Any]:
    """One of 32 texts."""
    draw = random.Random(0)
    return lambda: {"text": f"cat {draw.randrange(32)}"}


def build(folder: str, model: str, rows: int) -> None:
    """The collection with its index, and the same vectors in a plain table with LanceDB's."""
    import lancedb
    import lancedb.index

    space = load(model).space(views.DEFAULT).as_dict()
    corpus, made = Corpus(Shape.of(space["dimension"])), 0
    collection = Store(folder).create(COLLECTION, space)
    plain: list[dict[str, Any]] = []
    with collection.writing():
        for chunk in corpus.chunks(rows):
            unit = chunk.astype(np.float32)
            unit /= np.linalg.norm(unit, axis=1, keepdims=True)
            ids = range(made, made + len(unit))
            collection.insert(
                Item(id=f"i{n}", modality="text", uri=f"urn:row:{n}", text=f"row {n}", content_hash=f"{n}", vector=one)
                for n, one in zip(ids, unit, strict=True)
            )
            plain += [
                {"id": f"i{n}", "uri": f"urn:row:{n}", "text": f"row {n}", "vector": one}
                for n, one in zip(ids, unit, strict=True)
            ]
            made += len(unit)
        collection.maintain()
    collection.build_index()
    table = lancedb.connect(f"{folder}/{PLAIN}").create_table(PLAIN, plain)
    table.create_index("vector", config=lancedb.index.IvfPq(distance_type="cosine"))


class Server:
    """A service in a process of its own. package: the folder that it runs from."""

    def __init__(self, *command: str, path: str, package: Path = ROOT.parent) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.path = path
        told = [one.replace("PORT", str(self.port)) for one in command]
        self._process = subprocess.Popen(
            [sys.executable, *told],
            cwd=package,
            env={**os.environ, "PYTHONPATH": str(package)},
            stderr=subprocess.DEVNULL,
        )
        self.ask({"text": "ready?"}, patience=120)

    def ask(self, document: Any, patience: float = 0) -> Any:
        """One request's answer."""
        url, end = f"http://127.0.0.1:{self.port}{self.path}", time.monotonic() + patience
        request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
        while True:
            try:
                with urllib.request.urlopen(request) as answer:
                    return json.load(answer)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def load(self, clients: int, seconds: float, texts: Callable[[], Callable[[], Any]] = asking) -> Load:
        """A closed loop."""
        return closed_loop("127.0.0.1", self.port, self.path, clients, seconds, texts())

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()


def overhead(servers: dict[str, Server], folder: str, times: int) -> dict[str, Any]:
    """Milliseconds of a request with a cached query vector to each, above those of the same search here, in turn."""
    service = SearchService(folder, COLLECTION)
    texts = [f"cat {n}" for n in range(32)]
    vectors = {text: service._embedded([PreparedQuery.of(Query(parts=(Text(text=text),)))])[0] for text in texts}
    took: dict[str, list[float]] = {name: [] for name in (*servers, "here")}

    async def run() -> None:
        connections = {name: Connection("127.0.0.1", server.port) for name, server in servers.items()}
        for turn in range(times + 64):
            text = texts[turn % len(texts)]
            for name, connection in connections.items():
                began = time.perf_counter()
                status, _ = await connection.post(SEARCH, {"text": text})
                took[name].append(time.perf_counter() - began)
                assert status == 200
            began = time.perf_counter()
            service.answer(PreparedQuery.of(Query(parts=(Text(text=text),))), vectors[text])
            took["here"].append(time.perf_counter() - began)
        for connection in connections.values():
            connection.close()

    asyncio.run(run())
    found: dict[str, Any] = {}
    for share in (10, 50):
        at = {name: float(1000 * np.percentile(all_[64:], share)) for name, all_ in took.items()}
        here = at.pop("here")
        found[f"p{share}_here_ms"] = round(here, 3)
        found[f"p{share}_overhead_ms"] = {name: round(one - here, 3) for name, one in at.items()}
    return found


def writing(rounds: int) -> dict[str, float]:
    """Milliseconds of a request that stores one item with its vector, durable and not, in turn."""
    with tempfile.TemporaryDirectory(prefix="oneword-serve-writing-") as folder:
        space = load("hash").space(views.DEFAULT).as_dict()
        servers = {}
        for name, option in (("durable", "--durable"), ("not_durable", "--no-durable")):
            db = f"{folder}/{name}"
            Store(db).create(COLLECTION, space)
            command = ("-m", "oneword", "serve", "--db", db, "--model", "hash", "--port", "PORT", option)
            servers[name] = Server(*command, path=SEARCH)
            servers[name].path = f"/v1/collections/{COLLECTION}/items"
        took: dict[str, list[float]] = {name: [] for name in servers}
        vector = np.random.default_rng(0).normal(size=space["dimension"]).tolist()
        for turn in range(rounds):
            for name, server in servers.items():
                began = time.perf_counter()
                server.ask({"items": [{"id": f"{turn}", "vector": vector, "metadata": {"turn": turn}}]})
                took[name].append(time.perf_counter() - began)
        for server in servers.values():
            server.stop()
    return {name: round(1000 * statistics.median(one), 2) for name, one in took.items()}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--model", default="basic")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--before", type=Path, help="a checkout of another commit")
    parser.add_argument("--overhead", action="store_true", help="only what HTTP adds to a search")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = given.rows or (10_000 if given.quick else 50_000)
    rounds, seconds = (2, 2.0) if given.quick else (3, 4.0)
    found: dict[str, Any] = {
        "benchmark": "serve",
        "quick": given.quick,
        "model": given.model,
        "rows": rows,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }
    with tempfile.TemporaryDirectory(prefix="oneword-serve-") as temporary:
        folder = f"{temporary}/db"
        build(folder, given.model, rows)
        serve = ("-m", "oneword", "serve", "--db", folder, "--port", "PORT", "--no-daemon")
        contenders = {"oneword": Server(*serve, path=SEARCH)}
        if given.before:
            # In a store of its own: it may have other files of an index, which it would build again and again.
            db = shutil.copytree(folder, f"{temporary}/before")
            command = [str(db) if one == folder else one for one in serve]
            contenders["before"] = Server(*command, path=SEARCH, package=given.before.resolve())
        whole = dict(contenders)
        found |= overhead(whole, folder, 300 if given.quick else 2000)
        if given.overhead:
            for server in whole.values():
                server.stop()
            print(json.dumps(found))
            return
        plain = Server(str(ROOT / "plain_service.py"), f"{folder}/{PLAIN}", PLAIN, given.model, "PORT", path="/search")
        contenders |= {"one by one": Server(*serve, "--max-batch", "1", path=SEARCH), "plain": plain}
        workers = Server(*serve, "--workers", str(os.cpu_count()), path=SEARCH)
        for server in (*contenders.values(), workers):
            server.load(8, 0.5)
        loads: dict[str, list[Load]] = {}
        for _ in range(rounds):
            for clients in (1, 8, 32, 64):
                for name, server in contenders.items():
                    if name in whole or clients in (1, 32):
                        loads.setdefault(f"{name}, {clients}", []).append(server.load(clients, seconds))
            for name, server in (whole | {"workers": workers}).items():
                loads.setdefault(f"{name}, cached", []).append(server.load(64, seconds, repeating))
        workers.stop()
        for server in contenders.values():
            server.stop()
    found["write_ms"] = writing(50 if given.quick else 200)
    print(f"one item stored, ms: {found['write_ms']}")
    rates = {name: statistics.median(one.rate for one in all_) for name, all_ in loads.items()}
    print(f"{'':16}{'queries/s':>12}{'p50 ms':>10}{'p99 ms':>10}")
    for name, all_ in loads.items():
        p50, p99 = (statistics.median(one.percentile(share) for one in all_) for share in (50, 99))
        print(f"{name:16}{rates[name]:12.1f}{p50:10.2f}{p99:10.2f}")
        found[name] = {"per_second": round(rates[name], 1), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
        found[name]["p99_over_p50"] = round(p99 / p50, 2)
        found[name]["failed"] = sum(n for one in all_ for status, n in one.statuses.items() if status != 200)
    found["batching_throughput_ratio"] = round(rates["oneword, 32"] / rates["one by one, 32"], 2)
    found["ratio_vs_plain_service"] = round(rates["oneword, 32"] / rates["plain, 32"], 2)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
