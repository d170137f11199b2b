"""Whatever is written, deleted, built, compacted and restored: searches agree with numpy, at every version kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from oneword.storage import Hits, Item, Store

DIMENSION = 4
SPACE = {"fingerprint": "f", "dimension": DIMENSION, "model": "m", "view": "v"}
VECTORS = np.random.default_rng(0).normal(size=(12, DIMENSION)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
STORED = VECTORS.astype(np.float16).astype(np.float64)
names = st.integers(0, 40).map("{:02d}".format)
vectors = st.integers(0, len(VECTORS) - 1)
Model = dict[str, tuple[int, int]]
FILTERS: dict[str | None, Callable[[int], bool]] = {
    None: lambda _: True,
    "n >= 2": lambda n: n >= 2,
    "not n = 1": lambda n: n != 1,
    "n in (0, 3)": lambda n: n in (0, 3),
    "n > 9": lambda _: False,
}


def made(name: str, vector: int, n: int) -> Item:
    return Item(id=name, modality="text", uri=name, content_hash=f"{vector}", vector=VECTORS[vector], metadata={"n": n})


def ranked(model: Model, question: np.ndarray, may: Callable[[int], bool]) -> list[str]:
    near = STORED @ question / np.linalg.norm(STORED, axis=1)
    scores = [(-near[vector], name) for name, (vector, n) in model.items() if may(n)]
    return [name for _, name in sorted(scores)]


class History(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.writer = Store(self.folder.name).create("a", SPACE)
        self.writer.upsert([made("00", 0, 0)])
        self.reader = Store(self.folder.name).open("a")
        self.model: Model = {"00": (0, 0)}
        self.past: dict[int, Model] = {}
        self.remember()

    def teardown(self) -> None:
        self.folder.cleanup()

    def remember(self) -> None:
        self.past[self.writer.version] = dict(self.model)

    @rule(given=st.dictionaries(names, st.tuples(vectors, st.integers(0, 4)), min_size=1, max_size=8))
    def upsert(self, given: Model) -> None:
        self.writer.upsert([made(name, *facts) for name, facts in given.items()])
        self.model |= given
        self.remember()

    @rule(gone=st.sets(names, min_size=1, max_size=6))
    def delete(self, gone: set[str]) -> None:
        self.writer.delete(gone)
        self.model = {name: facts for name, facts in self.model.items() if name not in gone}
        self.remember()

    @rule(n=st.integers(0, 4))
    def delete_where(self, n: int) -> None:
        self.writer.delete_where(f"n = {n}")
        self.model = {name: facts for name, facts in self.model.items() if facts[1] != n}
        self.remember()

    @rule()
    def build(self) -> None:
        self.writer.build_index()

    @rule()
    def build_when_due(self) -> None:
        self.writer.keep_index(aside=False)

    @rule()
    def compact(self) -> None:
        self.writer.optimize(timedelta(days=1))
        self.remember()

    @precondition(lambda self: len(self.past) > 1)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.past)))
        self.writer.restore(version)
        self.model = dict(self.past[version])
        self.remember()

    @rule(
        seed=st.integers(0, 20),
        words=st.sampled_from(list(FILTERS)),
        limit=st.integers(1, 50),
        offset=st.integers(0, 12),
        data=st.data(),
    )
    def search(self, seed: int, words: str | None, limit: int, offset: int, data: st.DataObject) -> None:
        question = np.random.default_rng(seed).normal(size=DIMENSION)
        version = data.draw(st.sampled_from([None, *sorted(self.past)]))
        model = self.model if version is None else self.past[version]
        right = ranked(model, question, FILTERS[words])
        asked: dict[str, Any] = {"filter": words, "limit": limit, "offset": offset, "version": version}
        for hits in (self.reader.search(question, **asked), self.reader.search(question, exact=True, **asked)):
            assert ids(hits) == right[offset : offset + limit]
            assert hits.total == len(right)

    @invariant()
    def the_index_is_right(self) -> None:
        checked = self.reader.verify(queries=5)
        assert checked is None or checked.right, checked
        assert len(self.reader.search(np.ones(DIMENSION), limit=100)) == len(self.model)


def ids(hits: Hits) -> list[str]:
    return [hit.item.id for hit in hits]


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=15, stateful_step_count=20)
