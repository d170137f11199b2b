"""Small checkpoints of each architecture, made from its real configuration class, with random weights."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from oneword.engine.dependencies import quiet
from tests.tiny import sentences

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VOCAB = 500


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a checkpoint as large as a published one; the small ones need none.

    Args:
        text, vision: settings of the towers' configurations.
        dimension: of the vectors; 0 for the small one's.
        device: where the weights are made.
    """

    text: dict[str, int] = field(default_factory=dict)
    vision: dict[str, int] = field(default_factory=dict)
    dimension: int = 0
    device: str = "cpu"


def clip(folder: Path, sizes: Sizes | None = None) -> Path:
    """openai/clip-vit-base-patch32's shape: 77 places, pooled at the end token, cut to the center."""
    tokenizer, sizes = _clip_tokenizer(), sizes or Sizes()
    side = sizes.vision.get("image_size", 32)
    config = CLIPConfig(
        text_config={**_text(tokenizer, 77), **_ends(tokenizer), **sizes.text},
        vision_config={**TOWER, "image_size": side, "patch_size": 8, **sizes.vision},
        projection_dim=sizes.dimension or 24,
    )
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    return _saved(folder, lambda: CLIPModel(config), tokenizer, processor, sizes.device)


def metaclip2(folder: Path) -> Path:
    """facebook/metaclip-2-worldwide-b32's: a SentencePiece tokenizer, the end token looked for by its id."""
    tokenizer = _unigram_tokenizer()
    config = MetaClip2Config(
        text_config={**TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 77, **_ends(tokenizer)},
        vision_config={**TOWER, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _saved(folder, lambda: MetaClip2Model(config), tokenizer, processor)


def siglip2(folder: Path, sizes: Sizes | None = None) -> Path:
    """google/siglip2-base-patch16-224's: 64 places, all padded, Gemma's tokenizer, images squeezed to a square."""
    tokenizer, sizes = _gemma_tokenizer(), sizes or Sizes()
    side = sizes.vision.get("image_size", 32)
    config = SiglipConfig(
        text_config={**_text(tokenizer, 64), "projection_size": sizes.dimension or 32, **sizes.text},
        vision_config={**TOWER, "image_size": side, "patch_size": 8, **sizes.vision},
    )
    processor = SiglipImageProcessorPil(size={"height": side, "width": side}, resample=2)
    return _saved(folder, lambda: SiglipModel(config), tokenizer, processor, sizes.device)


def naflex(folder: Path) -> Path:
    """google/siglip2-base-patch16-naflex's: patches of an image in its own shape."""
    tokenizer = _gemma_tokenizer()
    config = Siglip2Config(
        text_config={**TOWER, "vocab_size": 800, "max_position_embeddings": 64, "projection_size": 32},
        vision_config={**TOWER, "num_patches": 16, "patch_size": 8},
    )
    processor = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=24)
    return _saved(folder, lambda: Siglip2Model(config), tokenizer, processor)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "clip": clip,
    "metaclip2": metaclip2,
    "siglip2": siglip2,
    "naflex": naflex,
}


def _saved(folder: Path, make: Callable[[], Any], tokenizer: Any, processor: Any, device: str = "cpu") -> Path:
    generator = torch.Generator(device).manual_seed(0)
    with quiet(), torch.no_grad():
        with torch.device(device):
            model = make()
        for name, weight in model.named_parameters():
            if weight.ndim >= 2:
                weight.normal_(0.0, 1.0 if "embed" in name else 1.2 * weight[0].numel() ** -0.5, generator=generator)
            elif weight.ndim == 1 and "norm" not in name:
                weight.normal_(0.0, 0.3, generator=generator)
        for part in (model, tokenizer, processor):
            part.save_pretrained(folder)
    return folder


def _text(tokenizer: Any, places: int) -> dict[str, int]:
    return {**TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": places}


def _ends(tokenizer: Any) -> dict[str, int]:
    return {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}


def _trained(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator([text.lower() for text in sentences(400)], trainer)
    return tokenizer


def _clip_tokenizer() -> Any:
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model = json.loads(_trained(trained, trainer).to_str())["model"]
    vocabulary = dict(model["vocab"])
    for letter in pre_tokenizers.ByteLevel.alphabet():
        vocabulary.setdefault(letter + "</w>", len(vocabulary))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ", 1)) for pair in model["merges"]]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _gemma_tokenizer() -> Any:
    """BPE with SentencePiece's blanks and bytes, `<eos>` at the end, no mask, and the wish for lower case."""
    trained = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=["<pad>", "<eos>", "<bos>", "<unk>"], show_progress=False
    )
    settings = json.loads(_trained(trained, trainer).to_str())
    vocabulary = settings["model"]["vocab"]
    vocabulary.update({f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)})
    trained = Tokenizer.from_str(json.dumps(settings))
    trained.add_tokens(["\n\n", "  "])  # Gemma has such, which are not special tokens
    trained.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        model_input_names=["input_ids"],
        model_max_length=64,
        do_lower_case=True,
    )


def _unigram_tokenizer() -> Any:
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCAB, special_tokens=special, unk_token="<unk>", show_progress=False, shrinking_factor=0.7
    )
    trained = _trained(trained, trainer)
    trained.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=77,
    )
