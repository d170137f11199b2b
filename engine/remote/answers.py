"""The server's answer to vectors, none of it taken on trust."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from oneword.engine.encoder import Vectors
from oneword.engine.errors import RemoteUnavailable


def vectors(answer: Any, count: int, dimension: int) -> Vectors:
    """The vectors of an answer of `/embeddings`, put in the order of the inputs.

    Args:
        answer: {"data": [{"index", "embedding"}]}; an embedding is base64 of little-endian float32, or a list of
            numbers (from servers that do not know `encoding_format`).

    Returns:
        float32 (count, dimension). Rows may be anything but absent: `oneword.engine.encode` looks at them next.

    Raises:
        RemoteUnavailable: another shape, count or dimension, or an index that is missing or there twice.
    """
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, list):
        raise RemoteUnavailable(f'the server\'s answer has no list "data": expected {count} embeddings')
    if len(data) != count:
        raise RemoteUnavailable(f"the server answers with {len(data)} embeddings: expected {count}, one an input")
    rows = np.empty((count, dimension), dtype=np.float32)
    absent = set(range(count))
    for entry in data:
        index = entry.get("index") if isinstance(entry, Mapping) else None
        if not isinstance(index, int) or index not in absent:
            raise RemoteUnavailable(
                f"the server answers with an embedding of index {index!r}: expected each of 0 to {count - 1} once"
            )
        absent.remove(index)
        row = _row(entry.get("embedding"))
        if row.shape != (dimension,):
            raise RemoteUnavailable(
                f"the server answers with {row.size} numbers for an input: expected {dimension}; is it another model?"
            )
        rows[index] = row
    return rows


def prompt_tokens(answer: Any) -> int | None:
    """How many tokens the server counted, if it says so: {"usage": {"prompt_tokens"}}."""
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    count = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) and count > 0 else None


def _row(embedding: Any) -> Vectors:
    try:
        if isinstance(embedding, str):
            packed = np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
            return packed.astype(np.float32)
        row = np.array(embedding, dtype=np.float32)
    except (ValueError, TypeError, binascii.Error) as error:
        raise RemoteUnavailable(f"the server answers with an embedding that is none ({error})") from error
    return row
