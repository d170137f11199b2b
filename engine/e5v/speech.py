"""Reads a vector back as words, through the output layer that E5-V's training leaves in place.

A unit vector v is the last hidden state h = s * v with its length lost. But h left an RMS norm: h = g * x, where g
are the norm's weights and x has the length sqrt(d) (Zhang & Sennrich 2019, arXiv 1910.07467). So
s = sqrt(d) / |v / g|, and the probabilities come out as if h had been kept.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneword.engine.encoder import Vectors

SMALLEST = 1e-6
"""Norm weights are kept this far from zero when divided by."""


class Speech:
    """The output layer of a model, with its tokens gathered into words.

    Args:
        network: a `LlavaNextForConditionalGeneration`.
        tokenizer: its tokenizer.
    """

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self._head = network.get_output_embeddings()
        gain: Tensor = network.model.language_model.norm.weight.detach().float()  # (d,)
        self._gain = torch.where(gain.abs() < SMALLEST, SMALLEST, gain)
        columns: defaultdict[str, list[int]] = defaultdict(list)
        special = set(tokenizer.added_tokens_decoder)
        rows = min(len(tokenizer), self._head.weight.shape[0])
        for token in range(rows):
            if token not in special and _is_word(text := tokenizer.decode([token]).strip().lower()):
                columns[text].append(token)
        self.vocabulary = list(columns)
        self._tokens = torch.tensor([token for tokens in columns.values() for token in tokens])
        self._words = torch.tensor([word for word, tokens in enumerate(columns.values()) for _ in tokens])

    @torch.inference_mode()
    def say(self, vectors: Vectors) -> Vectors:
        """Probabilities that the model says each word next, float32 (n, w); "Dog", " dog" and "dog" are one word.

        What is missing to 1 went to tokens that are not words.
        """
        weight = self._head.weight
        rows = torch.from_numpy(np.ascontiguousarray(vectors)).to(weight.device, torch.float32)  # (n, d)
        lengths = (rows / self._gain.to(weight.device)).norm(dim=-1, keepdim=True)
        states = rows * (rows.shape[-1] ** 0.5 / lengths)
        probabilities = self._head(states.to(weight.dtype)).float().softmax(-1).cpu()  # (n, tokens)
        scores = torch.zeros(len(rows), len(self.vocabulary))
        scores.index_add_(1, self._words, probabilities[:, self._tokens])
        answer: Vectors = scores.numpy()
        return answer


def _is_word(text: str) -> bool:
    """Letters, and at least two of them where one letter is not a word."""
    return text.isalpha() and (len(text) > 1 or not text.isascii())
