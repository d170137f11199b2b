"""POST /v1/collections/{collection}/search: every kind of part, against a real server."""

import base64
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneword.query import BadQuery, SearchService
from oneword.query.query import LIKED, UNLIKED, Composed, Image, Interleaved, Like, Part, Query, Text, Vector
from oneword.storage import parse_filter

SEARCH = "/collections/default/search"


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The folder, on the web."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def searching(db: Path) -> SearchService:
    """The same collection in this process."""
    return SearchService(str(db))


def test_words(service: Any, names: Any) -> None:
    result = service.search({"text": "the cat sleeps"})
    assert names(result)[0] == "cat.txt"
    assert set(result["timings"]) == {"encode_ms", "search_ms", "total_ms"}
    assert (result["model"], result["collection"], result["total"]) == ("hash", "default", 6)
    assert set(result["hits"][0]) == {"id", "score", "modality", "uri", "text", "metadata"}
    again = service.search({"text": "the cat sleeps", "offset": 2, "limit": 2, "version": result["version"]})
    assert names(again) == names(result)[2:4]


def test_picture_in_every_form(service: Any, names: Any, drawn: Any, url: str) -> None:
    given = (
        drawn.uri("red"),
        drawn.base64("red"),
        f"{url}/red.png",
        drawn.uri("red").replace("data:image/png;base64", "DATA:;BASE64"),
        "\n".join(drawn.base64("red")[start : start + 76] for start in range(0, len(drawn.base64("red")), 76)),
    )
    results = [service.search({"image": one, "limit": 3}) for one in given]
    assert names(results[0])[0] == "red.png"
    assert all(one["hits"] == results[0]["hits"] for one in results)


def test_uploads(service: Any, names: Any, drawn: Any) -> None:
    def sent(files: Any, **data: Any) -> Any:
        answer = service.http.post(f"{service.url}/v1{SEARCH}", files=files, data=data)
        assert answer.status_code == 200, answer.text
        return names(answer.json())

    red, blue = ("r.png", drawn.png("red"), "image/png"), ("b.png", drawn.png("blue"), "image/png")
    assert sent({"image": red})[0] == "red.png"  # nothing refers to it: the query's
    assert sent({"image": red}, query=json.dumps({"limit": 1})) == ["red.png"]
    assert sent({"mine": blue}, query=json.dumps({"image": "upload:mine"}))[0] == "blue.png"
    query = {"parts": [{"image": "upload:image"}, {"image": "upload:b", "weight": -0.5}], "modality": "image"}
    assert sent({"image": red, "b": blue}, query=json.dumps(query)) == ["red.png", "green.png", "blue.png"]
    as_file = {"query": ("q.json", json.dumps({"edit": "at night", "limit": 2}), "application/json"), "image": red}
    assert "red.png" not in sent(as_file)  # a composed query's own picture is not a hit


def test_uploads_that_fit_nothing(service: Any, refused: Any, drawn: Any) -> None:
    def sent(files: Any, **data: Any) -> Any:
        return service.http.post(f"{service.url}/v1{SEARCH}", files=files, data=data)

    red = ("r.png", drawn.png("red"), "image/png")
    told = refused(sent({"a": red}, query='{"image": "upload:b"}'), 422, "no_upload", "image")
    assert "uploaded were a" in told["detail"]
    told = refused(sent({"image": red}, limit="3"), 422, "unknown_field", "limit")
    assert "'query'" in told["detail"]
    refused(sent({"image": red, "other": red}), 422, "unused_upload", "other")
    refused(sent({"image": red}, query="{"), 400, "malformed_json")
    refused(sent([("image", red), ("image", red)]), 400, "malformed_body")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(service.http.post(f"{service.url}/v1{SEARCH}", content=b"--y", headers=headers), 400, "malformed_body")


def test_bad_pictures_are_named(service: Any, serve: Any, db: Path, url: str, refused: Any) -> None:
    search = lambda query: service.post(SEARCH, query)  # noqa: E731
    refused(search({"image": "no picture!"}), 422, "bad_image", "image")
    refused(search({"image": base64.b64encode(b"no picture").decode()}), 422, "bad_image", "image")
    refused(search({"image": "data:image/png;base64,"}), 422, "bad_image", "image")
    refused(search({"image": "data:image/png,abc"}), 422, "bad_image", "image")
    refused(search({"parts": [{"text": "a"}, {"image": "%"}]}), 422, "bad_image", "parts[1].image")
    composed = {"parts": [{"composed": {"image": "%", "edit": "at night"}}]}
    refused(search(composed), 422, "bad_image", "parts[0].composed.image")
    refused(search({"image": f"{url}/none.png"}), 422, "fetch_failed", "image")
    refused(search({"image": f"{url}/cat.txt"}), 422, "bad_image", "image")
    for options, code in (({}, "url_refused"), ({"fetch": False}, "fetching_off")):
        refused(serve(db=db, **options).post(SEARCH, {"image": f"{url}/red.png"}), 422, code, "image")


def test_picture_of_too_many_pixels(service: Any, refused: Any) -> None:
    file = io.BytesIO()
    PIL.Image.new("1", (14_000, 14_000)).save(file, "PNG")
    sent = base64.b64encode(file.getvalue()).decode()
    refused(service.post(SEARCH, {"image": sent}), 422, "image_too_large", "image")


def test_blank_texts_are_named(service: Any, refused: Any, drawn: Any) -> None:
    refused(service.post(SEARCH, {"text": " "}), 422, "blank_text", "text")
    refused(service.post(SEARCH, {"image": drawn.uri("red"), "edit": ""}), 422, "blank_text", "edit")
    refused(service.post(SEARCH, {"text": "a", "not": ["b", ""]}), 422, "blank_text", "not[1]")
    refused(service.post(SEARCH, {"parts": [{"text": "a"}, {"text": ""}]}), 422, "blank_text", "parts[1].text")
    composed = {"composed": {"image": drawn.uri("red"), "edit": "\n"}}
    refused(service.post(SEARCH, {"parts": [composed]}), 422, "blank_text", "parts[0].composed.edit")


def test_items_to_be_like(service: Any, names: Any, refused: Any) -> None:
    cat, owl, *_ = (hit["id"] for hit in service.search({"text": "the cat sleeps on the sofa, an owl"})["hits"])
    one = service.search({"like": cat})
    assert "cat.txt" not in names(one)
    assert one["total"] == 6
    both = service.search({"like": [cat, owl], "modality": "text"})
    assert not {cat, owl} & {hit["id"] for hit in both["hits"]}
    assert {hit["modality"] for hit in both["hits"]} == {"text"}
    refused(service.post(SEARCH, {"like": "nobody"}), 404, "item_not_found")


def test_images_with_words_between_them(service: Any, names: Any, refused: Any, drawn: Any) -> None:
    red, blue = ({"image": drawn.uri(name)} for name in ("red", "blue"))
    pieces = [red, "the cat of this", blue, "in the room of this"]
    found = service.search({"composed": pieces})
    assert not {"red.png", "blue.png"} & set(names(found)), "its own images are not hits"
    assert found["hits"] == service.search({"parts": [{"composed": pieces}]})["hits"]
    assert found["hits"] != service.search({"composed": [red, "the cat of this"]})["hits"]
    for wrong, code, field in (
        ([red], "invalid_field", "composed"),
        ([red] * 17, "invalid_field", "composed"),
        (["a", "b"], "bad_query", None),
        ([red, ""], "blank_text", "composed[1]"),
        ([red, {"image": "%"}], "bad_image", "composed[1].image"),
        ([red, {"image": drawn.uri("blue"), "edit": "x"}], "unknown_field", "composed[1].edit"),
        ([red, {"image": drawn.uri("blue"), "crop": [0, 0, 2, 1]}], "invalid_field", "composed[1].crop"),
    ):
        refused(service.post(SEARCH, {"composed": wrong}), 422, code, field)
        place = f"parts[0].{field}" if field else "parts[0]"
        refused(service.post(SEARCH, {"parts": [{"composed": wrong}]}), 422, code, place)
    files = {"r": ("r.png", drawn.png("red")), "b": ("b.png", drawn.png("blue"))}
    query = {"composed": [{"image": "upload:r"}, pieces[1], {"image": "upload:b"}, pieces[3]]}
    answer = service.http.post(f"{service.url}/v1{SEARCH}", files=files, data={"query": json.dumps(query)})
    assert answer.json()["hits"] == found["hits"]


def test_a_region_of_an_image(service: Any, names: Any, refused: Any) -> None:
    both = PIL.Image.new("RGB", (80, 30), (255, 0, 0))
    both.paste((0, 0, 255), (40, 0, 80, 30))
    file = io.BytesIO()
    both.save(file, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    for crop, found in (([0, 0, 0.5, 1], "red.png"), ([0.5, 0, 0.5, 1], "blue.png")):
        assert names(service.search({"image": uri, "crop": crop}))[0] == found
        assert names(service.search({"parts": [{"image": uri, "crop": crop}]}))[0] == found
    # The image itself is not a hit of its edit, whichever region is edited.
    assert service.post("/collections/default/items", {"items": [{"id": "both", "image": uri}]}).status_code == 200
    edited = {"composed": {"image": uri, "crop": [0, 0, 0.5, 1], "edit": "a cat"}}
    hits = service.search({"parts": [edited], "limit": 20})["hits"]
    assert "both" not in [hit["id"] for hit in hits]
    assert service.http.delete(f"{service.url}/v1/collections/default/items/both").status_code == 204
    for crop in (
        [0, 0, 1],
        [0, 0, 0, 1],
        [0.6, 0, 0.5, 1],
        [-0.1, 0, 0.5, 1],
        ["0", 0, 1, 1],
        "0011",
    ):
        told = service.post(SEARCH, {"image": uri, "crop": crop})
        assert told.status_code in (400, 422), crop
        assert told.json()["code"] in ("invalid_field", "malformed_json")
    told = refused(service.post(SEARCH, {"text": "a", "crop": [0, 0, 1, 1]}), 422, "bad_query")
    assert "no image to cut from" in told["detail"]


def test_relevance_feedback_is_a_mix_by_rocchios_weights(service: Any, refused: Any) -> None:
    first, second, third, *_ = (hit["id"] for hit in service.search({"text": "the cat sleeps, an owl"})["hits"])
    told = service.search({"text": "red", "like": [first, second], "unlike": third})
    parts = [{"like": one, "weight": LIKED / 2} for one in (first, second)] + [{"like": third, "weight": UNLIKED}]
    assert told["hits"] == service.search({"parts": [{"text": "red"}, *parts]})["hits"]
    assert not {first, second, third} & {hit["id"] for hit in told["hits"]}
    alone = service.search({"like": [first, second]})
    assert alone["hits"] == service.search({"parts": [{"like": first}, {"like": second}]})["hits"]
    both = {"text": "a", "like": first, "unlike": [first]}
    assert "both liked and unliked" in refused(service.post(SEARCH, both), 422, "bad_query")["detail"]


def test_no_reranker_but_the_operators(service: Any, refused: Any) -> None:
    told = refused(service.post(SEARCH, {"text": "a cat", "rerank": "some/model"}), 422, "bad_query")
    assert "no reranker: the operator loads one" in told["detail"]
    refused(service.post(SEARCH, {"text": "a cat", "rerank": "auto", "rerank_depth": 201}), 422, "invalid_field")
    assert service.get("/me").json()["rerank"] is False


def test_what_hits_hold(service: Any) -> None:
    red = service.search({"text": "red", "with": ["vector", "thumbnail"], "modality": "image"})["hits"]
    assert all(set(hit) == {"id", "score", "modality", "vector", "thumbnail"} for hit in red)
    vector, thumbnail = np.asarray(red[0]["vector"]), red[0]["thumbnail"]
    assert vector.shape == (256,)
    assert abs(np.linalg.norm(vector) - 1) < 1e-3
    assert PIL.Image.open(io.BytesIO(base64.b64decode(thumbnail.partition(",")[2]))).size == (40, 30)
    assert set(service.search({"text": "cat", "with": []})["hits"][0]) == {"id", "score", "modality"}
    found = service.search({"vector": red[0]["vector"], "limit": 1})["hits"]
    assert found[0]["id"] == red[0]["id"]
    assert found[0]["score"] > 0.999


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_same_answer_as_in_python(service: Any, searching: SearchService, drawn: Any, data: st.DataObject) -> None:
    ids = sorted(next(searching.collection.ids()))
    weight = st.sampled_from((1.0, 0.6, -0.3, 2.5))
    words = st.sampled_from(("the cat", "an owl at night", "red", 'sleeps ☾ "quoted"\n', "<image> [INST]"))
    colour = st.sampled_from(("red", "blue", "orange"))
    kinds = st.sampled_from(("text", "image", "composed", "pieces", "like", "vector"))
    crops = st.sampled_from((None, (0.0, 0.5, 1.0, 0.5), (0.1, 0.1, 0.2, 0.3)))
    sent: list[Any] = []
    parts: list[Part] = []
    for kind, weighs in data.draw(st.lists(st.tuples(kinds, weight), min_size=1, max_size=5)):
        part: Any
        match kind:
            case "text":
                part = {"text": data.draw(words)}
                parts.append(Text(**part, weight=weighs))
            case "image":
                pixels = data.draw(colour)
                part, crop = {"image": drawn.uri(pixels)}, data.draw(crops)
                part |= {} if crop is None else {"crop": crop}
                parts.append(Image(image=drawn.png(pixels), crop=crop, weight=weighs))
            case "composed":
                pixels, edit = data.draw(colour), data.draw(words)
                part = {"composed": {"image": drawn.uri(pixels), "edit": edit}}
                parts.append(Composed(image=drawn.png(pixels), edit=edit, weight=weighs))
            case "pieces":
                pixels, between, crop = data.draw(colour), data.draw(words), data.draw(crops)
                shown = {"image": drawn.uri(pixels)} | ({} if crop is None else {"crop": crop})
                part = {"composed": [shown, between, {"image": drawn.uri("orange")}]}
                images = Image(image=drawn.png(pixels), crop=crop), Image(image=drawn.png("orange"))
                parts.append(Interleaved(pieces=(images[0], between, images[1]), weight=weighs))
            case "like":
                part = {"like": data.draw(st.sampled_from(ids))}
                parts.append(Like(id=part["like"], weight=weighs))
            case _:
                seed = data.draw(st.integers(0, 9))
                part = {"vector": np.random.default_rng(seed).normal(size=256).tolist()}
                parts.append(Vector(values=part["vector"], weight=weighs))
        sent.append({**part, "weight": weighs})
    more = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "modality": st.sampled_from(("image", "text")),
                "limit": st.integers(1, 7),
                "offset": st.integers(0, 3),
                "min_score": st.sampled_from((-0.5, 0.0, 0.2)),
                "diversity": st.sampled_from((0.0, 0.5)),
                "keywords": st.sampled_from(("sleeps", "owl cat")),
            },
        )
    )
    where = data.draw(st.sampled_from((None, "width >= 40", {"must_not": {"field": "width", "match": 40}})))
    sent_query = {"parts": sent, **({"filter": where} if where else {}), **more}
    condition = parse_filter(where) if where else None
    try:
        there = searching.search(Query(parts=tuple(parts), filter=condition, **more))
    except BadQuery as error:  # parts that cancel out
        said = str(error)
    else:
        here = service.search(sent_query)
        assert here["hits"] == there.as_dict()["hits"]
        assert here.get("total") == there.total
        return
    answer = service.post(SEARCH, sent_query)
    assert (answer.status_code, answer.json()["detail"]) == (422, said)
