"""The served search and the exact one agree, whatever was written, deleted or built in between."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneword import cli
from oneword.storage import BadSearch, Collection, Hit, Item, StorageConfig, Store
from tests import forkserver

Make = Callable[..., Item]


def found(hits: list[Hit]) -> list[tuple[str, float]]:
    return [(hit.item.id, hit.score) for hit in hits]


def both(collection: Collection, question: Any, **named: Any) -> list[tuple[str, float]]:
    served = found(collection.search(question, **named))
    assert served == found(collection.search(question, exact=True, **named))
    return served


@pytest.fixture
def collection(store: Store, space: dict[str, Any], item: Make) -> Collection:
    draw = np.random.default_rng(0)
    made = store.create("a", {**space, "dimension": 8})
    made.upsert([item(f"{n:03d}", draw.normal(size=8), metadata={"n": n}) for n in range(200)])
    made.build_index()
    return made


def test_it_answers_and_says_so(collection: Collection) -> None:
    about = collection.index_info()
    assert about is not None
    assert (about.rows, about.kind, about.recall) == (200, "flat", 1.0)
    question = np.random.default_rng(1).normal(size=8)
    assert len(both(collection, question, limit=20)) == 20
    both(collection, question, limit=5, offset=5)
    both(collection, question, filter="n >= 50 and n < 70", limit=30)
    both(collection, question, min_score=0.3, limit=200)
    both(collection, question, exclude_ids=["001", "002"], limit=200)
    assert both(collection, question, filter="n > 1000") == []


def test_what_is_written_is_found_at_once_and_what_is_gone_is_gone(collection: Collection, item: Make) -> None:
    question = np.random.default_rng(2).normal(size=8)
    collection.upsert([item("new", question)])
    assert both(collection, question)[0][0] == "new"
    collection.upsert([item("new", -question)])
    assert both(collection, question)[0][0] != "new"
    nearest = both(collection, question)[0][0]
    collection.upsert([item(nearest, -question)])  # the index still has it as it was
    assert {id_ for id_, _ in both(collection, question, limit=300)[-2:]} == {nearest, "new"}
    first = both(collection, question)[0][0]
    collection.delete([first])
    assert first not in dict(both(collection, question, limit=300))
    collection.build_index()
    both(collection, question, limit=300)


def test_an_index_can_be_deleted_or_broken_at_any_time(collection: Collection, store: Store) -> None:
    question = np.random.default_rng(3).normal(size=8)
    before = both(collection, question)
    (folder,) = Path(store.uri).glob("a.serving/*")
    (folder / "about.json").write_text("{")
    again = Store(store.uri).open("a")
    assert again.index_info() is None
    assert both(again, question) == before
    again.build_index()
    assert again.index_info() is not None
    assert len(list(Path(store.uri).glob("a.serving/*"))) == 1, "older ones are cleared away"


def test_another_collection_of_the_name_is_not_served_by_it(
    collection: Collection, store: Store, space: dict[str, Any], item: Make
) -> None:
    store.drop("a")
    assert not list(Path(store.uri).glob("a.serving"))
    made = store.create("a", {**space, "dimension": 8})
    made.upsert([item("only", np.ones(8))])
    assert [id_ for id_, _ in both(made, np.ones(8))] == ["only"]


def test_other_readers_notice(collection: Collection, store: Store, item: Make) -> None:
    reader = Store(store.uri).open("a")
    question = np.random.default_rng(4).normal(size=8)
    both(reader, question)
    collection.upsert([item("new", question)])
    assert both(reader, question)[0][0] == "new"
    collection.build_index()
    about = reader.index_info()
    assert about is not None
    assert about.rows == 201


def test_searches_go_on_while_it_is_built(collection: Collection) -> None:
    question = np.random.default_rng(5).normal(size=8)
    right = found(collection.search(question, exact=True))
    wrong: list[Any] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            if found(collection.search(question)) != right:
                wrong.append(1)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(5):
        collection.build_index()
    stop.set()
    asking.join()
    assert not wrong


operations = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.integers(0, 12), st.integers(0, 5)),
        st.tuples(st.just("delete"), st.integers(0, 12), st.just(0)),
        st.tuples(st.just("build"), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@given(operations, st.integers(0, 5))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history(
    tmp_path_factory: pytest.TempPathFactory, space: dict[str, Any], item: Make, history: list[Any], asked: int
) -> None:
    store = Store(tmp_path_factory.mktemp("history"))
    collection = store.create("a", {**space, "dimension": 4})
    vectors = np.random.default_rng(0).normal(size=(6, 4))
    model: dict[str, int] = {}
    for what, which, vector in history:
        match what:
            case "upsert":
                collection.upsert([item(f"{which}", vectors[vector], metadata={"v": vector})])
                model[f"{which}"] = vector
            case "delete":
                collection.delete([f"{which}"])
                model.pop(f"{which}", None)
            case "build":
                collection.build_index()
        hits = both(collection, vectors[asked], limit=50)
        assert {id_ for id_, _ in hits} == set(model)
        if "v" in collection.info().metadata_keys:
            both(collection, vectors[asked], limit=50, filter="v >= 2")
    verified = collection.verify()
    assert verified is None or verified.right


def test_killed_while_building(collection: Collection, store: Store) -> None:
    code = (
        "import sys; from oneword.storage import Store\n"
        "made = Store(sys.argv[1]).open('a'); made.build_index(); print('go', flush=True)\n"
        "while True: made.build_index()\n"
    )
    question = np.random.default_rng(6).normal(size=8)
    for wait in (0.0, 0.01, 0.03):
        child = forkserver.start(["-c", code, store.uri], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(wait)
        child.kill()
        child.wait()
        child.stdout.close()
        both(Store(store.uri).open("a"), question)
    collection.build_index()
    assert len(list(Path(store.uri).glob("a.serving/*"))) == 1
    verified = collection.verify()
    assert verified is not None
    assert verified.right


def test_the_commands(collection: Collection, store: Store, item: Make, capfd: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str, code: int = 0) -> Any:
        capfd.readouterr()
        assert cli.run([*arguments, "a", "--db", store.uri, "--json"]) == code
        return json.loads(capfd.readouterr().out)

    assert run("build")["rows"] == 200
    assert run("info")["index"]["recall"] == 1.0
    collection.upsert([item("new", np.ones(8))])
    collection.delete(["000"])
    checked = run("verify")["index"]
    assert (checked["missing"], checked["extra"], checked["stale"], checked["fresh"]) == (0, 0, 1, 1)
    assert checked["right"]


def test_written_anew_at_the_same_time_with_the_same_content(collection: Collection, item: Make) -> None:
    """An import keeps times; what it changes besides must be seen, also once compaction has moved all rows."""
    question = np.random.default_rng(7).normal(size=8)
    held = collection.get(["042"], vectors=True)["042"]
    assert held.vector is not None
    again = item("042", held.vector, metadata={"n": -1}, content_hash=held.content_hash, indexed_at=held.indexed_at)
    collection.upsert([again])
    for _ in range(2):
        (hit,) = collection.search(question, filter="n = -1")
        assert (hit.item.id, hit.item.metadata) == ("042", {"n": -1})
        (hit,) = [one for one in collection.search(question, limit=300) if one.item.id == "042"]
        assert hit.item.metadata == {"n": -1}
        collection.optimize()
    verified = collection.verify()
    assert verified is not None
    assert (verified.stale, verified.fresh, verified.right) == (1, 1, True)


def test_compaction_leaves_the_index_in_use(collection: Collection, item: Make) -> None:
    for n in range(5):
        collection.upsert([item(f"more{n}", np.ones(8), metadata={"n": 1000})])
        collection.optimize()
    verified = collection.verify()
    assert verified is not None
    assert (verified.rows, verified.stale, verified.fresh) == (205, 0, 5)
    assert not collection.keep_index(aside=False), "five rows are not a reason to build"


def test_damage_is_found(collection: Collection, store: Store) -> None:
    (folder,) = Path(store.uri).glob("a.serving/*")
    documents = folder / "documents.bin"
    documents.write_bytes(documents.read_bytes().replace(b'"text"', b'"TEXT"'))
    verified = Store(store.uri).open("a").verify()
    assert verified is not None
    assert verified.damaged == (folder.name,), "it serves no more"
    assert not verified.right
    (folder / "vectors.faiss").unlink()
    verified = Store(store.uri).open("a").verify()
    assert verified is not None
    assert (verified.damaged, verified.right) == ((folder.name,), False)


def test_the_newest_of_two_builds_serves(collection: Collection) -> None:
    old, keeper = collection.snapshot(), collection.index_keeper()
    assert keeper is not None
    collection.delete(["000"])
    collection.build_index()
    keeper.build(old)  # it had waited for the other one, say
    about = collection.index_info()
    assert about is not None
    assert about.version == collection.version
    collection.build_index(goal=0.5)
    about = collection.index_info()
    assert about is not None
    assert about.goal == 0.5
    for wrong in (0.4, 1.1, float("nan")):
        with pytest.raises(BadSearch, match="the share of the ten"):
            collection.build_index(goal=wrong)
    with pytest.raises(BadSearch, match="index 'ivf': expected one of auto, flat, ivfpq"):
        collection.build_index(index="ivf")  # type: ignore[arg-type]
    with pytest.raises(BadSearch, match="index 'ivf'"):
        StorageConfig(index="ivf")  # type: ignore[arg-type]


def test_rows_that_moved_more_than_once(collection: Collection, item: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneword.storage.ann.delta.MOST_ADDRESSES", 1)
    question = np.random.default_rng(10).normal(size=8)
    for n in range(4):
        collection.upsert([item(f"{n:03d}", question + n, metadata={"n": n})])
        collection.optimize()
        both(collection, question, limit=300)


def test_a_restored_version_is_searched(collection: Collection, item: Make) -> None:
    question = np.random.default_rng(8).normal(size=8)
    before, version = both(collection, question, limit=300), collection.version
    collection.delete([id_ for id_, _ in before[:50]])
    collection.upsert([item("new", question, metadata={"n": 1})])
    collection.build_index()
    collection.restore(version)
    assert both(collection, question, limit=300) == before


def test_more_than_is_kept_in_memory_is_searched_in_the_table(
    collection: Collection, item: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneword.storage.ann.delta.MOST_FRESH", 8 * 3)
    question = np.random.default_rng(9).normal(size=8)
    collection.upsert([item(f"new{n}", question + 0.01 * n, metadata={"n": 1}) for n in range(4)])
    assert {id_ for id_, _ in both(collection, question)[:4]} == {"new0", "new1", "new2", "new3"}
    assert collection.keep_index(aside=False)
    both(collection, question)


def test_the_structure_is_configured_or_asked_for(store: Store, space: dict[str, Any], item: Make) -> None:
    draw = np.random.default_rng(0)
    made = store.create("a", {**space, "dimension": 8})
    made.upsert([item(f"{n:03d}", draw.normal(size=8)) for n in range(300)])
    configured = Store(store.uri, config=StorageConfig(index="ivfpq")).open("a")
    assert configured.keep_index(aside=False)
    about = made.index_info()
    assert about is not None
    assert about.kind == "IVF7,PQ4x4fsr,Refine(SQfp16)"
    command = ["-m", "oneword", "build", "a", "--db", store.uri, "--index", "hnsw", "--json"]
    out = forkserver.run(command, check=True)
    assert json.loads(out.stdout)["kind"] == "HNSW32_SQ8,Refine(SQfp16)"
