"""What a run trains: adapters or all of the decoder; put on, saved and loaded without what stays as it was."""

from pathlib import Path
from typing import Any

import torch

from oneword.engine.training.language import SentenceEmbedder
from oneword.engine.training.recipe import Recipe, RecipeError

TRAINED = "trained.safetensors"


def adapted(embedder: SentenceEmbedder, recipe: Recipe) -> SentenceEmbedder:
    """With the recipe's adapters; for "full", with every weight to be trained."""
    if recipe.method == "full":
        embedder.decoder.requires_grad_(True)
        return embedder
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if recipe.method == "qlora":
        embedder.decoder = prepare_model_for_kbit_training(
            embedder.decoder,
            use_gradient_checkpointing=recipe.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    lora = recipe.lora
    there = {name.rpartition(".")[2] for name, _ in embedder.decoder.named_modules()}
    # peft passes over a name that fits nothing, as long as another one fits.
    if absent := [name for name in lora.modules if name.rpartition(".")[2] not in there]:
        raise RecipeError(f"lora.modules has {', '.join(absent)}: no such layers; expected some of this decoder's own")
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.modules),
        bias="none",
    )
    try:
        embedder.decoder = get_peft_model(embedder.decoder, config)
    except ValueError as error:
        raise RecipeError(f"lora.modules is {', '.join(lora.modules)}: no such layers ({error})") from error
    return embedder


def save_trained(embedder: SentenceEmbedder, folder: Path) -> None:
    """As peft saves adapters; of a full run, the decoder's weights."""
    from peft import PeftModel
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(embedder.decoder, PeftModel):
        embedder.decoder.save_pretrained(str(folder))
    else:
        weights = {name: value.contiguous().cpu() for name, value in embedder.decoder.state_dict().items()}
        save_file(weights, folder / TRAINED)


def trainable_only(accelerator: Any) -> None:
    """Lets accelerate's checkpoints hold what is trained, and not the base once more.

    DeepSpeed writes its own, and leaves the rest out when asked (`exclude_frozen_parameters`).
    """
    from safetensors.torch import load_file, save_file

    def save(models: list[Any], weights: list[Any], folder: str) -> None:
        if weights and accelerator.is_main_process:
            named = accelerator.unwrap_model(*models).named_parameters()
            trained = {name: param.detach().cpu().contiguous() for name, param in named if param.requires_grad}
            save_file(trained, Path(folder) / TRAINED)
        weights.clear()

    def load(models: list[Any], folder: str) -> None:
        path = Path(folder) / TRAINED
        if models and path.exists():
            saved = load_file(path)
            with torch.no_grad():
                for name, param in accelerator.unwrap_model(models[0]).named_parameters():
                    if param.requires_grad:
                        param.copy_(saved[name])
            models.clear()

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(load)
