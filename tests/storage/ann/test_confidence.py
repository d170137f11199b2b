"""What a score means: how many unrelated queries have a lower best hit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oneword.storage import BadSearch, Collection, Item, Store
from oneword.storage.collection import WORTH_ASKING
from oneword.storage.confidence import FILE, Confidence, Scale

Make = Callable[..., Item]
D = 32


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def texts() -> NDArray[Any]:
    return unit(np.random.default_rng(5).normal(size=(200, D)))


@pytest.fixture
def collection(store: Store, space: dict[str, Any], item: Make) -> Collection:
    """Images and texts, in equal numbers."""
    made = store.create("a", {**space, "dimension": D})
    draw = np.random.default_rng(0)
    kinds = ("image", "text")
    made.upsert([item(f"{n:03d}", draw.normal(size=D), modality=kinds[n % 2]) for n in range(WORTH_ASKING)])
    return made


def test_a_score_is_as_sure_as_the_share_of_unrelated_best_hits_below_it(
    collection: Collection, texts: NDArray[Any]
) -> None:
    collection.build_index(unrelated=lambda: texts)
    stored = collection.get([f"{n:03d}" for n in range(WORTH_ASKING)], vectors=True)
    images = unit(np.stack([one.vector for one in stored.values() if one.modality == "image"]))  # type: ignore[arg-type]
    best = (texts @ images.T).max(axis=1)
    question = np.random.default_rng(1).normal(size=D)
    for hit in collection.search(question, limit=100, asked="text"):
        assert hit.confidence is not None
        if hit.item.modality == "image":
            assert hit.confidence == pytest.approx(np.mean(best < hit.score), abs=0.006)


def test_unrelated_queries_are_told_and_an_items_own_vector_is_not(collection: Collection, texts: NDArray[Any]) -> None:
    collection.build_index(unrelated=lambda: texts)
    others = unit(np.random.default_rng(6).normal(size=(200, D)))
    found = collection.search_batch(others, limit=1, asked="text", filter="modality = image", min_confidence=0.95)
    assert 0.9 <= np.mean([not hits for hits in found]) < 1
    for asked in ("text", "image"):
        for item_ in collection.get(["000", "001"], vectors=True).values():
            hit = collection.search(item_.vector, limit=3, asked=asked, min_confidence=1.0)[0]
            assert (hit.item.id, hit.confidence) == (item_.id, 1)


def test_pages_and_groups_hold_the_confident_hits_only(collection: Collection, texts: NDArray[Any]) -> None:
    collection.build_index(unrelated=lambda: texts)
    question = np.random.default_rng(1).normal(size=D)
    every = collection.search(question, limit=100, asked="text")
    sure = [hit.item.id for hit in every if (hit.confidence or 0) >= 0.3]
    assert 0 < len(sure) < len(every)
    pages = [
        collection.search(question, limit=2, offset=at, asked="text", min_confidence=0.3)
        for at in range(0, len(sure) + 2, 2)
    ]
    assert [hit.item.id for page in pages for hit in page] == sure
    assert sure == [hit.item.id for hit in collection.search(question, exact=True, asked="text", min_confidence=0.3)]


def test_related_images_are_left_out_of_what_an_image_is_measured_by() -> None:
    """Ten subjects of six near equal images: what is found where nothing fits is an image of another subject."""
    draw = np.random.default_rng(2)
    subjects = unit(draw.normal(size=(10, D)))
    images = unit(np.repeat(subjects, 6, axis=0) + 0.02 * draw.normal(size=(60, D))).astype(np.float16)
    scale = Confidence.measure(images, np.ones(60, bool), None, "f").scales["image"]
    others = subjects @ subjects.T
    np.fill_diagonal(others, -1)
    assert scale.best["image"] == pytest.approx(np.sort(np.repeat(others.max(axis=1), 6)), abs=0.06)


def test_a_floor_loses_no_hit() -> None:
    scale = Scale({"image": np.array([0.1, 0.2, 0.2, 0.4], np.float32)})
    assert [scale.of("image", score) for score in (0.0, 0.15, 0.2, 0.3, 0.5)] == [0, 0.25, 0.25, 0.75, 1]
    assert scale.of("text", 0.3) is None
    assert scale.floor(0) == -math.inf
    for least in (0.01, 0.25, 0.3, 0.75, 1):
        for score in np.linspace(0, 0.5, 101):
            assert (scale.of("image", score) or 0) < least or score >= scale.floor(least)


def test_what_is_not_known_is_told_and_texts_are_embedded_once(collection: Collection, texts: NDArray[Any]) -> None:
    question = np.ones(D)
    with pytest.raises(BadSearch, match="oneword build"):
        collection.search(question, asked="text", min_confidence=0.5)
    collection.build_index()
    assert collection.search(question, asked="text")[0].confidence is None
    assert collection.search(question, asked="image")[0].confidence is not None
    with pytest.raises(BadSearch, match="oneword build"):
        collection.search(question, asked="text", min_confidence=0.5)
    with pytest.raises(BadSearch, match="min_score"):
        collection.search(question, min_confidence=0.5)
    with pytest.raises(BadSearch, match="expected a number from 0 to 1"):
        collection.search(question, asked="image", min_confidence=1.5)
    assert collection.keep_index(aside=False, unrelated=lambda: texts)
    assert not collection.keep_index(aside=False, unrelated=lambda: texts)
    collection.build_index(unrelated=lambda: pytest.fail("embedded twice"))
    assert collection.search(question, asked="text")[0].confidence is not None


def test_an_index_of_an_earlier_release_has_none(collection: Collection) -> None:
    keeper = collection.index_keeper()
    assert keeper is not None
    info = collection.build_index()
    (folder,) = keeper.folder.iterdir()
    (folder / FILE).unlink()
    info.digests.pop(FILE)
    info.save(folder)
    fresh = Store(keeper.folder.parent).open("a")
    assert fresh.index_info() is not None
    assert fresh.search(np.ones(D), asked="image")[0].confidence is None
