"""A trained language model back into its LLaVA-NeXT checkpoint."""

import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from oneword.engine.checkpoint import Checkpoint
from oneword.engine.dependencies import quiet
from oneword.engine.e5v.loading import MAX_TEXT_TOKENS, prompt_tokens
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.pretrained import configuration
from oneword.engine.training.language import OURS, load_decoder
from oneword.engine.training.modules import write_modules
from oneword.engine.training.weights import TRAINED
from oneword.engine.views import DEFAULT, View


def export(base: Checkpoint, trained: Path, out: Path, view: View = DEFAULT, prompt: str | None = None) -> Path:
    """Writes `base` with the trained decoder in it, adapters merged, as a checkpoint that `--model` takes.

    sentence-transformers takes it, too, with the prompts of the view.

    The merge is done in fp32 over the unquantized base and stored in the base's own dtype. Tower, projector and output
    layer are the base's.

    Args:
        trained: a folder with an adapter, as peft saves it, or with the weights of a full run.
        prompt: the recipe's, which `trained.json` keeps; the model itself is prompted by the view.

    Raises:
        WrongCheckpoint: what was trained does not fit the base.
    """
    weights = _merged(base, trained)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for path in base.folder.iterdir():
        if path.is_file() and path.suffix in (".json", ".model", ".jinja", ".txt"):
            shutil.copyfile(path, partial / path.name)
    left = set(weights)
    for shard in base.weights:
        tensors = {}
        with safe_open(shard, "pt") as read:
            metadata = read.metadata()
            for key in read.offset_keys():
                tensors[key] = read.get_tensor(key)
                name = OURS.sub("", key)
                if name != key and name in weights:
                    tensors[key] = weights[name].to(tensors[key].dtype).contiguous()
                    left.discard(name)
        save_file(tensors, partial / shard.name, metadata)
    if left:
        raise WrongCheckpoint(
            f"{base.model}: has no place for {', '.join(sorted(left)[:4])}: expected the run's own base"
        )
    facts = {"base": base.model if base.commit else base.folder.name, "revision": base.revision()}
    (partial / "trained.json").write_text(json.dumps(facts | ({"prompt": prompt} if prompt else {})) + "\n")
    with quiet():
        config = configuration(base)
        write_modules(partial, prompt_tokens(base, MAX_TEXT_TOKENS, config), config, view)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return out


def _merged(base: Checkpoint, trained: Path) -> dict[str, torch.Tensor]:
    if (trained / TRAINED).exists():
        return load_file(trained / TRAINED)
    if not (trained / "adapter_config.json").exists():
        raise WrongCheckpoint(f"{trained}: holds neither an adapter nor weights: expected what a training run saved")
    from peft import PeftModel

    with quiet():
        decoder = PeftModel.from_pretrained(load_decoder(base, torch.float32), str(trained)).merge_and_unload()
    merged: dict[str, torch.Tensor] = decoder.state_dict()
    return merged
