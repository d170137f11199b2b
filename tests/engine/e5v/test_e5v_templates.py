"""Where a checkpoint's chat template comes from, and that it is what its own chat would look like."""

import json
import shutil
from types import SimpleNamespace as Stand

import pytest

from oneword.engine import Image, Text, encode, views
from oneword.engine.checkpoint import check
from oneword.engine.e5v import load_e5v
from oneword.engine.e5v.templates import template_of
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.prompted.tokens import MISTRAL

PARTS = """{{ bos_token }}{% for message in messages %}{{ message['role'].upper() + ': ' }}
{%- for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}
{%- for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}
{%- endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""
STRING = "{% for m in messages %}{{ '[' + m['content'].strip() + ']' }}{% endfor %}"


@pytest.fixture
def vicuna(folder, tmp_path):
    """A checkpoint without Llama-3's headers."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (copy / name).read_text()
        (copy / name).write_text(text.replace("<|start_header_id|>", "<|reserved_0|>"))
    return copy


@pytest.mark.parametrize("file", ["chat_template.json", "processor_config.json", "tokenizer_config.json"])
def test_the_checkpoints_own(vicuna, file):
    path = vicuna / file
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | {"chat_template": PARTS}))
    assert load_e5v(str(vicuna), device="cpu").tokens.template == "USER: {} ASSISTANT:"


def test_its_ids_are_those_of_its_chat(vicuna, pictures):
    (vicuna / "chat_template.jinja").write_text(PARTS)
    encoder = load_e5v(str(vicuna), device="cpu")
    prompts = views.DEFAULT.gallery
    asked = {"type": "text", "text": prompts.text.replace("<sent>", "a dog").rstrip()}
    shown = [{"type": "image"}, {"type": "text", "text": prompts.image.removeprefix("<image>\n").rstrip()}]
    for content, prompt, texts in (([asked], prompts.text, ("a dog",)), (shown, prompts.image, ())):
        chat = encoder.tokens.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        expected = encoder.tokens.tokenizer(chat, add_special_tokens=False)["input_ids"]
        assert encoder.tokens.ids(prompt, texts, [1] * (not texts)) == expected
    encode(encoder, [Text(text="a dog"), Image(pixels=pictures[0].pixels)], views.DEFAULT)


def test_one_for_strings(vicuna):
    (vicuna / "chat_template.jinja").write_text(STRING)
    assert load_e5v(str(vicuna), device="cpu").tokens.template == "[{}]"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, r"has no chat template: expected .*oneword\.json"),
        ("{% for", r"cannot be used \(TemplateSyntaxError.*oneword\.json"),
        ("{{ raise_exception('no') }}", r"cannot be used \(TemplateError: no\)"),
        ("nothing", "the message is not in its output"),
        ("{}{% for m in messages %}{{ m['content'] }}{% endfor %}", "the message is not in its output"),
    ],
)
def test_none_that_can_be_used(vicuna, template, message):
    if template is not None:
        (vicuna / "chat_template.jinja").write_text(template)
    with pytest.raises(WrongCheckpoint, match=message):
        load_e5v(str(vicuna), device="cpu")
    (vicuna / "oneword.json").write_text(json.dumps({"template": "Q: {} A:"}))
    assert load_e5v(str(vicuna), device="cpu").tokens.template == "Q: {} A:"


def test_mistral_is_known_by_its_decoder(folder):
    found = check("x", folder, None)
    tokenizer = Stand(get_added_vocab=dict)
    assert template_of(found, tokenizer, Stand(text_config=Stand(model_type="mistral"))) == MISTRAL
