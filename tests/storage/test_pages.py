"""Pages of all items: each once, of one version, whatever is written meanwhile."""

from collections.abc import Callable

import pytest

from oneword.storage import Collection, Item, VersionNotFound


@pytest.fixture
def filled(collection: Collection, item: Callable[..., Item]) -> Collection:
    for start in range(0, 90, 9):  # several commits, some of which replace rows of earlier ones
        collection.upsert(
            item(f"i{n:03}", [1, n, 0, 0], metadata={"even": n % 2 == 0}) for n in range(start, start + 15)
        )
    collection.delete([f"i{n:03}" for n in range(5, 105, 10)])
    return collection


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize("condition", [None, "even = true"])
def test_pages_have_every_item_once(
    filled: Collection, item: Callable[..., Item], limit: int, condition: str | None
) -> None:
    version, seen = filled.version, []
    while True:
        items, of = filled.page(offset=len(seen), limit=limit, filter=condition, version=version)
        assert of == version
        if not items:
            break
        seen += [one.id for one in items]
        if len(seen) < 20:
            filled.upsert([item(items[0].id)])  # written between two pages
            filled.optimize()
    wanted = sorted(f"i{n:03}" for n in range(96) if n % 10 != 5 and not (condition and n % 2))
    assert sorted(seen) == wanted


def test_pages_of_the_newest_version_bring_what_is_asked_for(filled: Collection, item: Callable[..., Item]) -> None:
    filled.upsert([item("z", thumbnail=b"small")])
    items, version = filled.page(filter="id = z", vectors=True, thumbnails=True)
    assert (items[0].thumbnail, version) == (b"small", filled.version)
    assert items[0].vector is not None
    assert filled.page(filter="id = z")[0][0].vector is None


def test_a_page_of_nothing(filled: Collection) -> None:
    assert filled.page(limit=0) == ([], filled.version)


def test_a_version_that_is_gone(filled: Collection) -> None:
    with pytest.raises(VersionNotFound, match="no version 999"):
        filled.page(version=999)
