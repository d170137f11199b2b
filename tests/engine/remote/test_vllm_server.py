"""A server as vLLM: prompts applied here, the same vectors as local."""

from pathlib import Path

import numpy as np
import pytest

from oneword.engine import Composed, Document, Interleaved, Side, Text, encode, load, views
from oneword.engine.catalog import describe
from oneword.engine.errors import BadText, EncodingError, ModelNotFound, RemoteUnavailable
from oneword.engine.remote import RemoteConfig, load_remote
from oneword.engine.remote.vllm import CHAT_TEMPLATE

from .test_oneword_server import MIXED, noise

PLAIN = [
    *(MIXED[i] for i in (0, 1, 2, 4)),
    Document(image=noise(90, 30, 3), text=" two small cats\n\nand a  dog "),
    Text(text="In this picture, the night train turns away from the harbour at dawn! " * 60),
    Document(image=noise(20, 20, 4), text="an empty chair was left under the kitchen table " * 80),
    Composed(image=noise(40, 40, 5), edit="Ünïcödé 世界 🐈‍⬛"),
    Interleaved(pieces=[noise(40, 40, 6), "the sofa of this", noise(64, 48, 7), "in the room of this"]),
    *MIXED[5:12],
]


@pytest.mark.parametrize("batches", [True, False], ids=["batches", "one by one"])
@pytest.mark.parametrize("view", views.BUILT_IN.values(), ids=lambda view: view.name)
def test_equals_local(serve, vllm, local, view, batches):
    vllm.batches = batches
    remote = load(serve(vllm))
    vllm.bodies.clear()
    for side in Side:
        expected = encode(local, PLAIN, view, side)
        assert np.abs(encode(remote, PLAIN, view, side) - expected).max() <= 1e-6
    assert remote.space(view).fingerprint == local.space(view).fingerprint
    assert {"input", "messages"} == {key for body in vllm.bodies for key in body} & {"input", "messages"}
    pictures = [body["messages"] for body in vllm.bodies if "messages" in body]
    assert [isinstance(messages[0], list) for messages in pictures] == [batches] * len(pictures)
    assert len(pictures) == (2 if batches else 2 * sum(not isinstance(one, Text) for one in PLAIN))


def test_pictures_share_requests_as_large_as_configured(serve, vllm, local):
    remote = load_remote(serve(vllm), RemoteConfig(batch_size=3, batch_pixels=10_000))
    vllm.bodies.clear()
    inputs = [noise(80, 50, 1), Text(text="a dog"), *(noise(40, 40, i) for i in range(5)), Text(text="a cat")]
    assert np.abs(encode(remote, inputs, views.DEFAULT) - encode(local, inputs, views.DEFAULT)).max() <= 1e-6
    assert sorted(len(body.get("messages", [])) for body in vllm.bodies) == [0, 3, 3]
    assert [len(body["input"]) for body in vllm.bodies if "input" in body] == [2], "texts come together, too"


@pytest.mark.parametrize("fault", ["count", "tokens"])
def test_a_server_that_reads_batches_otherwise_gets_none(serve, vllm, local, fault):
    """One vector for the whole list, or prompts of another length: then pictures go one by one."""
    plain = vllm.embeddings

    def other(body):
        found = plain(body)
        if isinstance(body.get("messages", [{}])[0], list):
            if fault == "count":
                found["data"] = found["data"][-1:]
            else:
                found["usage"]["prompt_tokens"] -= 1
        return found

    vllm.embeddings = other
    remote = load(serve(vllm))
    assert np.abs(encode(remote, PLAIN, views.DEFAULT) - encode(local, PLAIN, views.DEFAULT)).max() <= 1e-6
    assert sum(isinstance(body.get("messages", [{}])[0], list) for body in vllm.bodies) == 1, "the one that was tried"


def test_the_revision_is_what_the_user_says(serve, vllm, folder):
    url = serve(vllm)
    remote = load(f"{url}#tiny@mine")
    assert remote.space(views.DEFAULT).revision == "mine"
    assert remote.name == f"{url}#tiny@mine"


def test_a_checkpoint_without_weights_will_do(serve, vllm, folder, local, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (small / file.name).write_bytes(file.read_bytes())
    vllm.root = str(small)
    url = serve(vllm)
    remote = load(f"{url}#tiny@{local.revision}")
    assert remote.space(views.DEFAULT).fingerprint == local.space(views.DEFAULT).fingerprint
    assert load(url).space(views.DEFAULT).fingerprint != local.space(views.DEFAULT).fingerprint


def test_a_model_with_prompts_of_its_own_is_not_asked_by_e5vs(serve, vllm, monkeypatch):
    known = describe("BAAI/BGE-VL-MLLM-S1")
    monkeypatch.setattr("oneword.engine.catalog.describe", lambda name: known)
    with pytest.raises(RemoteUnavailable, match=r"a model of llava_next on this server.*oneword serve"):
        load(serve(vllm))


def test_a_model_that_is_not_known_here(serve, vllm):
    vllm.root = "/no/such/folder"
    with pytest.raises(ModelNotFound, match="/no/such/folder"):
        load(serve(vllm))


@pytest.mark.parametrize("text", ["an <image> here", "x<|eot_id|>", "<|begin_of_text|>"])
def test_a_caption_that_spells_a_special_token(serve, vllm, local, text):
    remote = load(serve(vllm))
    inputs = [*PLAIN[:3], Document(image=noise(20, 20), text=text), *PLAIN[3:5]]
    with pytest.raises(EncodingError, match="spells the model's special token") as caught:
        encode(remote, inputs, views.DEFAULT)
    assert caught.value.index == 3
    del inputs[3]
    assert encode(remote, inputs, views.DEFAULT).shape == (5, local.dimension)


def test_written_prompts_are_the_ids(local):
    tokens = local.tokens
    prompt = views.DEFAULT.gallery.document
    for text in ("a cat", " two  spaces ", "\n\nlines\n", "世界 🐈‍⬛", "word " * 2000):
        ids = tokens.tokenizer(tokens.written(prompt, (text,)))["input_ids"]
        assert ids == tokens.ids(prompt, (text,), [1])
    assert tokens.tokenizer(tokens.written(views.DEFAULT.gallery.image, ()))["input_ids"] == tokens.ids(
        views.DEFAULT.gallery.image, (), [1]
    )
    with pytest.raises(BadText, match="<image>"):
        tokens.written(prompt, ("<image>",))


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}USER: <image>{% for part in message['content'] %}{{ part['text'] }}"
        "{% endfor %}{% endfor %} ASSISTANT:",
        CHAT_TEMPLATE + "!",
    ],
)
def test_another_chat_template_is_found_out(serve, vllm, template):
    vllm.template = template
    with pytest.raises(RemoteUnavailable, match=r"counts \d+ tokens in the prompt, expected \d+.*docs/remote.md"):
        load(serve(vllm))


def test_a_template_without_pictures_is_found_out(serve, vllm):
    vllm.template = "{{ messages[0]['content'][0]['text'] }}"
    with pytest.raises(RemoteUnavailable, match=r"placeholders and pictures differ.*docs/remote.md"):
        load(serve(vllm))


def test_a_silent_cut_is_found_out(serve, vllm):
    remote = load(serve(vllm))
    vllm.longest = 40
    encode(remote, [Text(text="a dog")], views.DEFAULT)
    with pytest.raises(RemoteUnavailable, match="--max-model-len"):
        encode(remote, [PLAIN[5]], views.DEFAULT)


def test_the_manual_has_the_template():
    manual = (Path(__file__).parents[3] / "docs" / "remote.md").read_text(encoding="utf-8")
    assert CHAT_TEMPLATE in manual
