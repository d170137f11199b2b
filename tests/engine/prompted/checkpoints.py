"""Small vision-language models, each made from its real configuration class, with random weights and its markup."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, processors
from transformers import PreTrainedTokenizerFast

from oneword.engine.dependencies import quiet
from tests.tiny import _spread, byte_level

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 4096,
}
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen's, LLaVA-OneVision's and InternVL's."""
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
GEMMA = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<start_of_image>{% else %}{{ part.text | trim }}{% endif %}{% endfor %}<end_of_turn>"
    "\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SMOL = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}:{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ ' ' + part.text }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def _tokenizer(special: tuple[str, ...], chat: str, bos: str | None = None, **roles: str) -> Any:
    backend = byte_level(500)
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    if bos:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=special[0],
        pad_token=special[0],
        chat_template=chat,
        extra_special_tokens=roles,
        model_input_names=["input_ids", "attention_mask"],
    )


def _saved(
    folder: Path,
    config: Any,
    tokenizer: Any,
    images: Any,
    kind: str,
    video: str = "",
    device: str = "cpu",
    **settings: Any,
) -> Path:
    layers = config.get_text_config().num_hidden_layers
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with quiet():
        with torch.device(device):
            model = transformers.AutoModelForImageTextToText.from_config(config, dtype=dtype)
        _spread(model, torch.Generator(device).manual_seed(0), layers)
        for part in (model, tokenizer, images):
            part.save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": kind, **settings}))
    if video:
        (folder / "video_preprocessor_config.json").write_text(json.dumps({"video_processor_type": video}))
    return folder


def qwen(folder: Path, family: str, sizes: dict[str, Any] | None = None, device: str = "cpu") -> Path:
    """Images in their own shape, positions in three dimensions; Qwen3's vision layers feed the decoder, too.

    Args:
        sizes: "text" and "vision", settings of a model as large as a published one; its images have their own budget.
        device: where the weights are made; elsewhere than on the CPU in bf16.
    """
    sizes = sizes or {"text": {}, "vision": {}}
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
    tokenizer = _tokenizer((*special, "<|video_pad|>"), CHATML.replace("IMAGE", QWEN_IMAGE))
    patch = 16 if family == "Qwen3VL" else 14
    vision: dict[str, Any] = {"patch_size": patch, "spatial_merge_size": 2, "temporal_patch_size": 2}
    vision |= {
        "Qwen2VL": {"embed_dim": 32, "hidden_size": 64, "depth": 2, "num_heads": 2, "mlp_ratio": 2},
        "Qwen2_5_VL": {
            "hidden_size": 32,
            "out_hidden_size": 64,
            "depth": 2,
            "num_heads": 2,
            "intermediate_size": 48,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        "Qwen3VL": {
            "hidden_size": 32,
            "out_hidden_size": 64,
            "depth": 3,
            "num_heads": 2,
            "intermediate_size": 48,
            "deepstack_visual_indexes": [0, 1],
            "num_position_embeddings": 64,
        },
    }[family]
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = getattr(transformers, f"{family}Config")(
        text_config={**TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope, **sizes["text"]},
        vision_config={**vision, **sizes["vision"]},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    most = 1800 if sizes["text"] else 16  # tokens
    images = transformers.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 4 * (2 * patch) ** 2, "longest_edge": most * (2 * patch) ** 2}, patch_size=patch
    )
    video = "Qwen3VLVideoProcessor" if family == "Qwen3VL" else "Qwen2VLVideoProcessor"
    return _saved(folder, config, tokenizer, images, f"{family}Processor", video, device)


def onevision(folder: Path) -> Path:
    """Tiles as LLaVA-NeXT's, of SigLIP."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
    tokenizer = _tokenizer(special, CHATML.replace("IMAGE", "<image>"))
    grids = [[28, 28], [28, 56], [56, 28], [56, 56]]
    config = transformers.LlavaOnevisionConfig(
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config={**TOWER, "model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )
    images = transformers.LlavaOnevisionImageProcessorPil(size={"height": 28, "width": 28}, image_grid_pinpoints=grids)
    settings = {"num_image_tokens": 16, "vision_feature_select_strategy": "full"}
    return _saved(
        folder, config, tokenizer, images, "LlavaOnevisionProcessor", "LlavaOnevisionVideoProcessor", **settings
    )


def internvl(folder: Path) -> Path:
    """Up to three tiles and an overview, four patches to a token."""
    roles = {"start_image_token": "<img>", "end_image_token": "</img>"}
    roles |= {"context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"}
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *roles.values())
    tokenizer = _tokenizer(special, CHATML.replace("IMAGE", "<IMG_CONTEXT>\n"), **roles)
    config = transformers.InternVLConfig(
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config={**TOWER, "image_size": [28, 28], "patch_size": [7, 7]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        tie_word_embeddings=False,
    )
    images = transformers.GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, crop_to_patches=True, max_patches=3
    )
    return _saved(folder, config, tokenizer, images, "InternVLProcessor", "InternVLVideoProcessor", image_seq_length=4)


def smolvlm(folder: Path, family: str = "Idefics3") -> Path:
    """Tiles with their rows and columns spelled out."""
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    special = ("<end_of_utterance>", "<|im_start|>", "<fake_token_around_image>", "<image>", "<global-img>", *rows)
    tokenizer = _tokenizer(special, SMOL)
    config = getattr(transformers, f"{family}Config")(
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(tokenizer), "pad_token_id": 0},
        vision_config={**TOWER, "image_size": 28, "patch_size": 7},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        tie_word_embeddings=False,
    )
    images = getattr(transformers, f"{family}ImageProcessorPil")(
        size={"longest_edge": 56}, max_image_size={"longest_edge": 28}
    )
    video = "SmolVLMVideoProcessor" if family == "SmolVLM" else ""
    return _saved(folder, config, tokenizer, images, f"{family}Processor", video, image_seq_len=4)


def gemma3(folder: Path) -> Path:
    """One square an image, whose tokens see each other; a window that slides over texts."""
    roles = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    special = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", *roles.values())
    tokenizer = _tokenizer(special, GEMMA, bos="<bos>", **roles)
    config = transformers.Gemma3Config(
        text_config={**TEXT, "vocab_size": len(tokenizer), "sliding_window": 16, "query_pre_attn_scalar": 16},
        vision_config={**TOWER, "model_type": "siglip_vision_model", "image_size": 28, "patch_size": 7},
        mm_tokens_per_image=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
    )
    images = transformers.Gemma3ImageProcessorPil(size={"height": 28, "width": 28})
    return _saved(folder, config, tokenizer, images, "Gemma3Processor", image_seq_length=4)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "qwen2_vl": lambda folder: qwen(folder, "Qwen2VL"),
    "qwen2_5_vl": lambda folder: qwen(folder, "Qwen2_5_VL"),
    "qwen3_vl": lambda folder: qwen(folder, "Qwen3VL"),
    "llava_onevision": onevision,
    "internvl": internvl,
    "idefics3": smolvlm,
    "gemma3": gemma3,
}
