"""Every method of both clients against a service that speaks the contract."""

import base64
import inspect
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import PIL.Image
import pytest

from oneword.query import BadQuery, Like, Query, Text, Vector
from oneword.query.client import AsyncClient, Client, NewItem, NotThere, Rejected
from oneword.query.query import Options, Parts, options
from oneword.storage import FilterError


def test_a_search_is_sent_as_the_query_object_and_read_back(client: Any, service: Any) -> None:
    result = client.search("a cat", "photos", where="year >= 2020", limit=3, without="dog", deadline=2.5)
    assert (result.total, result.version, result.collection) == (1, 7, "photos")
    (hit,) = result
    assert (hit.id, hit.score, hit.confidence, hit.metadata["taken"]) == (
        "a/b?c",
        0.75,
        0.9,
        "2020-05-01T12:00:00+00:00",
    )
    assert [word.text for word in (*result.words, *hit.words, *hit.shared)] == ["cat", "cat", "sofa"]
    (asked,) = service.asked
    assert (asked.method, asked.path, asked.query) == ("POST", "/v1/collections/photos/search", "timeout=2.5")
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.body == {
        "parts": [{"text": "a cat"}, {"text": "dog", "weight": -0.5}],
        "filter": {"field": "year", "range": {"gte": 2020}},
        "limit": 3,
    }


def test_a_whole_query_is_taken_but_not_with_parts(client: Any, service: Any) -> None:
    client.search(Query(parts=(Text(text="cat", weight=2.0), Vector(values=np.ones(2, np.float32)))))
    assert service.asked[0].body == {"parts": [{"text": "cat", "weight": 2.0}, {"vector": [1.0, 1.0]}]}
    for call in (
        lambda: client.search(Query.of("cat"), limit=3),
        lambda: client.search(),
        lambda: client.search(Query(parts=(Vector(values=[float("nan")]),))),
        lambda: client.delete(),
        lambda: client.delete("a", where="year = 1"),
        lambda: client.get("a", ""),
        lambda: client.upsert([{"words": "cat"}]),
        lambda: client.upsert([{"text": "cat", "metadata": {"x": float("nan")}}]),
        lambda: client.embed([], model="hash"),
        lambda: client.embed([{"text": "cat"}], model="hash"),
    ):
        with pytest.raises(BadQuery):
            call()
    with pytest.raises(FilterError):
        client.count("year >=")
    assert len(service.asked) == 1, "what cannot be sent is told at once"


def test_a_batch_has_a_result_or_an_error_for_each(client: Any, service: Any) -> None:
    cat, liked = client.search_batch(["cat", Query(parts=(Like(id="x"),))])
    assert cat.hits[0].text == "the cat sleeps"
    assert isinstance(liked, Rejected)
    assert (liked.status, liked.code, liked.field, str(liked)) == (422, "bad_query", "queries[1]", "no")
    assert service.asked[0].body == {"queries": [{"parts": [{"text": "cat"}]}, {"parts": [{"like": "x"}]}]}


def test_items_are_stored_read_counted_and_deleted(client: Any, service: Any, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    PIL.Image.new("RGB", (2, 2), "red").save(picture)
    day = datetime(2020, 5, 1, tzinfo=UTC)
    done = client.upsert(
        [
            NewItem(id="a", text="a cat", metadata={"day": day}),
            {"id": "b", "image": picture, "uri": "https://example.org/b"},
            {"id": "v", "vector": np.zeros(2), "modality": "image"},
            {"id": "c", "text": ""},
        ],
        fingerprint="0123",
    )
    assert (done.added, done.updated, done.refused, done.version) == (3, 0, 1, 8)
    assert [one.status for one in done.items] == ["added", "added", "added", "refused"]
    assert str(done.items[3].error) == "the text is blank. Send a text."
    sent = service.asked[0].body
    assert sent["fingerprint"] == "0123"
    assert sent["items"][0] == {"id": "a", "text": "a cat", "metadata": {"day": "2020-05-01T00:00:00+00:00"}}
    assert sent["items"][1]["image"] == "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    assert sent["items"][2] == {"id": "v", "vector": [0.0, 0.0], "modality": "image"}
    service.items["a"] |= {"vector": [0.5, 0.5], "thumbnail": "data:image/jpeg;base64,QUJD"}
    got = client.get(["a", "nowhere"], include=("payload", "vector", "thumbnail"))
    assert set(got) == {"a"}
    assert (got["a"].text, got["a"].thumbnail) == ("a cat", b"ABC")
    assert (got["a"].vector.dtype, got["a"].vector.tolist()) == (np.float32, [0.5, 0.5])
    assert service.asked[1].body == {"ids": ["a", "nowhere"], "with": ["payload", "vector", "thumbnail"]}
    assert client.count() == 3
    assert client.delete("a") == 1
    assert client.delete(where={"must": [{"field": "year", "match": 2020}]}) == 2
    assert service.asked[-1].body == {"filter": {"field": "year", "match": 2020}}


def test_scroll_follows_cursors_to_the_end(client: Any, service: Any) -> None:
    client.upsert([{"id": f"i{number}", "text": "x"} for number in range(7)])
    assert [item.id for item in client.scroll("year > 1", page=3)] == [f"i{number}" for number in range(7)]
    pages = [asked.body for asked in service.asked[1:]]
    assert [page.get("cursor") for page in pages] == [None, "3", "6"]
    assert all(page["limit"] == 3 and page["filter"] for page in pages)
    service.items.clear()
    assert list(client.scroll()) == []


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a?b#c", "ü %2F", "x:cancel"])
def test_any_id_is_one_segment_of_the_path(client: Any, service: Any, name: str) -> None:
    client.upsert([{"id": name, "text": "x"}])
    assert client.thumbnail(name).content == f"picture of {name}".encode()
    assert client.original(name).media_type == "image/jpeg"
    assert client.job(name).id == name


def test_collections_are_made_listed_told_checked_and_dropped(client: Any, service: Any) -> None:
    assert [one.name for one in client.collections()] == ["default"]
    details = client.collection("photos")
    assert (details.name, details.by_modality, details.quarantined, details.index) == (
        "photos",
        {"image": 1, "text": 2},
        1,
        None,
    )
    assert client.create_collection("new", model="hash").name == "new"
    assert service.asked[-1].body == {"name": "new", "model": "hash"}
    check = client.verify()
    assert (check.right, check.recall) == (True, 1.0)
    assert client.drop_collection("new") is None
    assert (service.asked[-1].method, service.asked[-1].path) == ("DELETE", "/v1/collections/new")


def test_jobs_are_started_watched_and_cancelled(client: Any, service: Any) -> None:
    job = client.start_job(["/photos", Path("/more")], options={"batch_size": 8})
    assert service.asked[0].body == {
        "collection": "default",
        "paths": ["/photos", "/more"],
        "options": {"batch_size": 8},
    }
    assert (job.state, job.is_over, job.counts, job.ended) == ("running", False, {"inputs": 3}, None)
    assert (job.updated - job.started).total_seconds() == 1
    assert client.job(job.id) == job
    assert client.jobs(5, "default") == [job]
    assert service.asked[-1].query == "limit=5&collection=default"
    assert client.cancel_job(job.id).is_over


def test_embeddings_come_in_the_order_of_the_inputs(client: Any, service: Any) -> None:
    red = PIL.Image.new("RGB", (2, 2), "red")
    vectors = client.embed(["a cat", red, {"image": red, "edit": "blue"}], input_type="query")
    assert (vectors.shape, vectors.dtype, vectors[:, 0].tolist()) == ((3, 4), np.float32, [0.0, 1.0, 2.0])
    body = service.asked[1].body
    assert (body["model"], body["input_type"], body["encoding_format"]) == ("hash", "query", "base64")
    assert body["input"][0] == "a cat"
    assert body["input"][1]["image"] == body["input"][2]["image"]
    assert client.embed("a cat", model="hash").shape == (1, 4)


def test_ready_or_not(client: Any, service: Any, problem_of: Callable[..., Any]) -> None:
    assert client.ready()
    service.scripted.append(problem_of(503, "not_ready", "the model has not answered yet", {"Retry-After": "1"}))
    assert not client.ready()
    assert len(service.asked) == 2, "503 is the answer: it is not asked again"


def test_several_models_have_to_be_chosen_from(client: Any, service: Any) -> None:
    from starlette.responses import JSONResponse

    service.scripted.append(JSONResponse({"data": [{"id": "mini"}, {"id": "hash"}]}))
    with pytest.raises(NotThere, match="mini, hash"):
        client.embed(["cat"])


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(kind: type) -> dict[str, list[inspect.Parameter]]:
        return {
            name: list(inspect.signature(method).parameters.values())
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name not in ("close", "aclose")
        }

    assert methods(Client) == methods(AsyncClient)
    assert all(inspect.getdoc(getattr(kind, name)) for kind in (Client, AsyncClient) for name in methods(kind))


def test_a_search_takes_what_a_query_is_made_of() -> None:
    """`Options` is for type checkers what the fields of `Query` are."""
    static = get_type_hints(Options)
    assert static.pop("include") == Iterable[str]
    fields = get_type_hints(Query)
    assert static == {one.name: fields[one.name] for one in options()}
    assert set(Parts.__annotations__) - set(Options.__annotations__) == {
        *("image", "edit", "crop", "composed", "like", "unlike", "without", "where")
    }
