"""A random LLaVA-NeXT checkpoint, whole and real but for its knowledge: small, or of E5-V's very size.

It has E5-V's shape (CLIP tower, projector, Llama decoder, byte-level BPE with Llama-3's special tokens,
tiling image processor), by default at a thousandth of its size, so that every path of `oneword.engine.e5v` can be run
without E5-V's weights: in tests, in benchmarks, and by whoever wants to try a GPU. Its vectors mean nothing.
"""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneword.engine.dependencies import quiet, require

if TYPE_CHECKING:
    import transformers

# Llama-3's special tokens, in the order of its tokenizer.json (meta-llama/Meta-Llama-3-8B-Instruct), then
# LLaVA-NeXT's picture token.
SPECIAL = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "<image>",
)
FULL: dict[str, Any] = {
    "hidden": 4096,
    "layers": 32,
    "head": 128,
    "vision": 1024,
    "vision_head": 64,
    "vision_layers": 24,
    "image_size": 336,
    "embedding_rows": 128_320,
    "full_vocabulary": True,
}
"""Arguments of `make_checkpoint` for E5-V's size, 8,355,276,800 parameters: Llama-3-8B and CLIP-L/14-336."""

DEEP = 8
"""Layers from which on weights are drawn as for a deep model."""

RESERVED = 256
"""Special tokens of Llama-3, ids 128,000 to 128,255; nine of them have a name that matters here."""

# The pre-tokenizer's pattern of Llama-3 (meta-llama/llama3:llama/tokenizer.py).
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_SUBJECTS = (
    "a dog|two small cats|the old man|a red bicycle|a woman in a green dress|the night train|a bowl of rice|"
    "seven children|the lighthouse keeper|an empty chair|a painted door|the first snow"
).split("|")
_DEEDS = (
    "sleeps on|runs towards|stands near|is looking at|waits behind|was left under|turns away from|belongs to"
).split("|")
_PLACES = (
    "the sofa|a stone bridge|the harbour at dawn|a crowded market|an open window|the blue mountains|"
    "a narrow street in Lisbon|the kitchen table|a field of yellow flowers|the river's edge"
).split("|")
_FRAMES = (
    "{0} {1} {2}.",
    "In this picture, {0} {1} {2}!",
    "Summary above sentence in one word: {0} {1} {2}",
    'Modify this image with "{0}", describe modified image in one word: {2}',
    "Is it true that {0} {1} {2}? Summary above image and text in one word.",
)


def sentences(count: int, *, seed: int = 0) -> list[str]:
    """Plain English sentences to train a tokenizer on, or to embed; the same for the same seed."""
    draw = random.Random(seed)
    return [
        draw.choice(_FRAMES).format(draw.choice(_SUBJECTS), draw.choice(_DEEDS), draw.choice(_PLACES))
        for _ in range(count)
    ]


def make_checkpoint(
    folder: Path | str,
    *,
    hidden: int = 64,
    layers: int = 2,
    intermediate: int | None = None,
    head: int = 16,
    vision_head: int | None = None,
    vision: int = 32,
    vision_layers: int = 3,
    vision_feature_layer: int | list[int] = -2,
    image_size: int = 56,
    patch_size: int = 14,
    vocab: int = 600,
    embedding_rows: int | None = None,
    full_vocabulary: bool = False,
    device: str = "cpu",
    dtype: str = "float32",
    seed: int = 0,
) -> Path:
    """Writes a checkpoint that `load_e5v` and plain transformers load.

    Args:
        folder: where to; made if missing.
        hidden, layers, intermediate: the decoder's width, depth and MLP width.
        head, vision_head: width of an attention head, in decoder and tower (None: the same); divides its width.
        vision, vision_layers: the tower's width and depth.
        vision_feature_layer: whose output is looked at; E5-V leaves the last layer out.
        image_size: a tile's side in pixels, a multiple of `patch_size`; the grids scale with it.
        vocab: tokens without the special ones; at least 300.
        embedding_rows: rows of the embedding table; by default all tokens have one.
        full_vocabulary: give tokens the ids that Llama-3 gives them, up to `<image>`, 128,256.
        device: where the weights are made.
        dtype: of the weights, as torch names it.
        seed: of weights and merges.

    Returns:
        The folder.
    """
    require("torch", "transformers")
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessorPil,
    )

    folder = Path(folder)
    tokenizer = _tokenizer(vocab, full_vocabulary)
    side = image_size
    grids = [[side, 2 * side], [2 * side, side], [2 * side, 2 * side], [3 * side, side], [side, 3 * side]]
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=vision,
            intermediate_size=4 * vision,
            num_hidden_layers=vision_layers,
            num_attention_heads=vision // (vision_head or head),
            image_size=side,
            patch_size=patch_size,
            projection_dim=vision,
        ),
        text_config=LlamaConfig(
            hidden_size=hidden,
            intermediate_size=intermediate or hidden * 7 // 2,  # Llama-3-8B: 14336 / 4096
            num_hidden_layers=layers,
            num_attention_heads=hidden // head,
            num_key_value_heads=max(1, hidden // head // 4),  # four queries share a key, as in Llama-3-8B
            vocab_size=embedding_rows or len(tokenizer),
            rope_theta=500_000.0,
            max_position_embeddings=8192,
            bos_token_id=tokenizer.convert_tokens_to_ids(SPECIAL[0]),
            eos_token_id=tokenizer.convert_tokens_to_ids(SPECIAL[1]),
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
        vision_feature_layer=vision_feature_layer,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, image_grid_pinpoints=grids
    )
    default = torch.get_default_dtype()
    with quiet():
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            with torch.device(device):
                model = LlavaNextForConditionalGeneration(config)
        finally:
            torch.set_default_dtype(default)
        _spread(model, torch.Generator(device).manual_seed(seed), layers)
        for part in (model, tokenizer, processor):
            part.save_pretrained(folder)
    return folder


def _spread(model: Any, generator: Any, layers: int) -> None:
    """Draws weights wide enough that different inputs end far apart; the usual 0.02 leaves them all alike.

    In a deep decoder each layer adds less, as in a trained one: else rounding to 16 bit decides over its end.
    """
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2:
                fan_in = weight[0].numel()
                sharp = "q_proj" in name or "k_proj" in name  # sharp attention tells words apart
                gain = (1.0 if sharp else 0.7) if layers > DEEP else (2.0 if sharp else 1.2)
                if layers > DEEP and name.endswith(("o_proj.weight", "down_proj.weight")):
                    gain *= (2 * layers) ** -0.5
                spread = (0.1 if layers > DEEP else 1.0) if "embed" in name else gain * fan_in**-0.5
                weight.normal_(0.0, spread, generator=generator)
            elif "norm" not in name:
                weight.normal_(0.0, 0.3, generator=generator)


def _tokenizer(vocab: int, full: bool) -> "transformers.PreTrainedTokenizerFast":
    """Byte-level BPE, built as Llama-3's tokenizer.json is: same pattern, same special tokens, same BOS.

    full: with Llama-3's ids: tokens that no text has fill the vocabulary up to 128,000.
    """
    from tokenizers import AddedToken, processors
    from transformers import PreTrainedTokenizerFast

    backend = byte_level(vocab)
    special = list(SPECIAL)
    if full:
        backend = _filled(backend)
        named = {0: SPECIAL[0], 1: SPECIAL[1], 6: SPECIAL[2], 7: SPECIAL[3], 9: SPECIAL[4]}
        reserved = [named.get(n, f"<|reserved_special_token_{n}|>") for n in range(RESERVED)]
        special = [*reserved, SPECIAL[5]]
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    bos = SPECIAL[0]
    backend.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(
                single=f"{bos} $A",
                pair=f"{bos} $A {bos} $B",
                special_tokens=[(bos, backend.token_to_id(bos))],
            ),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=SPECIAL[1],
        extra_special_tokens={"image_token": "<image>"},
    )


def _filled(backend: Any) -> Any:
    """The same tokenizer with a vocabulary of 128,000: the rest are of characters that byte-level text never has."""
    from tokenizers import Tokenizer

    document = json.loads(backend.to_str())
    known = document["model"]["vocab"]
    known.update({f"\ue000{n}": n for n in range(len(known), 128_000)})
    return Tokenizer.from_str(json.dumps(document))


def byte_level(vocab: int) -> Any:
    """A `tokenizers.Tokenizer` of so many tokens, without special ones, and with Llama-3's pattern."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE(ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(sentences(2000), trainer)
    return backend
