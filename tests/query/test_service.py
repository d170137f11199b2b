from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword import engine
from oneword.engine import encode, views
from oneword.engine.encoder import Side
from oneword.engine.errors import BlankText, ModelNotFound, NotAnImage, UnreadableFile
from oneword.engine.hashing import HashEncoder
from oneword.indexer import index_paths
from oneword.query import BadQuery, Composed, Image, Query, SearchService, Text, Vector, service
from oneword.storage import CollectionNotFound, FilterError, ItemNotFound, SpaceMismatch, Store


@pytest.fixture
def searching(album: Path) -> SearchService:
    for i in range(8):
        PIL.Image.new("RGB", (12, 12), (30 * i, 255 - 30 * i, 128)).save(album / f"mix{i}.png")
    index_paths([album], db="db", model="hash")
    return SearchService("db")


def names(result: Any) -> list[str]:
    return [hit.uri.rsplit("/", 1)[1] for hit in result]


def test_words_find_texts(searching: SearchService) -> None:
    result = searching.search("the cat sleeps")
    assert names(result)[0] == "note.txt"
    assert result.hits[0].text == "the cat sleeps on the sofa"
    assert (result.model, result.collection, result.total) == ("hash", "default", 14)
    scores = [hit.score for hit in result]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("form", ["path", "string", "bytes", "image"])
def test_pictures_in_every_form_find_themselves(searching: SearchService, album: Path, form: str) -> None:
    path = album / "blue.jpg"
    with PIL.Image.open(path) as image:
        picture = {"path": path, "string": str(path), "bytes": path.read_bytes(), "image": image.copy()}[form]
    result = searching.search(image=picture)
    assert names(result)[0] == "blue.jpg"
    assert result.hits[0].score == pytest.approx(1, abs=2e-3)


def test_a_composed_query_leaves_its_picture_out(searching: SearchService, album: Path) -> None:
    assert "blue.jpg" in names(searching.search(image=album / "blue.jpg", limit=20))
    assert "blue.jpg" not in names(searching.search(image=album / "blue.jpg", edit="owl", limit=20))
    with_caption = names(searching.search(image=album / "red.png", edit="owl", limit=20))
    assert "red.png" not in with_caption, "the caption makes it a document, but the picture is the same"


def test_images_with_words_between_them_and_regions(searching: SearchService, album: Path) -> None:
    red, blue = (engine.Image(pixels=engine.decode_file(album / name)) for name in ("red.png", "blue.jpg"))
    pieces: list[Any] = [
        {"image": str(album / "red.png"), "crop": (0, 0, 0.5, 1)},
        "an owl of this",
        album / "blue.jpg",
    ]
    found = searching.search(composed=pieces, limit=20)
    assert not {"red.png", "blue.jpg"} & set(names(found)), "of a region, too"
    part = engine.Interleaved(pieces=[red.cropped((0, 0, 0.5, 1)), "an owl of this", blue])
    (vector,) = encode(HashEncoder(), [part], views.DEFAULT, Side.QUERY)
    stored = {item.id: item for page in Store("db").open("default").scan(vectors=True) for item in page}
    for hit in found:
        assert hit.score == pytest.approx(float(stored[hit.id].vector @ vector), abs=2e-3)
    (region,) = encode(HashEncoder(), [blue.cropped((0.5, 0.5, 0.5, 0.5))], views.DEFAULT, Side.QUERY)
    best = searching.search(image=album / "blue.jpg", crop=[0.5, 0.5, 0.5, 0.5]).hits[0]
    assert best.score == pytest.approx(float(stored[best.id].vector @ region), abs=2e-3)


def test_feedback_is_rocchios_over_stored_vectors(searching: SearchService) -> None:
    first, second, third = (hit.id for hit in searching.search("the cat sleeps", limit=3))
    stored = {item.id: item for page in Store("db").open("default").scan(vectors=True) for item in page}
    (query,) = encode(HashEncoder(), [engine.Text(text="an owl")], views.DEFAULT, Side.QUERY)
    moved = query + 0.75 * (stored[first].vector + stored[second].vector) / 2 - 0.15 * stored[third].vector
    moved /= np.linalg.norm(moved)
    found = searching.search("an owl", like=[first, second], unlike=third, limit=20)
    assert not {first, second, third} & {hit.id for hit in found}
    for hit in found:
        assert hit.score == pytest.approx(float(stored[hit.id].vector @ moved), abs=2e-3)


def test_like_needs_no_model_and_leaves_its_item_out(searching: SearchService, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = searching.search("the cat sleeps", limit=2)
    monkeypatch.setattr(service, "load", lambda config: pytest.fail("a model was loaded"))
    fresh = SearchService("db")
    assert first.id not in [hit.id for hit in fresh.search(like=first.id, limit=20)]
    stored = Store("db").open("default").get([first.id], vectors=True)[first.id].vector
    by_vector = fresh.search(Query(parts=(Vector(values=[float(x) for x in stored]),), limit=20))
    assert by_vector.hits[0].id == first.id
    assert second.id


def test_a_mix_is_the_weighted_sum(searching: SearchService, album: Path) -> None:
    query = Query(
        parts=(
            Text(text="an owl", weight=2.0),
            Image(image=album / "blue.jpg", weight=0.5),
            Composed(image=album / "noise.webp", edit="darker"),
            Text(text="sofa", weight=-0.5),
        ),
        limit=20,
    )
    blue = engine.Image(pixels=engine.decode_file(album / "blue.jpg"))
    noise = engine.Image(pixels=engine.decode_file(album / "noise.webp"))
    inputs = [
        engine.Text(text="an owl"),
        blue,
        engine.Composed(image=noise, edit="darker"),
        engine.Text(text="sofa"),
    ]
    a, b, c, d = encode(HashEncoder(), inputs, views.DEFAULT, Side.QUERY)
    mixed = 2 * a + 0.5 * b + c - 0.5 * d
    mixed /= np.linalg.norm(mixed)
    stored = {item.id: item for page in Store("db").open("default").scan(vectors=True) for item in page}
    for hit in searching.search(query):
        assert hit.score == pytest.approx(float(stored[hit.id].vector @ mixed), abs=2e-3)


def test_not_pushes_away(searching: SearchService) -> None:
    plain = searching.search("cat owl sofa", modality="text", limit=3)
    without = searching.search("cat owl sofa", without="owl", modality="text", limit=3)

    def owl(result: Any) -> float:
        return next(hit.score for hit in result if "owl" in hit.text)

    assert owl(without) < owl(plain)


def test_parts_that_cancel_out_are_refused(searching: SearchService) -> None:
    with pytest.raises(BadQuery, match="cancel"):
        searching.search(Query(parts=(Text(text="a"), Text(text="a", weight=-1.0))))


def test_filters_modality_scores_and_totals(searching: SearchService) -> None:
    assert {hit.modality for hit in searching.search("cat", modality="text", limit=20)} == {"text"}
    result = searching.search("cat", where="format = png and width >= 20", limit=20)
    assert sorted(names(result)) == ["green.PNG", "red.png"]
    assert result.total == 2
    both = searching.search("cat", where="format = png", modality="text")
    assert (len(both), both.total) == (0, 0)
    high = searching.search("the cat sleeps on the sofa", min_score=0.5)
    assert names(high) == ["note.txt"]
    assert high.total is None
    with pytest.raises(FilterError, match="colour"):
        searching.search("cat", where="colour = red")


def test_pages_have_no_holes_and_no_repeats(searching: SearchService) -> None:
    whole = [hit.id for hit in searching.search("cat", limit=50)]
    assert len(whole) == 14
    pages = [hit.id for offset in range(0, 15, 3) for hit in searching.search("cat", limit=3, offset=offset)]
    assert pages == whole
    assert searching.search("cat", offset=99).hits == ()


def test_bad_questions_say_what_is_wrong(searching: SearchService, tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_text("text")
    for ask, error, complaint in [
        ({}, BadQuery, "the query is empty"),
        ({"query": ""}, BlankText, "blank"),
        ({"edit": "red"}, BadQuery, "no image"),
        ({"image": "absent.png"}, UnreadableFile, r"absent\.png"),
        ({"image": tmp_path / "fake.png"}, NotAnImage, r"fake\.png"),
        ({"like": "nobody"}, ItemNotFound, "nobody"),
        ({"query": "a", "limit": 0}, BadQuery, "limit 0"),
        ({"query": Query.of("a"), "limit": 3}, BadQuery, "one or the other"),
        ({"query": Query(parts=(Vector(values=[1.0, 2.0]),))}, BadQuery, r"shape \(2,\)"),
        ({"query": Query(parts=(Vector(values=[float("nan")] * 256),))}, BadQuery, "length nan"),
        ({"query": Query(parts=(Vector(values=["x"] * 256),))}, BadQuery, "not a list of numbers"),
        ({"query": "a", "view": "cirr"}, SpaceMismatch, "cirr"),
    ]:
        with pytest.raises(error, match=complaint):
            searching.search(**ask)
    assert searching.search("a", view="default")


def test_another_model_is_refused(searching: SearchService) -> None:
    with pytest.raises(SpaceMismatch, match="hash"):
        SearchService("db", model="basic").search("a cat")
    with pytest.raises(ModelNotFound):
        SearchService("db", model="nonsense").search("a cat")


def test_collections_that_are_not_there(searching: SearchService) -> None:
    with pytest.raises(CollectionNotFound, match="default"):
        SearchService("db", "absent")
    with pytest.raises(CollectionNotFound):
        SearchService("nowhere")
    assert not Path("nowhere").exists()


def test_the_json_form(searching: SearchService) -> None:
    document = searching.search("cat", limit=1).as_dict()
    assert list(document) == ["hits", "timings", "model", "collection", "version", "total"]
    assert list(document["hits"][0]) == ["id", "score", "modality", "uri", "text", "metadata"]
    assert list(document["timings"]) == ["encode_ms", "search_ms"]


def test_a_running_service_sees_new_items(searching: SearchService, album: Path) -> None:
    (album / "late.txt").write_text("a zebra at the lake")
    index_paths([album], db="db")
    assert names(searching.search("a zebra at the lake"))[0] == "late.txt"
