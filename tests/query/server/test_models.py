"""Models and collections are opened once, whoever asks and whoever gives up."""

import asyncio
import threading
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.engine import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.errors import ModelError, ModelNotFound
from oneword.engine.hashing import HashEncoder
from oneword.engine.space import Space
from oneword.engine.views import DEFAULT, View
from oneword.query.server import registry as module
from oneword.query.server.config import ServerConfig
from oneword.query.server.registry import Collections, Models
from oneword.query.server.telemetry import Metrics
from oneword.query.server.threads import Workers
from oneword.storage import CollectionNotFound, Item, Store

SPACE = HashEncoder().space(DEFAULT).as_dict()


class Loader:
    """Loads as it is told, and keeps the names."""

    def __init__(self, outcome: Exception | None = None) -> None:
        self.gate, self.names, self.outcome = threading.Event(), list[str](), outcome
        self.gate.set()

    def __call__(self, config: EngineConfig) -> Encoder:
        self.names.append(config.model)
        assert self.gate.wait(20)
        if self.outcome is not None:
            raise self.outcome
        return HashEncoder()


def run(
    work: Callable[[Models, Collections], Coroutine[Any, Any, None]],
    loader: Callable[[EngineConfig], Encoder],
    db: Path | None = None,
    config: ServerConfig | None = None,
) -> None:
    async def whole() -> None:
        workers = Workers()
        settings = replace(config or ServerConfig(), db=str(db))
        models = Models(settings, workers, Metrics(), loader)
        collections = Collections(settings, workers, models)
        try:
            await asyncio.wait_for(work(models, collections), 30)
        finally:
            if isinstance(loader, Loader):
                loader.gate.set()
            await collections.close()
            await models.close()
            workers.close()

    asyncio.run(whole())


def test_loaded_once_though_who_asked_gave_up() -> None:
    loader = Loader()

    async def work(models: Models, _: Collections) -> None:
        loader.gate.clear()
        first = asyncio.create_task(models.get("hash"))
        await asyncio.sleep(0.01)
        first.cancel()
        others = [asyncio.create_task(models.get("hash")) for _ in range(3)]
        await asyncio.sleep(0.01)
        loader.gate.set()
        assert len({id(batcher) for batcher in await asyncio.gather(*others)}) == 1

    run(work, loader)
    assert loader.names == ["hash"]


def test_auto_is_the_model_that_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader()
    monkeypatch.setattr(module, "choose", lambda: ("hash", "it is the quickest"))  # the real one imports torch

    async def work(models: Models, _: Collections) -> None:
        auto, again = await models.get("auto"), await models.get("hash")
        assert auto is again
        assert set(models.batchers) == {"hash"} < set(models.loaded)

    run(work, loader)
    assert len(loader.names) == 1


def test_one_that_the_operator_insists_on_is_loaded_once() -> None:
    loader = Loader()

    async def work(models: Models, _: Collections) -> None:
        batcher = await models.get("basic")
        assert batcher is await models.get("mini") is models.named("hash")
        assert models.named("basic") is models.named("mini") is None  # whose vectors would be of another space

    run(work, loader, config=ServerConfig(model=EngineConfig(model="hash")))
    assert loader.names == ["hash"]


def test_two_revisions_serve_side_by_side() -> None:
    class Revised(HashEncoder):
        def __init__(self, revision: str) -> None:
            self.revision = revision

        def space(self, view: View) -> Space:
            return replace(super().space(view), revision=self.revision)

    def loaded(config: EngineConfig) -> Encoder:
        names.append(config.revision)
        return Revised(config.revision or "new")

    async def work(models: Models, _: Collections) -> None:
        old, new = await models.get("hash", "old"), await models.get("hash", "new")
        assert old is not new
        assert models.of({"model": "hash", "revision": "old"}) is old.encoder
        assert models.named("hash") is new
        assert await models.get("hash") is new

    names: list[str | None] = []
    run(work, loaded)
    assert names == ["old", "new"]


@pytest.mark.parametrize("outcome", [ModelNotFound("no such model"), OSError("disk failure")])
def test_a_model_that_cannot_be_loaded_is_not_tried_for_each_request(outcome: Exception) -> None:
    loader = Loader(outcome)

    async def work(models: Models, _: Collections) -> None:
        depths = []
        for _ in range(5):
            with pytest.raises(ModelError) as told:
                await models.get("gone")
            depths.append(len(traceback.extract_tb(told.value.__traceback__)))
        assert depths[1:] == [depths[1]] * 4, "the kept error grows with every request"
        assert str(outcome) in str(told.value)

    run(work, loader)
    assert loader.names == ["gone"]


def item(name: str) -> Item:
    vector = np.eye(1, 256, dtype=np.float32)[0]
    return Item(id=name, modality="text", uri=f"urn:{name}", content_hash=name, text=name, vector=vector)


def test_a_collection_is_opened_once(tmp_path: Path) -> None:
    Store(str(tmp_path)).create("notes", SPACE)

    async def work(_: Models, collections: Collections) -> None:
        first = asyncio.create_task(collections.get("notes"))
        others = [asyncio.create_task(collections.get("notes")) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        served = await asyncio.gather(*others)
        assert len(set(map(id, served))) == 1
        assert collections.open == {"notes": served[0]}
        for _ in range(2):
            with pytest.raises(CollectionNotFound):
                await collections.get("none")
        Store(str(tmp_path)).create("none", SPACE)
        assert (await collections.get("none")).collection.name == "none"

    run(work, Loader(), tmp_path)


def test_one_forgotten_while_it_is_opened_is_opened_anew(tmp_path: Path) -> None:
    Store(str(tmp_path)).create("notes", SPACE)

    async def work(_: Models, collections: Collections) -> None:
        first = asyncio.create_task(collections.get("notes"))
        await asyncio.sleep(0)
        collections.forget("notes")
        await first
        assert collections.open == {}
        second = await collections.get("notes")
        assert await first is not second
        assert await collections.get("notes") is second

    run(work, Loader(), tmp_path)


def test_a_forgotten_one_finishes_its_writes(tmp_path: Path) -> None:
    Store(str(tmp_path)).create("notes", SPACE)

    async def work(_: Models, collections: Collections) -> None:
        served = await collections.get("notes")
        writing = asyncio.create_task(served.writer.upsert([item("a")]))
        await asyncio.sleep(0)
        collections.forget_all()
        assert collections.open == {}
        await collections.close()
        assert writing.done()
        assert not served.writer.busy
        assert (await writing).known == frozenset()

    run(work, Loader(), tmp_path)
    assert Store(str(tmp_path)).open("notes").count() == 1


def test_opened_again_only_if_it_is_another(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.create("notes", SPACE)

    async def work(_: Models, collections: Collections) -> None:
        served = await collections.get("notes")
        assert await collections.get("notes") is served, "its ANN index stays open"
        store.drop("notes")
        store.create("notes", SPACE)
        now, late = await asyncio.gather(collections.get("notes"), collections.get("notes"))
        assert now is not served
        assert await collections.get("notes") is now is late
        store.drop("notes")
        with pytest.raises(CollectionNotFound):
            await collections.get("notes")
        assert collections.open == {}

    run(work, Loader(), tmp_path)
