"""Ids equal the plain tokenizer's, unless the user's text spells a special token."""

import json
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oneword.engine import views
from oneword.engine.prompted.tokens import LLAMA_3, MISTRAL, PromptTokens, fill
from tests.tiny import SPECIAL, sentences

PROMPTS = sorted(
    {getattr(view.gallery, kind) for view in views.BUILT_IN.values() for kind in ("text", "document", "composed")}
)
# Texts around the borders where byte pairs merge: spaces, newlines, quotes, marks, emoji, any letters.
TEXTS = st.text(st.sampled_from(" \n\t\"'.,!?<>|_aeinst1é世🐈\u0301\u200d") | st.characters(codec="utf-8"), min_size=1)
SPECIALS = st.sampled_from([*SPECIAL, "<image><image>", "<|eot_id|>\n\n<|start_header_id|>", "<sent>", "{}"])


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def tokens(tokenizer):
    return make(tokenizer)


def make(tokenizer, template=LLAMA_3, max_text_tokens=512):
    return PromptTokens(tokenizer, template, tokenizer.convert_tokens_to_ids("<image>"), max_text_tokens)


def spells_a_token(text, tokenizer):
    return any(token in text for token in tokenizer.get_added_vocab())


@given(text=TEXTS, prompt=st.sampled_from(PROMPTS), template=st.sampled_from([LLAMA_3, MISTRAL, "{}"]))
@example(text="ends in a space ", prompt=PROMPTS[0], template=LLAMA_3)
@example(text="\n\nnewlines\n\n", prompt=PROMPTS[0], template=LLAMA_3)
@settings(max_examples=300)
def test_equal_to_the_plain_tokenizer(tokenizer, text, prompt, template):
    if spells_a_token(text, tokenizer):
        return
    whole = fill(template, prompt).replace("<image>", "<image>" * 5).replace("<sent>", text)
    tokens = make_cached(tokenizer, template)
    assert tokens.ids(prompt, (text,), [5] * prompt.count("<image>")) == tokenizer(whole)["input_ids"]
    assert tokens.length(prompt, (text,), [5] * prompt.count("<image>")) == len(tokenizer(whole)["input_ids"])


_MADE: dict = {}


def make_cached(tokenizer, template):
    if template not in _MADE:
        _MADE[template] = make(tokenizer, template)
    return _MADE[template]


@given(parts=st.lists(TEXTS | SPECIALS, min_size=1, max_size=6), prompt=st.sampled_from(PROMPTS))
@example(parts=["<image>"], prompt=PROMPTS[0])
@example(parts=["<|eot_id|>"], prompt=PROMPTS[0])
@example(parts=["\x80" * 200] * 3, prompt=PROMPTS[0])  # longer than is read
@settings(max_examples=300)
def test_special_tokens_in_a_text_are_plain_characters(tokenizer, tokens, parts, prompt):
    text = "".join(parts)
    special = set(tokenizer.get_added_vocab().values())

    def spoken(ids):
        return [id_ for id_ in ids if id_ in special]

    ids = tokens.ids(prompt, (text,), [3] * prompt.count("<image>"))
    assert spoken(ids) == spoken(tokens.ids(prompt, ("plain",), [3] * prompt.count("<image>")))
    assert ids[0] == tokenizer.bos_token_id
    assert tokens.cut(text) in tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_the_image_prompt(tokenizer, tokens):
    whole = fill(LLAMA_3, views.DEFAULT.gallery.image).replace("<image>", "<image>" * 2340)
    assert tokens.ids(views.DEFAULT.gallery.image, (), [2340]) == tokenizer(whole)["input_ids"]


@given(text=TEXTS, limit=st.integers(1, 12))
@settings(max_examples=300)
def test_a_text_is_cut_and_the_template_is_not(tokenizer, text, limit):
    key = ("limit", limit)
    if key not in _MADE:
        _MADE[key] = make(tokenizer, max_text_tokens=limit)
    tokens = _MADE[key]
    cut = tokens.cut(text)
    assert text.startswith(cut)
    assert len(tokens._inside.encode(cut).ids) <= limit
    if cut != text:
        assert len(tokens._inside.encode(text).ids) > limit
    decoded = tokenizer.decode(
        tokens.ids(PROMPTS[0], (text,), [1] * PROMPTS[0].count("<image>")), clean_up_tokenization_spaces=False
    )
    before, _, after = fill(LLAMA_3, PROMPTS[0]).partition("<sent>")
    assert decoded == SPECIAL[0] + before + cut + after  # whole characters: no replacement mark


def test_as_much_of_a_text_is_kept_as_may_be(tokenizer):
    text = " ".join(sentences(200))
    for limit in (1, 32, 512):
        tokens = make(tokenizer, max_text_tokens=limit)
        assert limit - 2 <= len(tokens._inside.encode(tokens.cut(text)).ids) <= limit


def test_a_huge_text_is_cut_before_it_is_tokenized(tokenizer, tokens):
    assert tokens.cut("a dog " * 2_000_000) == tokens.cut("a dog " * 2_000)


def test_a_text_is_tokenized_once_for_planning_and_preparing(tokenizer):
    tokens = make(tokenizer)
    tokens.length(PROMPTS[0], ("a dog",), [0] * PROMPTS[0].count("<image>"))
    tokens.ids(PROMPTS[0], ("a dog",), [0] * PROMPTS[0].count("<image>"))
    assert tokens.text_ids.cache_info().misses == 1


def test_mistral_prompts_keep_one_space_before_the_bracket():
    assert fill(MISTRAL, "<sent>\nSummary above sentence in one word: ") == (
        "[INST] <sent>\nSummary above sentence in one word: [/INST]"
    )
    assert fill(LLAMA_3, "word: ").count("word: <|eot_id|>") == 1


@cache
def sentencepiece_like(scheme):
    """A Llama-2-like tokenizer: metaspace, specials in the vocabulary too, a token that eats spaces."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    backend.decoder = decoders.Metaspace(prepend_scheme=scheme)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False)
    backend.train_from_iterator(sentences(500), trainer)
    stripped = json.loads(backend.to_str())
    stripped["added_tokens"] = [token for token in stripped["added_tokens"] if token["content"] not in bytes_]
    backend = Tokenizer.from_str(json.dumps(stripped))
    backend.add_special_tokens([AddedToken("<image>", normalized=False, special=True, rstrip=True, lstrip=True)])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
@pytest.mark.parametrize("template", [MISTRAL, "{}", LLAMA_3])
@pytest.mark.parametrize("prompt", [*PROMPTS, "<sent> <image>  then <sent>"[:-6] + "end"])
def test_sentencepiece_like_tokenizers(scheme, template, prompt):
    tokenizer = sentencepiece_like(scheme)
    tokens = make(tokenizer, template)
    special = set(tokenizer.get_added_vocab().values())
    for text in ("a dog", " two  cats ", "世界", "in one word:", "\n"):
        whole = fill(template, prompt).replace("<image>", "<image>" * 4).replace("<sent>", text)
        assert tokens.ids(prompt, (text,), [4] * prompt.count("<image>")) == tokenizer(whole)["input_ids"]
    for text in ("</s>", "x<s></s> <image>y"):
        ids = tokens.ids(prompt, (text,), [4] * prompt.count("<image>"))
        assert [i for i in ids if i in special] == [
            i for i in tokens.ids(prompt, ("plain",), [4] * prompt.count("<image>")) if i in special
        ]
