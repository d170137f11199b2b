"""Recipes: the shipped ones, changes, and what is refused."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from oneword.engine.training import Recipe
from oneword.engine.training.recipe import RecipeError


def test_the_papers_recipe() -> None:
    recipe = Recipe.named("e5v")
    assert (recipe.method, recipe.batch, recipe.micro_batch, recipe.learning_rate) == ("qlora", 768, 24, 4e-4)
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout) == (64, 16, 0.05)
    assert (recipe.steps, recipe.warm_up_steps, recipe.temperature, recipe.max_tokens) == (1000, 100, 0.05, 32)
    assert recipe == Recipe(), "the defaults are the paper's"


def test_changes() -> None:
    recipe = Recipe.named("small").changed(["steps=40", "lora.rank = 8", "schedule=constant", "view=cirr"])
    assert (recipe.steps, recipe.lora.rank, recipe.schedule, recipe.view) == (40, 8, "constant", "cirr")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("stepz=1", "stepz: no such field"),
        ("steps=-1", "steps is -1"),
        ("batch=1", "batch is 1"),
        ("steps", "expected field=value"),
        ("lorry.rank=3", "lorry is not part"),
        ("lora.rank=0", "lora.rank is 0"),
        ("steps=5", "warm_up_steps is 20"),
        ("method=magic", "method is 'magic'"),
        ("prompt=magic", "prompt is 'magic'"),
    ],
)
def test_changes_that_are_refused(change: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Recipe.named("small").changed([change])


def test_the_published_prompt_has_no_other_view() -> None:
    assert Recipe.named("e5v").prompt == "standard"
    with pytest.raises(RecipeError, match="view 'cirr': expected view default"):
        Recipe.named("small").changed(["prompt=as-published", "view=cirr"])


def test_files(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('method = "full"\nsteps = 3\nwarm_up_steps = 0\n', encoding="utf-8")
    assert Recipe.named(str(tmp_path / "mine.toml")).method == "full"
    with pytest.raises(RecipeError, match=r"expected e5v, small or a \.toml file"):
        Recipe.named("huge")
    (tmp_path / "bad.toml").write_text("steps =", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"bad\.toml"):
        Recipe.named(str(tmp_path / "bad.toml"))


def test_deepspeed_settings_are_json() -> None:
    settings = json.loads((files("oneword.engine.training") / "recipes" / "zero2.json").read_text(encoding="utf-8"))
    assert settings["zero_optimization"]["stage"] == 2
