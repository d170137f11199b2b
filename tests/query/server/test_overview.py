"""What a page about a collection shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine import views
from oneword.engine.hashing import HashEncoder
from oneword.indexer import index_paths
from oneword.query.server.routes.overview import facets_of, gap_of, map_of, projected, sampled
from oneword.storage import Collection, Item, Store

D = HashEncoder.dimension


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Store(tmp_path / "db").create("things", HashEncoder().space(views.DEFAULT).as_dict())


def item(number: int, vector: Any, modality: str = "text", **metadata: Any) -> Item:
    unit = np.asarray(vector, np.float32)
    return Item(
        id=f"i{number}",
        modality=modality,  # type: ignore[arg-type]
        uri=f"urn:i:{number}",
        content_hash=str(number),
        text=f"text {number}",
        vector=unit / np.linalg.norm(unit),
        metadata=metadata,
    )


def blob(seed: int, count: int, shift: float) -> list[Any]:
    draw = np.random.default_rng(seed)
    middle = np.zeros(D)
    middle[0], middle[1] = 1, shift
    return list(middle + draw.normal(0, 0.02, (count, D)))


@pytest.mark.parametrize(("shift", "mixed"), [(0.0, True), (3.0, False)])
def test_a_gap_between_modalities_shows(shift: float, mixed: bool) -> None:
    items = [item(n, one) for n, one in enumerate(blob(1, 60, 0.0))]
    items += [item(100 + n, one, "image") for n, one in enumerate(blob(2, 30, shift))]
    gap = gap_of(items)
    assert gap is not None
    assert (gap["centroid_distance"] < 0.1) is mixed
    assert gap["cross_modal_neighbors"] == pytest.approx(1 if mixed else 0, abs=0.25)
    assert gap_of(items[:60]) is None


def test_two_directions_explain_what_lies_in_a_plane() -> None:
    draw = np.random.default_rng(3)
    flat = draw.normal(size=(50, 2)) * [5, 1]
    places, explained = projected((flat @ draw.normal(size=(2, 40))).astype(np.float32))
    assert sum(explained) == pytest.approx(1, abs=1e-3)
    assert explained[0] >= explained[1]
    again, _ = projected((flat @ np.linalg.qr(draw.normal(size=(40, 2)))[0].T).astype(np.float32))
    assert np.abs(np.corrcoef(again[:, 0], flat[:, 0])[0, 1]) > 0.99
    assert places.shape == (50, 2)


@pytest.mark.parametrize("count", [1, 2])
def test_a_map_of_next_to_nothing(collection: Collection, count: int) -> None:
    assert map_of(collection, 10)["points"] == []
    collection.upsert(item(n, blob(n, 1, 0)[0]) for n in range(count))
    told = map_of(collection, 10)
    assert len(told["points"]) == count
    assert len(told["explained"]) == 2


def test_a_sample_is_taken_from_everywhere(collection: Collection) -> None:
    collection.upsert(item(n, one) for n, one in enumerate(blob(1, 640, 0)))
    items, total, version = sampled(collection, 64, vectors=False)
    numbers = sorted(int(one.id[1:]) for one in items)
    assert (len(set(numbers)), total, version) == (64, 640, collection.version)
    assert numbers[0] < 40
    assert numbers[-1] > 600


@pytest.mark.parametrize("total", [21, 400])
@pytest.mark.parametrize("count", [2, 15, 16, 20])
def test_a_sample_is_as_large_as_was_asked(collection: Collection, count: int, total: int) -> None:
    collection.upsert(item(n, one) for n, one in enumerate(blob(1, total, 0)))
    items, _, _ = sampled(collection, count, vectors=False)
    assert len({one.id for one in items}) == len(items) == count


def test_facets_have_values_and_ranges(collection: Collection) -> None:
    vectors = blob(1, 4, 0)
    collection.upsert(
        [
            item(0, vectors[0], year=2020, tags=["sea", "sun"], camera="Nikon"),
            item(1, vectors[1], year=2024, tags=["sea"], draft=True),
            item(2, vectors[2], _hidden="x"),
        ]
    )
    told = facets_of(collection)
    fields = {one["name"]: one for one in told["fields"]}
    assert set(fields) == {"year", "tags", "camera", "draft"}
    assert (fields["year"]["min"], fields["year"]["max"], fields["year"]["items"]) == (2020, 2024, 2)
    assert fields["tags"]["values"] == [{"value": "sea", "count": 2}, {"value": "sun", "count": 1}]
    assert fields["draft"]["values"] == [{"value": True, "count": 1}]
    assert (told["sampled"], told["total"]) == (3, 3)


def test_routes(serve: Callable[..., Any], tmp_path: Path) -> None:
    for n in range(12):
        PIL.Image.new("RGB", (20, 10), (20 * n, 0, 0)).save(tmp_path / f"{n}.png")
        (tmp_path / f"t{n}.md").write_text(f"text number {n}", encoding="utf-8")
    index_paths([tmp_path], db=str(tmp_path / "db"), model="hash")
    service = serve(db=tmp_path / "db")
    me = service.get("/me").json()
    assert (me["scope"], me["keys"], me["jobs"]) == ("admin", False, False)
    fields = {one["name"]: one for one in service.get("/collections/default/facets").json()["fields"]}
    assert (fields["width"]["min"], fields["width"]["max"]) == (20, 20)
    assert {"value": "png", "count": 12} in fields["format"]["values"]
    drawn = service.get("/collections/default/map", params={"sample": 20}).json()
    assert len(drawn["points"]) == 20
    assert service.get("/collections/default/map", params={"sample": 1}).status_code == 422
    assert service.get("/collections/default/map").json()["gap"]["centroid_distance"] > 0.1
