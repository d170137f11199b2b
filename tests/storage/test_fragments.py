"""Files written by many processes become part of a collection in one commit, and are read as if it had written them."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.storage import BadItem, Collection, Item, Locked, StorageError, Store, write_fragments

NOW = timedelta(milliseconds=1)


@pytest.fixture
def lance() -> Any:
    return pytest.importorskip("lance")


@pytest.fixture
def typed(collection: Collection, item: Callable[..., Item]) -> Collection:
    """With an item, and metadata of every kind."""
    metadata = {"s": "x", "n": 1.5, "b": True, "t": datetime(2024, 1, 1, tzinfo=UTC), "tags": ["a", "b"]}
    collection.upsert([item("first", metadata=metadata)])
    return collection


def ids(collection: Collection) -> list[str]:
    return sorted(name for batch in collection.ids() for name in batch)


def files(collection: Collection) -> int:
    return len(list((Path(collection.uri) / "things.lance" / "data").iterdir()))


def test_what_workers_wrote_is_there_after_one_commit(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    metadata = {"s": "é", "n": 2**60 + 1, "b": False, "t": datetime(2024, 5, 31, tzinfo=UTC), "tags": ["z"]}
    full = item("full", [1, 2, 3, 4], text="words", thumbnail=b"x", width=3, image_hash="i", metadata=metadata)
    assert "beyond 2^53" in typed.fragment_target().check([full])["full"], "workers can add no column"
    typed.upsert([item("first", metadata={"n": 2**53 + 1})])
    target = pickle.loads(pickle.dumps(typed.fragment_target()))
    written = write_fragments(target, [full, item("bare", [0, 1, 0, 0])]) + write_fragments(target, [item("more")])
    assert write_fragments(target, []) == []
    assert ids(typed) == ["first"]
    before = typed.version
    with typed.writing():
        assert typed.commit_fragments(written) == 3
    assert typed.version == before + 1
    back = typed.get(["full", "bare"], vectors=True)
    assert replace(back["full"], indexed_at=None) == full
    vector = back["full"].vector
    assert vector is not None
    np.testing.assert_allclose(vector, full.vector, atol=2**-11)
    assert [hit.item.id for hit in typed.search([0, 1, 0, 0], limit=1)] == ["bare"]
    assert typed.count("tags contains z and n > 2 and t > 2024-05-01 and not b = true") == 1


def test_the_table_lives_on_as_if_it_had_written_them(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    with typed.writing():
        for n in range(3):
            typed.commit_fragments(write_fragments(typed.fragment_target(), [item(f"{n}{m}") for m in "abc"]))
            typed.upsert([item(f"{n}a", text="again"), item(f"u{n}")])
    typed.delete(["0b"])
    typed.index_keywords()
    typed.optimize(NOW)
    expected = {"first", *(f"{n}{m}" for n in range(3) for m in "abc"), "u0", "u1", "u2"} - {"0b"}
    assert set(ids(typed)) == expected
    assert typed.get(["1a"])["1a"].text == "again"
    assert lance.dataset(typed.fragment_target().uri).count_rows() == len(expected)
    stamps = [stamp for rows in typed._table().rows(["stamp"]) for stamp in rows["stamp"].to_pylist()]
    assert len(set(stamps)) == len(expected)


def test_the_serving_index_sees_them(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    pytest.importorskip("faiss")
    typed.upsert([item(f"{n}", [n, 1, 2, 3]) for n in range(50)])
    typed.build_index()
    with typed.writing():
        typed.commit_fragments(write_fragments(typed.fragment_target(), [item("new", [-1, -1, 0, 0])]))
    assert [hit.item.id for hit in typed.search([-1, -1, 0, 0], limit=1)] == ["new"]
    found = typed.verify()
    assert found is not None
    assert found.right


def test_doing_it_again_adds_nothing(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    target = typed.fragment_target()
    first, second = write_fragments(target, [item("a")]), write_fragments(target, [item("b"), item("c")])
    with typed.writing():
        assert typed.commit_fragments([*first, *first]) == 1
        before = typed.version
        assert typed.commit_fragments(first) == 0
        assert typed.commit_fragments([]) == 0
        assert typed.version == before
        assert typed.commit_fragments(first + second) == 2
    assert ids(typed) == ["a", "b", "c", "first"]


def test_outside_a_writing_block_it_is_refused(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    written = write_fragments(typed.fragment_target(), [item("a")])
    with pytest.raises(RuntimeError, match=r"commit_fragments of 'things' outside its writing\(\) block"):
        typed.commit_fragments(written)
    with Store(typed.uri).open("things").writing():
        write_fragments(typed.fragment_target(), [item("b")])  # a worker needs no lock
        with pytest.raises(Locked):
            typed.sweep()


def test_bad_items_write_nothing(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    target, before = typed.fragment_target(), files(typed)
    new = item("new key", metadata={"other": 1})
    kind = item("kind", metadata={"n": "x"})
    assert set(target.check([item("good", metadata={"n": 2}), new, kind])) == {"new key", "kind"}
    for bad, said in (([new], "metadata key 'other'.*declare"), ([kind], "a number"), ([item("a")] * 2, "given twice")):
        with pytest.raises(BadItem, match=said):
            write_fragments(target, [item("good"), *bad])
    assert files(typed) == before
    typed.declare({"other": "number"})
    assert typed.fragment_target().check([new]) == {}


def test_declare(collection: Collection, item: Callable[..., Item]) -> None:
    before = collection.version
    collection.declare({})
    assert collection.version == before
    collection.declare({"year": "number", "tags": "list of strings"})
    collection.declare({"year": "number", "name": "string"})
    assert collection.info().metadata_keys == {"year": "number", "tags": "list of strings", "name": "string"}
    kinds: dict[str, Any]
    for kinds, said in (
        ({"fine": "bool", "year": "string"}, "'year' as a string: in this collection it is a number"),
        ({"a b": "string"}, "'a b' as a string: expected"),
        ({"fine": "float"}, "'fine' as a float: expected .* one of string, number"),
    ):
        with pytest.raises(BadItem, match=said):
            collection.declare(kinds)
    assert "fine" not in collection.info().metadata_keys


def test_columns_that_came_meanwhile_are_empty(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    target = typed.fragment_target()
    before = write_fragments(target, [item("a", metadata={"n": 1})])
    typed.declare({"later": "string"})
    after = write_fragments(target, [item("b", metadata={"n": 2})])  # by a worker that knows nothing of it
    with typed.writing():
        assert typed.commit_fragments(before + after) == 2
        typed.insert([item("c", metadata={"later": "x"})])
    assert typed.count("exists(later)") == 1
    assert typed.count("n >= 1 and n <= 2 and not exists(later)") == 3
    typed.optimize(NOW)
    assert typed.count('later = "x"') == 1


def test_what_does_not_fit_is_refused_whole(
    lance: Any, typed: Collection, item: Callable[..., Item], tmp_path: Path
) -> None:
    target = typed.fragment_target()
    good = write_fragments(target, [item("good")])
    other = write_fragments(replace(target, format="2.0"), [item("old")])
    gone = write_fragments(target, [item("gone")])
    (Path(target.uri) / "data" / json.loads(gone[0])["files"][0]["path"]).unlink()
    wrong = json.dumps(json.loads(write_fragments(target, [item("x")])[0]) | {"physical_rows": 7})
    with typed.writing():
        for bad, said in (
            (other[0], "format 2.0.*does not fit"),
            (gone[0], "cannot be read"),
            (wrong, "does not fit"),
            ("nonsense", "'nonsense' is no fragment"),
            ("{}", "is no fragment"),
        ):
            with pytest.raises(StorageError, match=said):
                typed.commit_fragments([*good, bad])
    assert ids(typed) == ["first"]


def test_columns_that_are_others_now_are_refused(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    """After a restore, numbers of columns may be given anew: those of a file would then mean others."""
    version = typed.version
    typed.declare({"one": "number"})
    typed.declare({"other": "number"})
    written = write_fragments(typed.fragment_target(), [item("x", metadata={"one": 1, "other": 2})])
    typed.restore(version)
    for kinds in ({}, {"other": "number"}, {"one": "number"}):
        typed.declare(kinds)  # type: ignore[arg-type]
        with typed.writing(), pytest.raises(StorageError, match="does not fit"):
            typed.commit_fragments(written)
    assert ids(typed) == ["first"]


def test_what_is_never_committed_can_be_swept(lance: Any, typed: Collection, item: Callable[..., Item]) -> None:
    typed.tag("kept")
    typed.upsert([item("second")])
    with typed.writing():
        target, before = typed.fragment_target(), files(typed)
        orphans = write_fragments(target, [item("a")]) + write_fragments(target, [item("b")])
        committed = write_fragments(target, [item("c")])
        typed.commit_fragments(committed)
        typed.optimize(NOW)
        assert all((Path(target.uri) / "data" / json.loads(one)["files"][0]["path"]).exists() for one in orphans)
        typed.sweep()
        assert not any((Path(target.uri) / "data" / json.loads(one)["files"][0]["path"]).exists() for one in orphans)
        with pytest.raises(StorageError, match="if a cleanup has removed it"):
            typed.commit_fragments(orphans)
    assert before > 0
    assert ids(typed) == ["c", "first", "second"]
    typed.restore("kept")
    assert ids(typed) == ["first"]


def test_workers_killed_and_a_committer_that_goes_on(
    lance: Any, typed: Collection, item: Callable[..., Item], process: Callable[..., Any], tmp_path: Path
) -> None:
    code = """
import pickle, sys
from pathlib import Path
import numpy as np
from oneword.storage import Item, write_fragments
target, name = pickle.loads(Path(sys.argv[1]).read_bytes()), sys.argv[2]
vector = np.array([1, 0, 0, 0], np.float32)
for n in range(100_000):
    items = [Item(id=f"{name}{n}-{m}", modality="text", uri="u", content_hash="h", vector=vector) for m in range(20)]
    for one in write_fragments(target, items):
        print(one, flush=True)
"""
    (tmp_path / "target").write_bytes(pickle.dumps(typed.fragment_target()))
    with typed.writing():
        workers = [process(code, tmp_path / "target", name) for name in "ab"]
        written = [worker.stdout.readline() for worker in workers for _ in range(3)]
        assert typed.commit_fragments(written[:3]) == 60
        for worker in workers:
            worker.kill()  # SIGKILL, in the middle of a file
            worker.wait()
        assert typed.commit_fragments(written) == 60
        assert typed.commit_fragments(written) == 0
        (Path(typed.uri) / "things.lance" / "data" / ".tmpX1y2Z3").write_bytes(b"half")  # as a kill leaves it, at times
        typed.sweep()
        names = sorted(one.name for one in (Path(typed.uri) / "things.lance" / "data").iterdir())
        assert len(names) <= 8, names
    assert len(ids(typed)) == 121
    assert len(set(ids(typed))) == 121


def test_without_pylance(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(StorageError, match=r'pip install "oneword\[ray\]"'):
        collection.fragment_target()


def test_a_moved_store_keeps_them(lance: Any, typed: Collection, item: Callable[..., Item], tmp_path: Path) -> None:
    with typed.writing():
        typed.commit_fragments(write_fragments(typed.fragment_target(), [item("a")]))
    shutil.move(typed.uri, tmp_path / "elsewhere")
    assert ids(Store(tmp_path / "elsewhere").open("things")) == ["a", "first"]
