"""The language model of a LLaVA-NeXT checkpoint alone, as an embedder of sentences."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneword.engine.checkpoint import Checkpoint
from oneword.engine.dependencies import quiet
from oneword.engine.devices import bits
from oneword.engine.e5v.loading import prompt_tokens
from oneword.engine.e5v.network import check_quantized
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.prompted.tokens import LLAMA_3, PromptTokens
from oneword.engine.training.recipe import Recipe, RecipeError
from oneword.engine.views import get

OURS = re.compile(r"^(model\.)?language_model\.(model\.)?(?!lm_head)")
"""Where checkpoints keep the decoder's weights: LLaVA-NeXT's of transformers 4.39 to 5."""


class SentenceEmbedder(nn.Module):
    """Sentences to unit vectors; with the standard prompt just as `E5VEncoder` makes them: same ids, same state.

    Rows are padded on the right and read at their own last token; that needs no mask, see `oneword.engine.e5v.encoder`.
    """

    def __init__(self, decoder: Any, tokens: PromptTokens, prompt: str) -> None:
        """decoder: without its output layer, perhaps with adapters."""
        super().__init__()
        self.decoder = decoder
        self.tokens = tokens
        self.prompt = prompt

    def forward(self, rows: Sequence[tuple[str, ...]]) -> Tensor:
        """Rows of s sentences to float32 (n, s, d)."""
        ids = [list(self.tokens.text_ids(self.prompt, (sentence,))) for row in rows for sentence in row]
        last = torch.tensor([len(row) - 1 for row in ids])
        padded = torch.zeros(len(ids), int(last.max()) + 1, dtype=torch.long)
        for row, into in zip(ids, padded, strict=True):
            into[: len(row)] = torch.tensor(row)
        device = next(self.decoder.parameters()).device
        states = self.decoder(input_ids=padded.to(device), use_cache=False).last_hidden_state  # (n s, l, d)
        read = states[torch.arange(len(ids), device=device), last.to(device)]
        return F.normalize(read.float(), dim=-1).view(len(rows), -1, read.shape[-1])


def load_embedder(checkpoint: Checkpoint, recipe: Recipe, *, quantize: bool = False) -> SentenceEmbedder:
    """Loads the decoder, without tower, projector and output layer, ready for adapters.

    Args:
        quantize: to 4 bit (NF4, with bitsandbytes, on CUDA).

    Raises:
        WrongCheckpoint: weights are missing.
        RecipeError: the prompt is "as-published", and the checkpoint has not Llama-3's headers.
    """
    tokens, prompt = prompt_tokens(checkpoint, recipe.max_tokens), get(recipe.view).query.text
    if recipe.prompt == "as-published":
        tokens, prompt = published(tokens, prompt)
    frozen = recipe.method != "full"  # what is trained is loaded in fp32, what is not may be smaller
    dtype = torch.bfloat16 if frozen and recipe.dtype == "bf16" else torch.float32
    decoder = load_decoder(checkpoint, dtype, quantize=quantize)
    if recipe.gradient_checkpointing:
        decoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return SentenceEmbedder(decoder, tokens, prompt)


def published(tokens: PromptTokens, prompt: str) -> tuple[PromptTokens, str]:
    """Returns the tokens and the prompt that kongds/E5-V:ft_llm.py trains with, which are not those it evaluates with.

    There the prompt is written with underscores for spaces, put into the chat template, and then all underscores of
    both become spaces. So `<|start_header_id|>` is the plain text `<|start header id|>`: no special token is left but
    the start of the text. White space at the end is stripped, so the state is read at the end of `<|end header id|>`.
    """
    if tokens.template != LLAMA_3:
        raise RecipeError(
            f"prompt is as-published, and the base's chat template {tokens.template!r}: expected Llama-3's headers, "
            "with which E5-V was trained; or prompt = standard"
        )
    template = tokens.template.replace("_", " ").strip()
    made = PromptTokens(tokens.tokenizer, template, tokens.image_token_id, tokens.max_text_tokens)
    return made, prompt.rstrip(" ")


def load_decoder(checkpoint: Checkpoint, dtype: torch.dtype, *, quantize: bool = False) -> Any:
    """The decoder's weights and nothing else."""
    from transformers import AutoConfig, AutoModel

    with quiet():
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
        decoder, found = AutoModel.from_pretrained(
            checkpoint.folder,
            config=config.text_config,
            key_mapping={OURS.pattern: ""},
            dtype=dtype,
            quantization_config=bits("nf4", torch.bfloat16) if quantize else None,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    wrong = sorted(found["missing_keys"]) + sorted(str(entry[0]) for entry in found["mismatched_keys"])
    if wrong:
        raise WrongCheckpoint(f"{checkpoint.model}: the decoder's weights are missing or misshapen: {wrong[:4]}")
    if quantize:
        check_quantized(decoder, "")
    return decoder
