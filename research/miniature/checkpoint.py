"""The miniature before it has learned anything: tokenizer, network and processor, in LLaVA-NeXT's own classes."""

import copy
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oneword.engine.dependencies import quiet
from oneword.engine.views import DEFAULT
from research.miniature import captions, edits, prompts, questions, scenes
from research.miniature.render import SIDE
from tests.tiny import SPECIAL

PATCH = 16  # pixels
GRID = SIDE // PATCH
IMAGE_TOKENS = GRID * GRID + GRID * (GRID + 1)
"""A picture is shown twice, as LLaVA-NeXT does: whole, and as a grid of one tile with a newline after each row."""
VOCABULARY = 720  # tokens, the special ones included
VISION = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}
LANGUAGE = {
    "hidden_size": 160,
    "intermediate_size": 448,
    "num_hidden_layers": 5,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
}


def corpus(seed: int, count: int = 6000) -> Iterator[str]:
    """Texts of all kinds that the stages and E5-V's prompts use."""
    rng = random.Random(seed)
    wordings = [*vars(DEFAULT.query).values(), *prompts.ONE_WORD, *prompts.BASED_ON, *prompts.CHANGE]
    for _ in range(count):
        scene = scenes.draw(rng)
        yield captions.caption(rng, scene, full=0.7)
        yield "\n".join(questions.question(rng, scene))
        yield rng.choice(wordings)
        for word in captions.words(scene):
            yield f"{word} {word}"
        if made := edits.edit(rng, scene):
            yield prompts.change(rng, "image", made[0])


def make(seed: int) -> tuple[Any, Any, Any]:
    """(network, tokenizer, image processor), the network with random weights."""
    import torch
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessorPil,
    )

    tokenizer = _tokenizer(seed)
    image = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, projection_dim=64, **VISION),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=1024,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=True,
            **LANGUAGE,
        ),
        image_token_index=image,
        image_grid_pinpoints=[[SIDE, SIDE]],
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=[[SIDE, SIDE]]
    )
    with quiet():
        torch.manual_seed(seed)
        network = LlavaNextForConditionalGeneration(config)
    return network, tokenizer, processor


def save(folder: Path, network: Any, tokenizer: Any, processor: Any, *, half: bool = False) -> None:
    """Writes a checkpoint that `load_e5v` and plain transformers load, whole or not at all.

    Args:
        folder: not there yet.
        half: store the weights in fp16.
    """
    import torch

    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stored = copy.deepcopy(network).to(torch.float16) if half else network
    with quiet():
        for part in (stored, tokenizer, processor):
            part.save_pretrained(partial)
    partial.rename(folder)


def _tokenizer(seed: int) -> Any:
    """Byte-level BPE with Llama-3's special tokens, and with no BOS: what comes before a prompt is always the same."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(corpus(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[4],
        extra_special_tokens={"image_token": "<image>"},
    )
