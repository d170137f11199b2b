"""POST /v1/embeddings and GET /v1/models: OpenAI's own client, pictures, views, and oneword's remote encoder."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import openai
import PIL.Image
import pytest

from oneword import query
from oneword.engine import Composed, Document, Image, Interleaved, Side, Text, View, decode, encode, views
from oneword.engine.chunks import Splitter
from oneword.engine.models import load
from oneword.storage import Store
from tests import forkserver

MODELS = ("hash", "mini")
PROMPTS = views.DEFAULT.as_dict()
SIDED = View.from_dict(
    {**PROMPTS, "name": "sided", "query": {**PROMPTS["query"], "text": "Which picture shows <sent>? In one word: "}}
)
"""A view that asks otherwise than it describes; the built-in ones do not."""


@pytest.fixture(scope="module")
def both(db: Path, serve: Any) -> Any:
    """A service that has both models loaded when it is ready."""
    Store(db).create("drawings", load("mini").space(views.DEFAULT).as_dict())
    Store(db).create("asked", load("mini").space(SIDED).as_dict())
    return serve(db=db)


@pytest.fixture(scope="module")
def client(both: Any) -> Any:
    with openai.OpenAI(base_url=f"{both.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def local(name: str, *inputs: Any, view: View = views.DEFAULT, side: Side = Side.GALLERY) -> Any:
    return encode(load(name), list(inputs), view, side)


def embedded(service: Any, **body: Any) -> Any:
    answer = service.post("/embeddings", body)
    assert answer.status_code == 200, answer.text
    return np.array([one["embedding"] for one in answer.json()["data"]])


def refused(service: Any, status: int, param: str | None, **body: Any) -> Any:
    answer = service.post("/embeddings", body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["param"] == param, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("name", MODELS)
def test_openai_client(client: Any, name: str) -> None:
    texts = ["a red circle", "two blue squares ☾", "a red circle"]
    expected = local(name, *(Text(text=text) for text in texts))
    for options in ({"encoding_format": "float"}, {"encoding_format": "base64"}, {}):
        told = client.embeddings.create(model=name, input=texts, **options)
        assert [one.index for one in told.data] == [0, 1, 2]
        vectors = [one.embedding for one in told.data]
        if options.get("encoding_format") == "base64":
            vectors = [np.frombuffer(base64.b64decode(one), "<f4") for one in vectors]
        assert np.allclose(vectors, expected, atol=1e-6)
        assert told.model == name
        assert told.usage.total_tokens == told.usage.prompt_tokens > 5
    one = client.embeddings.create(model=name, input="a red circle", dimensions=expected.shape[1], user="me")
    assert np.allclose(one.data[0].embedding, expected[0], atol=1e-6)
    assert len(one.data) == 1


def test_what_openai_client_is_refused(client: Any) -> None:
    create = client.embeddings.create
    with pytest.raises(openai.NotFoundError, match=r"no model is called 'gpt'.*hash, mini") as missing:
        create(model="gpt", input="a")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    for tokens in ([1, 2, 3], [[1, 2], [3]]):
        with pytest.raises(openai.BadRequestError, match="token ids"):
            create(model="hash", input=tokens)
    with pytest.raises(openai.BadRequestError, match=r"dimensions 8: expected 256"):
        create(model="hash", input="a", dimensions=8)
    with pytest.raises(openai.BadRequestError):
        create(model="hash", input=[])
    with pytest.raises(openai.UnprocessableEntityError, match="blank") as blank:
        create(model="hash", input=["a", ""])
    assert blank.value.param == "input[1]"


def test_models_list(client: Any, both: Any) -> None:
    assert {one.id for one in client.models.list()} == set(MODELS)
    cards = {card["id"]: card for card in both.get("/models").json()["data"]}
    for name in MODELS:
        assert {"id", "object", "created", "owned_by", "oneword"} == set(cards[name])
        assert cards[name]["oneword"]["fingerprint"] == load(name).space(views.DEFAULT).fingerprint


def test_pictures_documents_edits(both: Any, drawn: Any) -> None:
    picture, edit = Image(pixels=decode(drawn.png("red"))), "make it blue"
    given = [{"image": drawn.uri("red")}, {"image": drawn.base64("red"), "text": "a wall"}, "a wall"]
    expected = local("mini", picture, Document(image=picture, text="a wall"), Text(text="a wall"))
    assert np.allclose(embedded(both, model="mini", input=given), expected, atol=1e-5)
    composed = [{"image": drawn.uri("red"), "edit": edit}]
    expected = local("mini", Composed(image=picture, edit=edit), side=Side.QUERY)
    assert np.allclose(embedded(both, model="mini", input=composed, input_type="query"), expected, atol=1e-5)


def test_images_with_words_between_them(both: Any, drawn: Any) -> None:
    red, blue = (Image(pixels=decode(drawn.png(name))) for name in ("red", "blue"))
    given = [{"composed": [{"image": drawn.uri("red")}, "the cat of this", {"image": drawn.uri("blue")}, "here"]}]
    expected = local("mini", Interleaved(pieces=[red, "the cat of this", blue, "here"]), side=Side.QUERY)
    assert np.allclose(embedded(both, model="mini", input=given, input_type="query"), expected, atol=1e-5)
    for wrong, field in (([{"image": "%"}, "a"], "input[0].composed[0].image"), (["a"], "input[0].composed")):
        answer = both.post("/embeddings", {"model": "mini", "input": [{"composed": wrong}]})
        assert (answer.status_code // 100, answer.json()["error"]["param"]) == (4, field), answer.text


def test_messages(both: Any, drawn: Any) -> None:
    picture = Image(pixels=decode(drawn.png("red")))
    image = {"type": "image_url", "image_url": {"url": drawn.uri("red"), "detail": "auto"}}
    words = [{"type": "text", "text": "a red"}, {"type": "text", "text": "wall"}]
    for content, expected in (
        ("a wall", Text(text="a wall")),
        ([image], picture),
        ([image, words[0]], Document(image=picture, text="a red")),
        (words, Text(text="a red\nwall")),
    ):
        vectors = embedded(both, model="mini", messages=[{"role": "user", "content": content}])
        assert np.allclose(vectors, local("mini", expected), atol=1e-5)
    message = lambda content: [{"role": "user", "content": content}]  # noqa: E731
    refused(both, 400, "messages[0].content", model="mini", messages=message([image, image]))
    refused(both, 422, "messages[0]", model="mini", messages=message(""))
    refused(both, 400, "messages[0].content", model="mini", messages=message([]))
    refused(both, 400, "messages[0].content[0].type", model="mini", messages=message([{"type": "audio"}]))
    refused(both, 400, "input", model="mini", messages=message("a"), input="a")
    refused(both, 400, "input", model="mini")


def test_views_and_sides(both: Any) -> None:
    texts = [Text(text="a red circle")]
    view = View.from_dict({**views.get("cirr").as_dict(), "name": "mine"})
    for given in ("cirr", views.get("cirr").as_dict(), view.as_dict()):
        told = embedded(both, model="mini", input=["a red circle"], view=given, input_type="query")
        assert np.allclose(told, local("mini", *texts, view=views.get("cirr"), side=Side.QUERY), atol=1e-5)
    refused(both, 400, "view", model="mini", input="a", view="unheard-of")
    refused(both, 400, "view", model="mini", input="a", view="/etc/passwd")
    refused(both, 400, "view", model="mini", input="a", view={"name": "x"})
    refused(both, 400, "view", model="hash", input="a", view="cirr")
    for other in ("gallery", "search_query", None):
        said = refused(both, 400, "input_type", model="mini", input="a", input_type=other)["message"]
        assert "'query' or 'document'" in said
    refused(both, 400, "side", model="mini", input="a", side="query")


def test_what_is_refused(both: Any, drawn: Any) -> None:
    refused(both, 400, "inptu", model="hash", inptu="a")
    refused(both, 400, "encoding_format", model="hash", input="a", encoding_format="hex")
    refused(both, 400, "input", model="hash", input=["a"] * 257)
    refused(both, 400, "input[0]", model="hash", input=[{"image": drawn.uri("red"), "text": "a", "edit": "b"}])
    refused(both, 422, "input[1].image", model="hash", input=["a", {"image": "%"}])
    refused(both, 422, "input[0]", model="hash", input=[{"image": drawn.uri("red"), "text": ""}])
    refused(both, 400, "input[0].url", model="hash", input=[{"image": drawn.uri("red"), "url": "b"}])
    answer = both.http.post(f"{both.url}/v1/embeddings", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")
    answer = both.http.post(f"{both.url}/v1/embeddings", content=b"a")
    assert (answer.status_code, set(answer.json())) == (415, {"error"})


@pytest.mark.parametrize("name", MODELS)
def test_remote_encoder_is_the_local_one(both: Any, drawn: Any, name: str) -> None:
    here, there = load(name), load(f"{both.url}/v1#{name}")
    assert there.space(views.DEFAULT).fingerprint == here.space(views.DEFAULT).fingerprint
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    pictures = [Image(pixels=PIL.Image.fromarray(noise)), Image(pixels=decode(drawn.png("blue")))]
    inputs = [
        Text(text="a red circle"),
        Text(text="<image> [INST] ☾\x00 \"'"),
        Text(text="word " * 40),
        *pictures,
        Document(image=pictures[0], text="noise"),
        Composed(image=pictures[1], edit="make it red"),
    ]
    for side in Side:
        found = encode(there, inputs, views.DEFAULT, side)
        assert np.allclose(found, encode(here, inputs, views.DEFAULT, side), atol=1e-5)
    text = "A red circle beside a Blue-ish square; nothing else. " * 20
    chunks = Splitter.of(there).split(text)
    assert chunks == Splitter.of(here).split(text)
    assert len(chunks) > 2
    if name == "mini":
        view = View.from_dict({**views.get("cirr").as_dict(), "name": "mine"})
        assert there.space(view).fingerprint == here.space(view).fingerprint
        assert np.allclose(encode(there, inputs, view), encode(here, inputs, view), atol=1e-5)


def test_index_by_a_server(both: Any, folder: Path, db: Path, tmp_path: Path) -> None:
    done = forkserver.run(["-m", "oneword", "index", folder, "--db", tmp_path / "db", "--model", f"{both.url}/v1#hash"])
    assert done.returncode == 0, done.stderr
    ours, theirs = Store(db).open("default"), Store(tmp_path / "db").open("default")
    assert ours.space["fingerprint"] == theirs.space["fingerprint"]
    vectors = [
        {item.uri: item.vector for batch in one.scan(vectors=True) for item in batch if item.uri.startswith("file:")}
        for one in (ours, theirs)
    ]
    assert vectors[0].keys() == vectors[1].keys()
    assert len(vectors[0]) == 6
    assert all(np.array_equal(vectors[0][uri], vectors[1][uri]) for uri in vectors[0])


def test_searches_ask_as_a_question(both: Any, db: Path, drawn: Any) -> None:
    items = [{"text": "a red circle"}, {"text": "two blue squares"}, {"image": drawn.uri("red")}]
    assert both.post("/collections/asked/items", {"items": items}).json()["added"] == 3
    searching = query.SearchService(str(db), "asked")
    for text in ("a red circle", "blue"):
        told = both.search({"text": text, "view": "sided"}, "asked")["hits"]
        here = searching.search(text).as_dict()["hits"]
        assert [hit["id"] for hit in told] == [hit["id"] for hit in here]
        assert np.allclose([hit["score"] for hit in told], [hit["score"] for hit in here], atol=1e-4)


def test_large_picture_is_embedded_as_locally(both: Any) -> None:
    file = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (900, 1200, 3), dtype=np.uint8)).save(file, "JPEG")
    sent = base64.b64encode(file.getvalue()).decode()
    vectors = embedded(both, model="hash", input=[{"image": f"data:image/jpeg;base64,{sent}"}])
    assert np.allclose(vectors, local("hash", Image(pixels=decode(file.getvalue()))), atol=1e-6)


def test_texts_longer_than_the_model_reads_are_counted(both: Any) -> None:
    body = {"model": "mini", "input": ["a red circle", "a red circle " * 300]}
    assert both.post("/embeddings", body).json()["usage"]["shortened"] == 1
    assert "shortened" not in both.post("/embeddings", {**body, "input": "a red circle"}).json()["usage"]
