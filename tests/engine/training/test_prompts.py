"""The prompt that a run trains with: the one in use, or the one that the paper's code makes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oneword.cli import app
from oneword.engine.checkpoint import find
from oneword.engine.e5v import load_e5v
from oneword.engine.e5v.loading import prompt_tokens
from oneword.engine.prompted.tokens import MISTRAL, PromptTokens
from oneword.engine.training import Recipe
from oneword.engine.training.language import load_embedder, published
from oneword.engine.training.recipe import RecipeError
from oneword.engine.views import DEFAULT

# kongds/E5-V: run.sh has '*sent_0*\nSummary_above_sentence_in_one_word:', ft_llm.py puts it into `llama3_template`,
#     <|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n
# and `generate_sentemb_prompt` takes a space for each "_", the sentence for "*sent 0*", and strips: all by hand here.
PUBLISHED = (
    "<|start header id|>user<|end header id|>\n\na snake_case dog\nSummary above sentence in one word:<|eot id|>"
    "<|start header id|>assistant<|end header id|>"
)
IN_USE = (
    "<|start_header_id|>user<|end_header_id|>\n\na snake_case dog\nSummary above sentence in one word: <|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n \n"
)


@pytest.mark.parametrize(("prompt", "whole"), [("standard", IN_USE), ("as-published", PUBLISHED)])
def test_the_ids_are_the_whole_prompts(base: Path, recipe: Recipe, prompt: str, whole: str) -> None:
    embedder = load_embedder(find(str(base)), recipe.changed([f"prompt={prompt}"]))
    ids = list(embedder.tokens.text_ids(embedder.prompt, ("a snake_case dog",)))
    tokenizer = embedder.tokens.tokenizer
    assert ids == tokenizer(whole)["input_ids"]
    special = [id_ for id_ in ids if id_ in tokenizer.added_tokens_decoder]
    assert len(special) == (1 if prompt == "as-published" else 6), "the start of the text, and the headers"


def test_sentences_are_cut_and_not_the_prompt(base: Path, recipe: Recipe) -> None:
    embedder = load_embedder(find(str(base)), recipe.changed(["prompt=as-published", "max_tokens=3"]))
    tokenizer = embedder.tokens.tokenizer
    text = tokenizer.decode(embedder.tokens.text_ids(embedder.prompt, ("a dog sleeps and a cat sleeps",)))
    assert text.endswith("\nSummary above sentence in one word:<|eot id|><|start header id|>assistant<|end header id|>")
    assert "cat" not in text


def test_another_template_is_refused(base: Path) -> None:
    tokens = prompt_tokens(find(str(base)), 32)
    other = PromptTokens(tokens.tokenizer, MISTRAL, tokens.image_token_id, 32)
    with pytest.raises(RecipeError, match=r"\[INST\].*expected Llama-3's headers"):
        published(other, DEFAULT.query.text)


def test_the_trained_model_says_its_prompt(base: Path, triples: Path, tmp_path: Path) -> None:
    losses: dict[str, Any] = {}
    for prompt in ("standard", "as-published"):
        options = ["--model", str(base), "--out", str(tmp_path / prompt), "--recipe", "small", "--device", "cpu"]
        options += ["--set=steps=1", "--set=warm_up_steps=0", "--set=batch=12", "--json"]
        chosen = ["--prompt", prompt] if prompt != "standard" else []
        done = CliRunner().invoke(app, ["train", str(triples), *options, *chosen])
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert told["recipe"]["prompt"] == prompt
        losses[prompt] = told["last"]["loss"]
        model = tmp_path / prompt / "model"
        assert json.loads((model / "trained.json").read_text())["prompt"] == prompt
        assert load_e5v(str(model), device="cpu").tokens.template == load_e5v(str(base), device="cpu").tokens.template
    assert losses["standard"] != losses["as-published"]
