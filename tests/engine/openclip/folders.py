"""Small folders as open_clip publishes its models: CLIP's, MobileCLIP's and PE-Core's settings."""

import json
from pathlib import Path
from typing import Any

import torch

TEXT = {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


def _saved(folder: Path, vision: dict[str, Any], text: dict[str, Any], preprocess: dict[str, Any]) -> Path:
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    described = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, "custom_text": "timm_model_name" in vision}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": described, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embedding" in name:
            torch.nn.init.normal_(weight)
    save_file(
        {name: one.contiguous() for name, one in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    return folder


def clip(folder: Path) -> Path:
    """laion's: the shorter edge resized, the center kept."""
    vision = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
    return _saved(folder, vision, TEXT, {"size": [32, 32], "interpolation": "bicubic", "resize_mode": "shortest"})


def mobile(folder: Path) -> Path:
    """MobileCLIP 2 S2's shape."""
    vision = {"timm_model_name": "fastvit_t8", "timm_model_pretrained": False, "timm_pool": "avg", "image_size": 64}
    preprocess = {"size": [64, 64], "mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear"}
    return _saved(folder, vision, {**TEXT, "no_causal_mask": True}, preprocess)


def perception(folder: Path) -> Path:
    """PE-Core's: images squeezed to a square; and a tokenizer of Hugging Face's, as SigLIP 2 has in open_clip."""
    from tests.engine.dual.checkpoints import _gemma_tokenizer

    _gemma_tokenizer().save_pretrained(folder)
    vision = {"image_size": 28, "layers": 2, "width": 32, "patch_size": 7, "head_width": 16}
    text = {**TEXT, "vocab_size": 1200, "hf_tokenizer_name": "here", "no_causal_mask": True, "pool_type": "last"}
    text["tokenizer_kwargs"] = {"clean": "canonicalize"}
    half = [0.5, 0.5, 0.5]
    preprocess = {"size": [28, 28], "mean": half, "std": half, "interpolation": "bicubic", "resize_mode": "squash"}
    return _saved(folder, vision, text, preprocess)


MAKERS = {"clip": clip, "mobile": mobile, "perception": perception}
