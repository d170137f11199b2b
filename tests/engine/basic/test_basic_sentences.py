import pytest
import torch

from oneword.engine.basic.sentences import DIMENSION, WORDPIECES, Sentences
from oneword.engine.errors import WrongCheckpoint

TEXTS = [
    "a",
    "A cat on a sofa.",
    "Der schnelle braune Fuchs, 東京タワー and a naïve café",
    "🐈🐈🐈",
    "long " * 400,
    "An old motorbike parked in a garage, with its front wheel turned to the left and a helmet on the seat.",
]


@pytest.fixture(scope="module")
def sentences(language):
    return Sentences(language)


def pieces(sentences, text):
    return sentences.tokenize([text]).ids[0].tolist()


def test_equal_to_transformers(sentences, language):
    from transformers import BertModel

    bert = BertModel.from_pretrained(language, local_files_only=True).eval()
    tokens = sentences.tokenize(TEXTS)
    with torch.inference_mode():
        last = bert(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state  # (n, t, 384)
    mask = tokens.mask[..., None].float()
    mean = torch.nn.functional.normalize((last * mask).sum(1) / mask.sum(1), dim=-1)
    ours = sentences.embed(tokens)
    assert ours.shape == (len(TEXTS), DIMENSION)
    assert float((ours - mean).abs().max()) <= 1e-5


def test_tokens_equal_transformers(sentences, language):
    from transformers import BertTokenizerFast

    theirs = BertTokenizerFast.from_pretrained(language)
    for text in TEXTS:
        assert pieces(sentences, text) == theirs(text, truncation=True, max_length=WORDPIECES)["input_ids"]


def test_meaning(sentences):
    cat, kitten, stocks = sentences.embed(sentences.tokenize(["a cat", "a kitten", "the stock market fell"]))
    assert cat @ kitten > 0.7 > 0.3 > cat @ stocks


def test_special_tokens_in_a_text_are_plain_characters(sentences):
    ids = pieces(sentences, "a [SEP] b [PAD] [MASK]")
    assert ids.count(102) == 1  # the one at the end
    assert not {0, 103} & set(ids)


@pytest.mark.parametrize("text", ["word " * 200_000, "x" * 1_000_000, "word" + " " * 50_000 + "word"])
def test_a_cut_text_has_the_same_pieces(sentences, text):
    whole = sentences._tokenizer.encode(text).ids
    assert len(whole) <= WORDPIECES
    assert pieces(sentences, text) == whole


def test_padding_is_not_read(sentences):
    alone = sentences.embed(sentences.tokenize(["a cat"]))
    beside = sentences.embed(sentences.tokenize(["a cat", "word " * 250]))
    assert float((alone[0] - beside[0]).abs().max()) <= 1e-6


def test_a_folder_without_the_model_is_refused(tmp_path):
    with pytest.raises(WrongCheckpoint, match="MiniLM"):
        Sentences(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"noise" * 10)
    with pytest.raises(WrongCheckpoint, match="MiniLM"):
        Sentences(tmp_path)
