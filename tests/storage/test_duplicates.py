"""Copies of images: exact ones, near ones by their pixels and by their vectors, the best of each group first."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest

from oneword import cli
from oneword.storage import BadSearch, Collection, Item, Store, duplicates
from oneword.storage.duplicates import ROUNDING, Copies

Make = Callable[..., Item]


def drawn(seed: int, side: int = 256) -> PIL.Image.Image:
    """Smooth colors, unlike those of any other seed."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return PIL.Image.fromarray(small).resize((side, side), PIL.Image.Resampling.BICUBIC)


def jpeg(image: PIL.Image.Image, quality: int = 80) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def groups(found: list[Copies]) -> list[tuple[bool, list[str]]]:
    return [(group.exact, [one.id for one in group.items]) for group in found]


@pytest.fixture
def image(item: Make) -> Make:
    def make(name: str, look: PIL.Image.Image | bytes, vector: Any = (1, 0, 0, 0), **fields: Any) -> Item:
        data = look if isinstance(look, bytes) else jpeg(look)
        return item(name, vector, **{"modality": "image", "thumbnail": data, "image_hash": name, **fields})

    return make


def test_near_copies_are_found_and_the_largest_is_first(collection: Collection, image: Make, item: Make) -> None:
    cat = drawn(1)
    copies = {
        "small": cat.resize((64, 64)),
        "poor": PIL.Image.open(io.BytesIO(jpeg(cat, 20))),
        "gray": cat.convert("L"),
        "bright": PIL.ImageEnhance.Brightness(cat).enhance(1.2),
        "cropped": cat.crop((7, 7, 249, 249)),
    }
    collection.upsert([image(name, look, width=100, height=90) for name, look in copies.items()])
    collection.upsert([image("cat", cat, width=200, height=180, uri="file:///cat.jpg")])
    collection.upsert([image(f"other {seed}", drawn(seed)) for seed in range(2, 40)])
    collection.upsert([image("blurred", cat.resize((12, 12)).resize((256, 256)), width=200, height=180)])
    collection.upsert([item("note", text="a text has no pixels")])
    (group,) = collection.duplicates()
    assert not group.exact
    assert {one.id for one in group.items} == {"cat", "blurred", *copies}
    first, second = group.items[:2]
    assert (first.id, first.uri, first.width, first.height) == ("cat", "file:///cat.jpg", 200, 180)
    assert second.id == "blurred", "of the same size, and less sharp"
    assert collection.count() == 46


def test_exact_copies_are_apart_and_one_of_them_is_among_the_near(collection: Collection, image: Make) -> None:
    cat = drawn(1)
    twins = [image(name, cat, image_hash="same", width=9, height=9) for name in ("b", "a")]
    collection.upsert([*twins, image("c", cat, width=3, height=3), image("d", drawn(2), image_hash="own")])
    assert groups(collection.duplicates()) == [(True, ["a", "b"]), (False, ["a", "c"])]


def test_plain_and_damaged_images_are_not_compared(collection: Collection, image: Make) -> None:
    plain = [PIL.Image.new("RGB", (64, 64), (n, n, n)) for n in (100, 101)]
    good = jpeg(drawn(1))
    broken = [b"", b"not an image", good[: len(good) // 8], bytes(100)]
    collection.upsert([image(f"{n}", look) for n, look in enumerate([*plain, *broken])])
    assert collection.duplicates() == []
    collection.delete(f"{n}" for n in range(6))
    assert collection.duplicates() == []


def test_without_other_processes_it_is_done_here(
    collection: Collection, image: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(**_: Any) -> None:
        raise OSError("/dev/shm is read-only")

    monkeypatch.setattr("loky.get_reusable_executor", unable)
    collection.upsert([image("a", drawn(1)), image("b", drawn(1)), image("c", drawn(2))])
    assert groups(collection.duplicates()) == [(False, ["a", "b"])]


def test_links_join_groups_across_blocks(collection: Collection, image: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", (3, 4))
    monkeypatch.setattr(duplicates, "BLOCKS", 2)
    monkeypatch.setattr(duplicates, "AT_ONCE", 5)
    collection.upsert([image(f"{n % 4} {n // 4}", drawn(n % 4)) for n in range(24)])
    found = collection.duplicates()
    assert len(found) == 4
    assert all(len({one.id[0] for one in group.items}) == 1 and len(group.items) == 6 for group in found)


@pytest.mark.parametrize("dimension", [16, 600])
def test_by_meaning_are_those_whose_vectors_are_near(
    store: Store, space: dict[str, Any], image: Make, dimension: int
) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(40, dimension))
    near = vectors[:10] + draw.normal(size=(10, dimension)) * np.linspace(0.1, 0.6, 10)[:, None]
    every = np.concatenate([vectors, near])
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    collection = store.create("many", {**space, "dimension": dimension})
    collection.upsert([image(f"{n:02d}", drawn(n), vector) for n, vector in enumerate(every)])
    cosines = (every @ every.T)[np.triu_indices(len(every), 1)]
    for threshold in (0.9, 0.97):
        assert not np.any(np.abs(cosines - threshold) < 1.5 * ROUNDING), "no pair is at the border"
        wanted = {(f"{n:02d}", f"{n + 40:02d}") for n in range(10) if every[n] @ every[n + 40] >= threshold}
        found = {tuple(sorted(ids)) for _, ids in groups(collection.duplicates("meaning", threshold))}
        assert found == wanted
        assert wanted


def test_the_command(store: Store, space: dict[str, Any], image: Make, capsys: pytest.CaptureFixture[str]) -> None:
    collection = store.create("photos", space)
    collection.upsert([image("large", drawn(1), width=2, height=2), image("small", drawn(1), width=1, height=1)])
    assert cli.run(["duplicates", "photos", "--db", store.uri, "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert (group["exact"], [one["id"] for one in group["items"]]) == (False, ["large", "small"])
    assert cli.run(["duplicates", "photos", "--db", store.uri]) == 0
    assert "keep" in (said := capsys.readouterr().out)
    assert "1 groups" not in said
    assert cli.run(["duplicates", "photos", "--db", store.uri, "--threshold", "0.1"]) == 2
    assert cli.run(["duplicates", "photos", "--db", store.uri, "--by", "sound"]) == 2
    with pytest.raises(BadSearch, match=r"threshold 0\.1: expected 0.5 to 1"):
        collection.duplicates(threshold=0.1)
    with pytest.raises(BadSearch, match="by 'sound': expected pixels or meaning"):
        collection.duplicates("sound")  # type: ignore[arg-type]
