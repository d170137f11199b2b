"""A collection that gets another model while it is searched: every answer is whole, and of one space."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from oneword import query
from oneword.indexer import index_paths
from oneword.query.service import SearchService
from oneword.storage import Store
from tests import forkserver

ROOT = Path(query.__file__).parents[2]
WORDS = ("a cat on the sofa", "an owl", "red", "a dog sleeps")

KILLED = """
import os, signal, sys
from oneword.indexer import reembed, reembedding
from oneword.storage import Collection
reembedding.CHUNK = 2
upsert, left = Collection.upsert, [1]
def deadly(*args):
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left.pop()
    return upsert(*args)
Collection.upsert = deadly
reembed(db=sys.argv[1], model="basic")
"""


@pytest.fixture
def db(tmp_path: Path, folder: Path) -> Path:
    index_paths([folder], db=str(tmp_path / "db"), model="hash")
    return tmp_path / "db"


def ranked(hits: Any) -> tuple[Any, ...]:
    return tuple((hit["id"], round(hit["score"], 5)) for hit in hits)


def answers(db: Path, collection: str = "default") -> dict[str, tuple[Any, ...]]:
    """What the collection answers, by itself."""
    found = SearchService(str(db), collection).search_batch(WORDS)
    return {words: ranked([hit.as_dict() for hit in one]) for words, one in zip(WORDS, found, strict=True)}


class Searching:
    """Asks one by one, in batches, and for stored items; keeps every answer, and everything else as a failure."""

    def __init__(self, url: str) -> None:
        self.seen: Counter[tuple[str, tuple[str, Any]]] = Counter()
        self.failed: list[str] = []
        self._url, self._stop = f"{url}/v1/collections/default", threading.Event()

    @contextmanager
    def going(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._until_stopped, args=(one,)) for one in (self._one, self._batch)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def models(self) -> set[str]:
        return {model for model, _ in self.seen.copy()}

    def until(self, *models: str) -> None:
        end = time.monotonic() + 60
        while not self.models() >= set(models):
            assert time.monotonic() < end
            time.sleep(0.02)

    def _until_stopped(self, ask: Any) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._stop.is_set():
                ask(client)

    def _one(self, client: httpx.Client) -> None:
        for words in WORDS:
            answer = client.post(f"{self._url}/search", json={"text": words})
            self._keep(words, answer.json() if answer.status_code == 200 else {"error": answer.text})

    def _batch(self, client: httpx.Client) -> None:
        answer = client.post(f"{self._url}/search:batch", json={"queries": [{"text": words} for words in WORDS]})
        results = answer.json()["results"] if answer.status_code == 200 else [{"error": answer.text}]
        for words, one in zip(WORDS, results, strict=False):
            self._keep(words, one)
        if len(models := {one.get("model") for one in results}) > 1:
            self.failed.append(f"one batch of {models}")
        answer = client.post(f"{self._url}/items:scroll", json={"limit": 1, "with": ["vector"]})
        if answer.status_code != 200:
            self.failed.append(answer.text)

    def _keep(self, words: str, result: Any) -> None:
        if "hits" in result:
            self.seen[result["model"], (words, ranked(result["hits"]))] += 1
        else:
            self.failed.append(str(result))


def test_every_answer_is_of_one_space(start: Any, db: Path) -> None:
    service = start("--db", db)
    expected = {"hash": answers(db)}
    searching = Searching(service.url)
    with searching.going():
        killed = forkserver.run(["-c", KILLED, db], timeout=120)
        assert killed.returncode == -signal.SIGKILL
        searching.until("hash")
        assert searching.models() == {"hash"}
        command = ["-m", "oneword", "reembed", "default", "--model", "basic", "--keep", "past", "--db", db]
        said = forkserver.run(command, timeout=120)
        assert said.returncode == 0, said.stderr
        assert "2 by an earlier run" in said.stdout, said.stdout
        searching.until("basic")
        expected["basic"] = answers(db)
        assert answers(db, "past") == expected["hash"], "kept until it is dropped"
        store = Store(str(db), lock_timeout=30)
        for _ in range(4):  # so that switches meet requests in every state
            store.replace(store.open("default"), store.open("past"), keep="aside")
            store.rename("aside", "past")
            time.sleep(0.3)
    assert not searching.failed, searching.failed[:3]
    assert searching.models() == {"hash", "basic"}
    wrong = [key for key in searching.seen if expected[key[0]][key[1][0]] != key[1][1]]
    assert not wrong, wrong[:3]
