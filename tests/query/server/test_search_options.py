"""POST /v1/collections/{collection}/search: which hits are wanted, pages, batches, and what is refused."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SEARCH = "/collections/default/search"


@pytest.fixture(scope="module")
def shelf(service: Any) -> Any:
    """A collection of 30 texts on two shelves."""
    assert service.post("/collections", {"name": "books", "model": "hash"}).status_code == 201
    items = [
        {
            "id": f"b{n:02}",
            "text": f"book {n} about {('owls', 'cats')[n % 2]}",
            "metadata": {"shelf": n % 2, "year": 2000 + n},
        }
        for n in range(30)
    ]
    assert service.post("/collections/books/items", {"items": items}).json()["added"] == 30
    return lambda query: service.search(query, "books")


def ids(result: Any) -> list[str]:
    return [hit["id"] for hit in result["hits"]]


def test_filter_in_words_and_as_json(shelf: Any, service: Any, refused: Any) -> None:
    words = shelf({"text": "book", "filter": "year >= 2010 and shelf = 1", "limit": 100})
    document = {"must": [{"field": "year", "range": {"gte": 2010}}, {"field": "metadata.shelf", "match": 1}]}
    assert ids(words) == ids(shelf({"text": "book", "filter": document, "limit": 100}))
    assert (len(ids(words)), words["total"]) == (10, 10)
    refused(service.post(SEARCH, {"text": "a", "filter": "width >>= 3"}), 422, "bad_filter", "filter")
    refused(service.post(SEARCH, {"text": "a", "filter": {"must": {"field": "width"}}}), 422, "bad_filter", "filter")
    refused(service.post(SEARCH, {"text": "a", "filter": "nosuch = 3"}), 422, "bad_filter", "filter")
    refused(service.post(SEARCH, {"text": "a", "filter": 3}), 422, "invalid_field", "filter")


def test_unwanted_words(shelf: Any) -> None:
    for one in ("owls", ["owls"]):
        assert all(int(id_[1:]) % 2 for id_ in ids(shelf({"text": "book", "not": one, "limit": 15})))


def test_min_score_and_low_scores(shelf: Any) -> None:
    every = shelf({"text": "book about cats", "limit": 30})
    floor = every["hits"][20]["score"] + 1e-5
    good = shelf({"text": "book about cats", "limit": 30, "min_score": floor})
    assert ids(good) == [hit["id"] for hit in every["hits"] if hit["score"] > floor]
    assert 0 < len(ids(good)) <= 20
    assert "total" not in good


def test_groups_and_diversity(shelf: Any) -> None:
    assert len(ids(shelf({"text": "book about owls", "group_by": "metadata.shelf"}))) == 2
    query = {"text": "book about owls", "limit": 4}
    near, far = shelf(query), shelf({**query, "diversity": 0.9})
    assert ids(near)[0] == ids(far)[0]
    assert ids(near) != ids(far)


def test_keywords_and_hybrid(shelf: Any, service: Any, refused: Any) -> None:
    owls = shelf({"keywords": "owls", "limit": 30})
    assert {int(id_[1:]) % 2 for id_ in ids(owls)} == {0}
    assert len(ids(owls)) == 15
    hybrid = shelf({"text": "owls", "hybrid": True, "limit": 5})
    assert ids(hybrid) == ids(shelf({"text": "owls", "keywords": "owls", "limit": 5}))
    assert ids(hybrid) == ids(shelf({"text": "owls", "hybrid": {}, "limit": 5}))
    weighted = {"keywords": "cats", "fusion": "weighted", "keyword_weight": 1.0}
    assert all(int(id_[1:]) % 2 for id_ in ids(shelf({"text": "owls", "hybrid": weighted, "limit": 5})))
    refused(service.post(SEARCH, {"hybrid": True}), 422, "bad_query")
    refused(service.post(SEARCH, {"keywords": " "}), 422, "bad_query")
    refused(service.post(SEARCH, {"text": "a", "hybrid": {"fusion": "magic"}}), 422, "invalid_field", "hybrid.fusion")
    told = service.post(SEARCH, {"text": "a", "hybrid": {"keyword_weight": 2}})
    refused(told, 422, "invalid_field", "hybrid.keyword_weight")


def test_pages_join_while_others_write(shelf: Any, service: Any) -> None:
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            items = [{"id": f"n{turn}", "text": f"book {turn} about cats"}, {"id": "b00", "text": "book of dogs"}]
            assert service.post("/collections/books/items", {"items": items}).status_code == 200
            turn += 1

    def batch() -> Any:
        answer = service.post(
            "/collections/books/search:batch", {"queries": [{"text": "book"}, {"keywords": "dogs"}] * 16}
        )
        return answer.json()

    writer = threading.Thread(target=write)
    first = shelf({"text": "book about cats", "limit": 5})
    writer.start()
    try:
        found = ids(first)
        for offset in range(5, 30, 5):
            page = shelf({"text": "book about cats", "limit": 5, "offset": offset, "version": first["version"]})
            assert page["version"] == first["version"]
            assert page["total"] == first["total"]
            found += ids(page)
            told = batch()
            assert {one["version"] for one in told["results"]} == {told["version"]}
    finally:
        stop.set()
        writer.join()
    assert sorted(found) == [f"b{n:02}" for n in range(30)]
    assert shelf({"text": "book of dogs", "limit": 1})["version"] > first["version"]


def test_version_that_is_not_there(service: Any, refused: Any) -> None:
    refused(service.post(SEARCH, {"text": "a", "version": 10_000}), 410, "version_gone")


def test_view(service: Any, refused: Any) -> None:
    assert service.search({"text": "cat", "view": "default"})["hits"]
    refused(service.post(SEARCH, {"text": "cat", "view": "cirr"}), 409, "space_mismatch")
    for query in ({"text": "cat"}, {"vector": [1.0] * 256}, {"keywords": "cat"}):
        refused(service.post(SEARCH, {**query, "view": "unheard-of"}), 422, "bad_view", "view")


def test_view_is_never_a_file(service: Any, refused: Any, tmp_path: Path) -> None:
    (tmp_path / "view.toml").write_text('name = "secret"', encoding="utf-8")
    for path in (tmp_path / "view.toml", tmp_path / "none.toml"):
        told = refused(service.post(SEARCH, {"text": "cat", "view": str(path)}), 422, "bad_view", "view")
        assert told["detail"] == f"no view is called {str(path)[:60]!r}"


def test_explanation_needs_words(service: Any, refused: Any) -> None:
    refused(service.post(SEARCH, {"text": "cat", "explain": 3}), 422, "no_words")
    refused(service.post(SEARCH, {"text": "cat", "explain": 51}), 422, "invalid_field", "explain")


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"txt": "a"}, "txt", "did you mean 'text'?"),
        ({"text": "a", "limits": 3}, "limits", "did you mean 'limit'?"),
        ({"text": "a", "no": "b"}, "no", "did you mean 'not'?"),
        ({"text": "a", "not_": "b"}, "not_", "did you mean 'not'?"),
        ({"text": "a", "with_": []}, "with_", "did you mean 'with'?"),
        ({"text": "a", "hybrid": {"fuson": "rrf"}}, "hybrid.fuson", "did you mean 'fusion'?"),
        ({"parts": [{"text": "a", "wieght": 1}]}, "parts[0].wieght", "did you mean 'weight'?"),
        ({"parts": [{"composed": {"image": "a", "edits": "b"}}]}, "parts[0].composed.edits", "did you mean 'edit'?"),
        ({"parts": [{"text": "a", "image": "b"}]}, "parts[0].image", "there is no field"),
        ({"text": "a", "top_k": 3}, "top_k", "did you mean 'limit'?"),
        ({"text": "a", "zzz": 1}, "zzz", "there is no field"),
    ],
)
def test_unknown_fields(service: Any, refused: Any, query: Any, field: str, said: str) -> None:
    told = refused(service.post(SEARCH, query), 422, "unknown_field", field)
    assert said in told["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"text": 3}, "text"),
        ({"text": "a", "limit": "3"}, "limit"),
        ({"text": "a", "limit": 0}, "limit"),
        ({"text": "a", "limit": 10_001}, "limit"),
        ({"text": "a", "limit": True}, "limit"),
        ({"text": "a", "limit": 1.5}, "limit"),
        ({"text": "a", "offset": -1}, "offset"),
        ({"text": "a", "modality": "video"}, "modality"),
        ({"text": "a", "with": ["payload", "everything"]}, "with[1]"),
        ({"text": "a", "with": "payload"}, "with"),
        ({"vector": []}, "vector"),
        ({"vector": [1, "2"]}, "vector[1]"),
        ({"parts": [{"text": "a"}, {"vector": [None]}]}, "parts[1].vector[0]"),
        ({"parts": [{"text": "a", "weight": "much"}]}, "parts[0].weight"),
        ({"parts": [{"weight": 1}]}, "parts[0].text"),
        ({"parts": {"text": "a"}}, "parts"),
        ({"parts": ["a"]}, "parts[0]"),
        ({"parts": [{"composed": {"image": "a"}}]}, "parts[0].composed.edit"),
        ({"like": 3}, "like"),
        ({"like": ["a", 3]}, "like[1]"),
        ({"not": [3]}, "not[0]"),
        ({"text": "a", "hybrid": 1}, "hybrid"),
        ({"text": "a", "version": 0}, "version"),
        ({"text": "a", "diversity": 2}, "diversity"),
        ({"parts": [{"text": "a"}] * 33}, "parts"),
    ],
)
def test_wrong_kinds(service: Any, refused: Any, query: Any, field: str) -> None:
    refused(service.post(SEARCH, query), 422, "invalid_field", field)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "the query is empty"),
        ({"edit": "at night"}, "no image to change"),
        ({"text": "a", "min_score": 2}, "min_score"),
        ({"parts": [{"text": "a", "weight": 0}]}, "weight"),
        ({"parts": [{"text": "a"}, {"text": "a", "weight": -1}]}, "cancel"),
        ({"parts": [{"text": "a"}] * 32, "text": "b"}, "33 parts"),
        ({"vector": [1.0, 2.0]}, "expected (256,)"),
        ({"vector": [0.0] * 256}, "length 0"),
        ({"parts": [{"text": "a", "weight": 1e308}, {"text": "b", "weight": 1e308}]}, "weights"),
    ],
)
def test_queries_that_cannot_be(service: Any, refused: Any, query: Any, said: str) -> None:
    assert said in refused(service.post(SEARCH, query), 422, "bad_query")["detail"]


def test_group_by_no_field(service: Any, refused: Any) -> None:
    refused(service.post(SEARCH, {"text": "a", "group_by": "nosuch"}), 422, "bad_search")


def test_batch(service: Any, refused: Any, drawn: Any) -> None:
    good: list[Any] = [{"text": "the cat"}, {"image": drawn.uri("red")}, {"keywords": "owl"}]
    bad: list[Any] = [{"text": ""}, {"image": "%"}, {"like": "nobody"}, {}, {"text": "a", "version": 99_999}]
    answer = service.post("/collections/default/search:batch", {"queries": good + bad})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    for query, result in zip(good, told["results"], strict=False):
        assert result["hits"] == service.search(query)["hits"]
        assert result["version"] == told["version"]
    failed = [one["error"] for one in told["results"][len(good) :]]
    codes = ["blank_text", "bad_image", "item_not_found", "bad_query", "version_gone"]
    assert [one["code"] for one in failed] == codes
    assert [one["field"] for one in failed] == [
        "queries[3].text", "queries[4].image", "queries[5]", "queries[6]", "queries[7]"
    ]  # fmt: skip
    refused(service.post("/collections/default/search:batch", {"queries": []}), 422, "invalid_field", "queries")
    wrong = {"queries": [{"text": "a"}, {"text": 3}]}
    refused(service.post("/collections/default/search:batch", wrong), 422, "invalid_field", "queries[1].text")


def test_batch_with_files(service: Any, names: Callable[[Any], list[str]], drawn: Any) -> None:
    files = {"r": ("r.png", drawn.png("red")), "b": ("b.png", drawn.png("blue"))}
    data = {"queries": '{"queries": [{"image": "upload:b"}, {"image": "upload:r"}, {"image": "upload:x"}]}'}
    answer = service.http.post(f"{service.url}/v1/collections/default/search:batch", files=files, data=data)
    blue, red, none = answer.json()["results"]
    assert (names(blue)[0], names(red)[0]) == ("blue.png", "red.png")
    assert (none["error"]["code"], none["error"]["field"]) == ("no_upload", "queries[2].image")
