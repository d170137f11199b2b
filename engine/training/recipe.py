"""A training recipe: every number that a run depends on, in a TOML file."""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from oneword.engine.errors import EngineError

Positive = Annotated[int, Field(gt=0)]


class RecipeError(EngineError):
    """A recipe that cannot be read, or asks for what cannot be."""


class Lora(BaseModel):
    """Low-rank adapters (arXiv 2106.09685).

    Args:
        rank, alpha, dropout: as in peft's `LoraConfig`.
        modules: the linear layers that get one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: Positive = 64
    alpha: Positive = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Recipe(BaseModel):
    """What a run does. The defaults are E5-V's own (kongds/E5-V:run.sh and ft_llm.py).

    Args:
        method: "lora"; "qlora", the same over a base in 4 bit (CUDA only); or "full", every weight.
        lora: of the first two methods.
        steps: optimizer steps; 0 for one pass over the data.
        batch: rows in a step, on all processes together; a multiple of their number.
        micro_batch: rows that pass through the model at once on one process; gradients do not depend on it.
        learning_rate, weight_decay, warm_up_steps, schedule: of AdamW.
        temperature: cosine similarities are divided by it.
        max_tokens: where a sentence is cut, before it is put in the prompt.
        clip: the gradient's norm at most; 0 does not clip.
        dtype: of the computation. What is trained is kept in fp32; but under DeepSpeed with "bf16" only the optimizer's
            copy is, and adapters are computed with and saved in bf16.
        gradient_checkpointing: compute activations again on the way back instead of keeping them.
        save_every, keep: steps between checkpoints, and how many of them stay.
        view: whose text prompt is trained.
        prompt: "standard", as the model is prompted in use; or "as-published", as kongds/E5-V:ft_llm.py prompts it in
            training, see `oneword.engine.training.language.published`. Needs the default view and Llama-3's headers.
        seed: of the data's order, the adapters' start and dropout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["lora", "qlora", "full"] = "qlora"
    lora: Lora = Lora()
    steps: Annotated[int, Field(ge=0)] = 1000
    batch: Annotated[int, Field(ge=2)] = 768
    micro_batch: Positive = 24
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    warm_up_steps: Annotated[int, Field(ge=0)] = 100
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.05
    max_tokens: Positive = 32
    clip: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    dtype: Literal["bf16", "fp32"] = "bf16"
    gradient_checkpointing: bool = True
    save_every: Positive = 100
    keep: Positive = 2
    view: str = "default"
    prompt: Literal["standard", "as-published"] = "standard"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.steps and self.warm_up_steps > self.steps:
            raise ValueError(f"warm_up_steps is {self.warm_up_steps}: expected at most the {self.steps} steps")
        if self.prompt == "as-published" and self.view != "default":
            raise ValueError(
                f"prompt is as-published and view {self.view!r}: expected view default, or prompt standard"
            )
        return self

    @classmethod
    def named(cls, name: str, **changes: Any) -> Self:
        """A shipped recipe (`e5v`, `small`) or one from a TOML file, with changes.

        Raises:
            RecipeError: no such recipe or file, or a field that does not exist or fit.
        """
        shipped = files("oneword.engine.training") / "recipes"
        path = Path(name)
        try:
            if path.suffix == ".toml":
                text = path.read_text(encoding="utf-8")
            else:
                text = (shipped / f"{name}.toml").read_text(encoding="utf-8")
            table = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            names = ", ".join(sorted(one.name[:-5] for one in shipped.iterdir() if one.name.endswith(".toml")))
            raise RecipeError(f"recipe {name!r} cannot be read ({error}): expected {names} or a .toml file") from error
        return cls.of(table | changes, name)

    def changed(self, changes: Iterable[str]) -> Self:
        """With changes such as "steps=200" or "lora.rank=8", values written as in TOML; a bare word is a string.

        Raises:
            RecipeError: malformed, no such field, or a value that does not fit.
        """
        fields = self.model_dump()
        for change in changes:
            name, equals, value = change.partition("=")
            if not equals:
                raise RecipeError(f"change {change!r}: expected field=value, such as steps=200")
            try:
                parsed = tomllib.loads(f"value = {value}")["value"]
            except tomllib.TOMLDecodeError:
                parsed = value
            *outer, last = name.strip().split(".")
            table: Any = fields
            for part in outer:
                table = table.get(part)
                if not isinstance(table, dict):
                    raise RecipeError(f"change {change!r}: {part} is not part of a recipe")
            table[last] = parsed
        return self.of(fields, "changed recipe")

    @classmethod
    def of(cls, fields: dict[str, Any], where: str = "recipe") -> Self:
        """Checked. Raises RecipeError, naming each field that is wrong."""
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            wrong = [
                f"{'.'.join(map(str, one['loc'])) or 'the whole'} is {one['input']!r}: {one['msg']}"
                if one["type"] != "extra_forbidden"
                else f"{'.'.join(map(str, one['loc']))}: no such field"
                for one in error.errors()
            ]
            raise RecipeError(f"{where}: {'; '.join(wrong)}") from None
