"""sentence-transformers gives the vectors of a trained model that the encoder gives."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword.engine import Composed, Document, Image, Side, Text, encode
from oneword.engine.e5v import load_e5v
from oneword.engine.training import train
from oneword.engine.training.modules import chat_template
from oneword.engine.views import CIRR, DEFAULT

SAME = 1e-5  # seen: 6e-7
TEXTS = [
    "a dog",
    "two cats on the sofa, and more " * 5,
    "  white space \n",
    "Ünïcödé 世界 🐈‍⬛",
    'she said "no" \\n {{ x }}',
]
OWN = "{% for m in messages %}{{ 'USER: ' + m['content'][0]['text'] + ' ASSISTANT:' }}{% endfor %}"


@pytest.fixture(scope="module")
def noise() -> list[PIL.Image.Image]:
    draw = np.random.default_rng(5)
    sizes = [(640, 480), (33, 99), (300, 20)]
    return [PIL.Image.fromarray(draw.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


@pytest.fixture(params=["llama-3", "its own template"])
def made(request: pytest.FixtureRequest, base: Path, triples: Path, recipe: Any, tmp_path: Path) -> Path:
    if request.param != "llama-3":
        base = Path(shutil.copytree(base, tmp_path / "base"))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (base / name).write_text((base / name).read_text().replace("<|start_header_id|>", "<|reserved|>"))
        for name in ("chat_template.json", "processor_config.json"):
            (base / name).write_text(json.dumps({"chat_template": OWN}))
    return train(recipe.changed(["steps=2"]), triples, str(base), tmp_path / "run", device="cpu")


def test_vectors_are_the_encoders(made: Path, noise: list[PIL.Image.Image]) -> None:
    package = pytest.importorskip("sentence_transformers", minversion="6")
    ours, theirs = load_e5v(str(made), device="cpu"), package.SentenceTransformer(str(made), device="cpu")
    pictures = [Image(pixels=one) for one in noise]
    for inputs, given in (
        ([Text(text=text) for text in TEXTS], TEXTS),
        (pictures, noise),
        (
            [Document(image=one, text=text) for one, text in zip(pictures, TEXTS, strict=False)],
            [{"image": one, "text": text} for one, text in zip(noise, TEXTS, strict=False)],
        ),
    ):
        expected = encode(ours, inputs, DEFAULT)
        for size in (1, 32):
            found = theirs.encode(given, batch_size=size)
            assert np.abs(found - expected).max() <= SAME
        likeness = expected @ expected.T - 2 * np.eye(len(inputs))
        assert likeness.max() < 0.999  # else the comparison would mean nothing


def test_queries_have_their_own_prompts(made: Path, noise: list[PIL.Image.Image]) -> None:
    package = pytest.importorskip("sentence_transformers", minversion="6")
    ours, theirs = load_e5v(str(made), device="cpu"), package.SentenceTransformer(str(made), device="cpu")
    expected = encode(ours, [Composed(image=Image(pixels=noise[0]), edit="make it red")], DEFAULT, Side.QUERY)
    found = theirs.encode_query([{"image": noise[0], "text": "make it red"}])
    assert np.abs(found - expected).max() <= SAME
    with pytest.raises(Exception, match="prompts are part of this model's chat template"):
        theirs.encode("a dog", prompt="Say it: ")


@pytest.mark.parametrize("view", [DEFAULT, CIRR], ids=lambda view: view.name)
def test_the_template_has_the_views_prompts(view: Any) -> None:
    import jinja2

    made = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(chat_template("<u>{}</u>\n \n", view))
    parts = [{"type": "image"}, {"type": "text", "text": "a {dog}"}]
    for task, prompts, both in (
        ("document", view.gallery, view.gallery.document),
        ("query", view.query, view.query.composed),
    ):
        for content, prompt in ((parts[:1], prompts.image), (parts[1:], prompts.text), (parts, both)):
            said = made.render(messages=[{"role": "user", "content": content}], task=task)
            assert said == f"<u>{prompt.replace('<sent>', 'a {dog}')}</u>\n \n"
