"""The ANN index answers as an exact search over the same vectors does, to the recall that it was built for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oneword.storage import Collection, Item, MissingGpu, StorageConfig, Store
from oneword.storage.ann.build import build
from oneword.storage.ann.files import ABOUT, DOCUMENTS, VECTORS, IndexInfo
from oneword.storage.ann.index import ADDRESSES, LISTS, AnnIndex
from oneword.storage.ann.rows import RowSet
from oneword.storage.ann.structure import SearchParams
from oneword.storage.ranking import cosines

DIMENSION, ROWS = 32, 6000
SPACE = {"fingerprint": "f", "dimension": DIMENSION, "model": "m", "view": "v"}


def clustered(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors as a table stores them: rounded to float16."""
    centres = np.random.default_rng(0).standard_normal((60, DIMENSION))
    draw = np.random.default_rng(seed)
    vectors = centres[draw.integers(0, len(centres), count)] + 0.8 * draw.standard_normal((count, DIMENSION))
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return unit


def filled(folder: Path, vectors: np.ndarray) -> Collection:
    made = Store(folder).create("a", SPACE)
    made.upsert(
        Item(
            id=f"{(7919 * n) % len(vectors):06d}",  # not in the order of the rows
            modality="text",
            uri="u",
            content_hash=f"h{n}",
            vector=vector / np.linalg.norm(vector),
            metadata={"n": n},
        )
        for n, vector in enumerate(vectors)
    )
    return made


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return filled(tmp_path_factory.mktemp("db"), clustered(ROWS))


@pytest.fixture(scope="module", params=["ivfpq", "hnsw"])
def folder(request: pytest.FixtureRequest, collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(request.param)
    build(collection.snapshot(), made, goal=0.99, kind=request.param)
    return made


@pytest.fixture(scope="module")
def lists(folder: Path) -> AnnIndex:
    return AnnIndex(folder)


def truth(index: AnnIndex, question: np.ndarray, count: int, may: np.ndarray | None = None) -> list[float]:
    rows = np.arange(len(index.stamps)) if may is None else np.flatnonzero(may)
    return sorted(cosines(index.stored(rows), question), reverse=True)[:count]


def recall(index: AnnIndex, count: int, may: np.ndarray | None = None) -> float:
    shares = []
    for question in clustered(100, seed=2):
        found = index.nearest(question, count, None if may is None else RowSet(may))
        right = truth(index, question, count, may)
        assert len({row for _, row in found}) == len(found) == len(right)
        assert [score for score, _ in found] == sorted((score for score, _ in found), reverse=True)
        assert may is None or all(may[row] for _, row in found), "what is not allowed is never found"
        scored = cosines(index.stored(np.array([row for _, row in found])), question)
        assert [score for score, _ in found] == scored, "scores are those of the stored vectors"
        shares.append(np.mean(np.isin(np.round(right, 9), np.round(scored, 9))))
    return float(np.mean(shares))


def test_it_chooses_by_size_and_measures_itself(lists: AnnIndex, collection: Collection, tmp_path: Path) -> None:
    names = ["IVF153,PQ16x4fsr", "HNSW32_SQ8"]
    assert lists.info.kind in [f"{name},Refine(SQfp16)" for name in names]
    assert lists.info.recall >= lists.info.goal == 0.99
    flat = build(collection.snapshot(), tmp_path, goal=0.99)
    assert (flat.kind, flat.recall, flat.effort) == ("flat", 1.0, None)
    assert not (tmp_path / LISTS).exists()


def test_a_trial_finds_the_quickest_within_the_budgets(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneword.storage.ann.build.FLAT_NUMBERS", 1000)
    monkeypatch.setattr("oneword.storage.ann.training.MEMORY_BUDGET", 20 / (2 * DIMENSION))  # 16 for codes of 4 bits
    about = build(collection.snapshot(), tmp_path, goal=0.99)
    assert about.kind == "IVF153,PQ16x4fsr,Refine(SQfp16)"
    assert about.recall >= 0.99


@pytest.mark.parametrize("count", [1, 10, 40, 160, 640])
def test_recall_at_every_depth(lists: AnnIndex, count: int) -> None:
    assert recall(lists, count) >= 0.985


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.03, 0.01, 0.001])
def test_recall_at_every_selectivity(lists: AnnIndex, share: float) -> None:
    may = np.random.default_rng(1).random(ROWS) < share
    may[:3] = True
    assert recall(lists, 10, may) >= 0.985


@pytest.mark.parametrize("clusters", [30, 6, 2])
def test_recall_where_what_is_allowed_lies_together(lists: AnnIndex, clusters: int) -> None:
    """A filter such as `kind = shoe` lets through what lies together, maybe far from the question."""
    centres = np.random.default_rng(0).standard_normal((60, DIMENSION))
    nearest = np.argmax(lists.stored(np.arange(ROWS)).astype(np.float32) @ centres.T, axis=1)
    assert recall(lists, 10, np.isin(nearest, np.arange(clusters))) >= 0.985


def test_all_questions_at_once(lists: AnnIndex) -> None:
    asked = clustered(20, seed=3)
    for found, question in zip(lists.nearest_batch(asked, 10), asked, strict=True):
        assert found == lists.nearest(question, 10)


def test_a_goal_out_of_reach_ends_in_comparing_all(tmp_path: Path) -> None:
    """Rows that a 1-bit code cannot tell apart: no effort finds the ten nearest among them, so none is spent."""
    draw = np.random.default_rng(0)
    one = draw.standard_normal(DIMENSION)
    close = one + 1e-3 * draw.standard_normal((3000, DIMENSION))
    about = build(filled(tmp_path / "db", close).snapshot(), _made(tmp_path / "i"), goal=1.0, kind="ivfpq")
    assert about.recall == 1.0


@pytest.mark.parametrize("loaded", [True, False])
def test_in_memory_or_mapped(folder: Path, lists: AnnIndex, loaded: bool) -> None:
    again = AnnIndex(folder, StorageConfig(loaded=loaded))
    assert again.info == lists.info
    for question in clustered(20, seed=4):
        assert again.nearest(question, 10) == lists.nearest(question, 10)


def test_no_gpu_is_told(folder: Path) -> None:
    with pytest.raises(MissingGpu, match="faiss-gpu"):
        AnnIndex(folder, StorageConfig(index_device="cuda:7"))


@pytest.mark.gpu
def test_on_a_gpu(folder: Path, lists: AnnIndex) -> None:
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("faiss-gpu is not installed")
    on_gpu = AnnIndex(folder, StorageConfig(index_device="cuda"))
    assert recall(on_gpu, 10) >= 0.999, "every vector is compared"
    asked = clustered(20, seed=3)
    for found, question in zip(on_gpu.nearest_batch(asked, 10), asked, strict=True):
        assert found == on_gpu.nearest(question, 10)
    may = np.random.default_rng(1).random(ROWS) < 0.1
    question = clustered(1, seed=5)[0]
    assert on_gpu.nearest(question, 10, RowSet(may)) == lists.nearest(question, 10, RowSet(may))


@pytest.mark.parametrize("torn", [ABOUT, VECTORS, LISTS, ADDRESSES, DOCUMENTS])
@pytest.mark.parametrize("how", ["gone", "cut", "empty"])
def test_an_incomplete_one_is_refused(folder: Path, tmp_path: Path, torn: str, how: str) -> None:
    copied = tmp_path / "index"
    shutil.copytree(folder, copied)
    whole = (copied / torn).read_bytes()
    (copied / torn).unlink()
    if how != "gone":
        (copied / torn).write_bytes(whole[: len(whole) // 2] if how == "cut" else b"")
    with pytest.raises(Exception):  # noqa: B017 - whatever its reader makes of it
        AnnIndex(copied)


def test_one_that_tells_of_other_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "index"
    shutil.copytree(folder, copied)
    replace(IndexInfo.load(copied), rows=ROWS - 1).save(copied)
    with pytest.raises(ValueError, match=f"expected {ROWS - 1}"):
        AnnIndex(copied)


def test_nothing_to_find(collection: Collection, lists: AnnIndex, tmp_path: Path) -> None:
    assert lists.nearest(clustered(1)[0], 0) == []
    assert lists.nearest(clustered(1)[0], 5, RowSet(np.zeros(ROWS, dtype=bool))) == []
    empty = Store(tmp_path / "db").create("a", SPACE)
    build(empty.snapshot(), _made(tmp_path / "i"), goal=0.99)
    assert AnnIndex(tmp_path / "i").nearest(clustered(1)[0], 5) == []


@pytest.mark.parametrize(
    ("depth", "expected"), [(1, (4, 8, 1)), (10, (4, 8, 1)), (40, (8, 8, 3)), (160, (16, 6, 9)), (2560, (64, 6, 81))]
)
def test_effort_grows_with_depth(depth: int, expected: tuple[int, int, float]) -> None:
    deep = {"deep_effort": 16, "deep_keep": 6, "deep_seconds": 9.0}
    params = SearchParams(effort=4, keep=8, seconds=1.0, **deep, row_seconds=1.0)
    found = params.effort_at(depth), params.keep_at(depth), params.seconds_at(depth)
    assert found == pytest.approx(expected)


def test_items_survive_as_they_are(
    tmp_path: Path, item: Callable[..., Any], store: Store, space: dict[str, Any]
) -> None:
    from datetime import UTC, datetime

    odd = {"text": 'a "quoted"\n\x00 é 🙂 \u2028', "uri": "file:///a%20b", "width": 2**40, "image_hash": None}
    facts = {
        "s": '{"x": 1}',
        "t": datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
        "l": ["a", ""],
        "n": 1e300,
        "b": False,
    }
    made = store.create("a", space)
    when = datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    made.upsert([item("x'y", **odd, metadata=facts, indexed_at=when), item("z")])
    build(made.snapshot(), _made(tmp_path / "i"), goal=0.99)
    documents = AnnIndex(tmp_path / "i").documents
    held = {one.id: one for one in (documents[0], documents[1])}
    assert held == made.get(["x'y", "z"], thumbnails=False)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_long_vectors_are_reduced_for_the_lists(tmp_path: Path) -> None:
    """Vectors of 1,024 numbers that lie in 100 directions, with a common mean, as embeddings do."""
    draw = np.random.default_rng(0)
    scales = np.arange(1, 101) ** -0.7
    basis, mean = draw.standard_normal((100, 1024)), 0.1 * draw.standard_normal(1024)
    points = (draw.standard_normal((3200, 100)) * scales) @ basis + 10 * mean
    vectors, asked = points[:3000], points[3000:]
    made = Store(tmp_path / "db").create("a", {**SPACE, "dimension": 1024})
    made.upsert(
        Item(id=f"{n}", modality="text", uri="u", content_hash="h", vector=one / np.linalg.norm(one))
        for n, one in enumerate(vectors)
    )
    about = build(made.snapshot(), _made(tmp_path / "i"), goal=0.99, kind="ivfpq")
    assert about.kind.startswith("PCAR64,IVF"), "as few directions as hold the vectors"
    index = AnnIndex(tmp_path / "i")
    shares = []
    for question in asked.astype(np.float32):
        question = question / np.linalg.norm(question)
        scores = [score for score, _ in index.nearest(question, 10)]
        shares.append(np.mean(np.isin(np.round(truth(index, question, 10), 9), np.round(scores, 9))))
    assert np.mean(shares) >= 0.985
