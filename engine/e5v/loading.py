"""From a checkpoint's files to an encoder that is ready to run."""

from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
)

from oneword.engine.dependencies import quiet
from oneword.engine.e5v import tokens
from oneword.engine.e5v.checkpoint import Checkpoint, find
from oneword.engine.e5v.devices import budget, pick_attention, pick_device, pick_dtype, quantisation
from oneword.engine.e5v.encoder import E5VEncoder
from oneword.engine.e5v.pictures import Pictures
from oneword.engine.errors import MissingDependency, WrongCheckpoint

MAX_TEXT_TOKENS = 512
"""Where a user's text is cut by default. E5-V was trained on 32 tokens (kongds/E5-V:run.sh)."""


def load_e5v(
    model: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantise: Literal["int8", "nf4"] | str | None = None,
    max_batch: int | None = None,
    max_tokens_per_batch: int | None = None,
    max_text_tokens: int = MAX_TEXT_TOKENS,
    revision: str | None = None,
    name: str | None = None,
) -> E5VEncoder:
    """Loads E5-V, or any LLaVA-NeXT checkpoint.

    Args:
        model: a Hugging Face id, or a folder in transformers' format with safetensors weights.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", "bf16", "fp16" or "fp32".
        quantise: None, "int8" or "nf4": the decoder in 8 or 4 bit, with bitsandbytes, on CUDA.
        max_batch: most inputs in one forward pass.
        max_tokens_per_batch: most tokens in one, padding included; by default derived from the free memory.
        max_text_tokens: where a user's text is cut; part of the space.
        revision: of a hub model: a branch, tag or commit.
        name: what the model is called in its space; by default `model`.

    Raises:
        ModelNotFound, WrongCheckpoint, MissingDependency, DeviceUnavailable
    """
    place = pick_device(device)
    number = pick_dtype(dtype, place)
    bits = quantisation(quantise, place, number)
    checkpoint = find(model, revision)
    with quiet():
        network = _network(checkpoint, place, number, bits)
        config = network.config
        prompts = prompt_tokens(checkpoint, max_text_tokens, config)
        pictures = tiling(checkpoint, prompts, config)
    _trim_tower(network)
    return E5VEncoder(
        name=name or model,
        revision=checkpoint.revision() + (f"+{quantise}" if quantise else ""),
        network=network,
        device=place,
        dtype=number,
        tokens=prompts,
        pictures=pictures,
        budget=budget(
            place,
            number,
            hidden=config.text_config.hidden_size,
            intermediate=config.text_config.intermediate_size,
            tokens=max_tokens_per_batch,
            rows=max_batch,
        ),
    )


def prompt_tokens(checkpoint: Checkpoint, max_text_tokens: int, config: Any = None) -> tokens.PromptTokens:
    """The checkpoint's way from a prompt to token ids.

    Args:
        config: the checkpoint's, if it is loaded already.

    Raises:
        WrongCheckpoint: the tokeniser cannot be used, or does not fit the model.
    """
    if config is None:
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    tokenizer = _tokenizer(checkpoint)
    _agree(checkpoint, tokenizer, config)
    template = checkpoint.template() or _template(tokenizer, config)
    return tokens.PromptTokens(tokenizer, template, config.image_token_id, max_text_tokens)


def tiling(checkpoint: Checkpoint, prompts: tokens.PromptTokens, config: Any) -> Pictures:
    """The checkpoint's way from a picture to tiles and to a number of tokens.

    Raises:
        WrongCheckpoint: the image processor cannot be used.
    """
    processor = _processor(checkpoint, prompts.tokenizer)
    processor.patch_size = config.vision_config.patch_size
    processor.vision_feature_select_strategy = config.vision_feature_select_strategy
    # CLIP's class token; towers such as SigLIP have none.
    processor.num_additional_image_tokens = int(config.vision_config.model_type.startswith("clip"))
    return Pictures(processor)


def _tokenizer(checkpoint: Checkpoint) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except ImportError as error:
        raise MissingDependency(f"{checkpoint.model}: its tokeniser needs a package: {error}") from error
    except Exception as error:  # a malformed file fails wherever its reader stumbles
        raise WrongCheckpoint(f"{checkpoint.model}: the tokeniser cannot be loaded: {error}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise WrongCheckpoint(f"{checkpoint.model}: the tokeniser is slow: expected one with a tokenizer.json")
    return tokenizer


def _processor(checkpoint: Checkpoint, tokenizer: Any) -> Any:
    """The processor, always with the PIL image processor: the same pixels with and without torchvision."""
    try:
        images = LlavaNextImageProcessorPil.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:  # as above
        raise WrongCheckpoint(f"{checkpoint.model}: the image processor cannot be loaded: {error}") from error
    return LlavaNextProcessor(image_processor=images, tokenizer=tokenizer)


def _network(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, bits: Any) -> Any:
    try:
        network, found = LlavaNextForConditionalGeneration.from_pretrained(
            checkpoint.folder,
            dtype=dtype,
            attn_implementation=pick_attention(device, dtype),
            quantization_config=bits,
            device_map={"": device} if bits is not None else None,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # as above
        raise WrongCheckpoint(f"{checkpoint.model}: the weights cannot be loaded: {error}") from error
    missing = sorted(found["missing_keys"])
    misfit = sorted(str(entry[0]) for entry in found["mismatched_keys"])
    if missing or misfit:
        wrong = missing + misfit
        shown = ", ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise WrongCheckpoint(
            f"{checkpoint.model}: {len(missing)} weights are missing and {len(misfit)} have another shape "
            f"than config.json says: {shown}; expected all of {type(network).__name__}'s"
        )
    image_id, rows = network.config.image_token_id, network.get_input_embeddings().weight.shape[0]
    if image_id >= rows:
        # Its row is never read, as picture features take its place, but a look-up past the table would fail.
        network.resize_token_embeddings(image_id + 1, mean_resizing=False)
    return (network if bits is not None else network.to(device)).eval().requires_grad_(False)


def _agree(checkpoint: Checkpoint, tokenizer: Any, config: Any) -> None:
    """The tokeniser's picture token must be the model's."""
    ids = tokenizer.get_added_vocab()
    image = ids.get("<image>")
    if image is None:
        raise WrongCheckpoint(f"{checkpoint.model}: the tokeniser has no <image> token: expected it to be added")
    if image != config.image_token_id:
        raise WrongCheckpoint(
            f"{checkpoint.model}: <image> is token {image} in the tokeniser and {config.image_token_id} in "
            "config.json (image_token_index): expected the same"
        )


def _template(tokenizer: Any, config: Any) -> str:
    if "<|start_header_id|>" in tokenizer.get_added_vocab():
        return tokens.LLAMA_3
    return tokens.MISTRAL if config.text_config.model_type == "mistral" else tokens.BARE


def _trim_tower(network: Any) -> None:
    """Drops the vision layers above the one that is looked at (E5-V: the last of 24); nothing reads them."""
    layer = network.config.vision_feature_layer
    encoder: Any = getattr(network.model.vision_tower, "encoder", None)
    if not isinstance(layer, int) or not hasattr(encoder, "layers"):
        return
    depth = len(encoder.layers)
    # Hidden states are counted from the embeddings, 0, to the last layer's output, `depth`.
    used = layer if layer >= 0 else depth + 1 + layer
    if 0 < used < depth:
        encoder.layers = encoder.layers[:used]
        network.model.vision_tower.config.num_hidden_layers = used
        network.config.vision_feature_layer = used
