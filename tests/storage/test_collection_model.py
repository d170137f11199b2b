"""A collection agrees with a dictionary and numpy, whatever is done to it in whatever order."""

from __future__ import annotations

import tempfile
from datetime import timedelta

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from oneword.storage import Item, Store

SPACE = {"fingerprint": "f", "dimension": 4, "model": "m", "view": "v"}
names = st.sampled_from([f"{n}" for n in range(12)] + ["it's", "é"])
seeds = st.integers(0, 30)


def made(name: str, seed: int) -> Item:
    vector = np.random.default_rng(seed).normal(size=4).astype(np.float32)
    metadata = {"seed": seed} if seed % 3 else {}
    return Item(
        id=name,
        modality="text",
        uri=f"u{seed}",
        content_hash=f"h{seed}",
        metadata=metadata,
        vector=vector / np.linalg.norm(vector),
    )


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.collection = Store(self.folder.name).create("a", SPACE)
        self.reader = Store(self.folder.name).open("a")  # opened before anything is there
        self.model: dict[str, Item] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(given=st.lists(st.tuples(names, seeds), max_size=6))
    def upsert(self, given: list[tuple[str, int]]) -> None:
        ids = {name for name, _ in given}
        count = self.collection.upsert([made(name, seed) for name, seed in given])
        assert (count.updated, count.added) == (len(ids & set(self.model)), len(ids - set(self.model)))
        self.model |= {name: made(name, seed) for name, seed in given}

    @rule(given=st.dictionaries(names, seeds, max_size=6))
    def insert(self, given: dict[str, int]) -> None:
        with self.collection.pinned() as version:
            there = self.collection.content_hashes(given, version=version)
            assert set(there) == set(given) & set(self.model)
            new = {name: made(name, seed) for name, seed in given.items() if name not in there}
            assert self.collection.insert(new.values()) == len(new)
            assert {name for batch in self.collection.ids(version=version) for name in batch} == set(self.model)
        self.model |= new

    @rule(ids=st.lists(names, max_size=4))
    def delete(self, ids: list[str]) -> None:
        assert self.collection.delete(ids) == len(set(ids) & set(self.model))
        for name in ids:
            self.model.pop(name, None)

    @rule(bound=seeds)
    def delete_where(self, bound: int) -> None:
        if "seed" in self.collection.info().metadata_keys:
            gone = [name for name, item in self.model.items() if item.metadata.get("seed", 0) > bound]  # type: ignore[operator]
            assert self.collection.delete_where(f"seed > {bound}") == len(gone)
            for name in gone:
                del self.model[name]

    @rule()
    def optimize(self) -> None:
        self.collection.optimize(timedelta(days=1))

    @rule(seed=seeds, limit=st.integers(1, 8), offset=st.integers(0, 8))
    def search(self, seed: int, limit: int, offset: int) -> None:
        question = made("", seed).vector
        assert question is not None
        stored = {name: item.vector.astype(np.float16).astype(float) for name, item in self.model.items()}  # type: ignore[union-attr]
        scores = {name: float(vector @ question / np.linalg.norm(vector)) for name, vector in stored.items()}
        best = sorted(scores, key=lambda name: (-round(scores[name], 6), name))[offset : offset + limit]
        hits = self.reader.search(question, limit=limit, offset=offset)
        assert [hit.item.id for hit in hits] == best
        np.testing.assert_allclose([hit.score for hit in hits], [scores[name] for name in best], atol=1e-6)

    @invariant()
    def the_reader_sees_the_model(self) -> None:
        assert self.reader.count() == len(self.model)
        items = self.reader.get([*self.model, "nope"], vectors=True)
        assert list(items) == list(self.model)
        for name, expected in self.model.items():
            assert (items[name].uri, items[name].metadata) == (expected.uri, expected.metadata)
            np.testing.assert_allclose(items[name].vector, expected.vector, atol=2**-11)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=10, stateful_step_count=15)
