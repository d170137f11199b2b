"""Several prompts after one beginning, in one row: a picture or a sentence is read once and asked many things.

A row is a beginning followed by branches. A branch sees the beginning and itself, and its positions go on from the
beginning's end, so that its states equal those of the beginning and that branch alone.

Legend: n rows, l tokens in the longest, m marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

IGNORE = -100


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A prompt, and what should follow.

    Args:
        prompt: ids, at least one.
        answer: ids that should follow, one by one; empty where only the state after the prompt matters.
        words: ids of which each should be equally likely right after the prompt; empty where nothing is asked.
        explain: ids that should be told from the state after the prompt alone; empty where nothing is asked.
    """

    prompt: Sequence[int]
    answer: Sequence[int] = ()
    words: Sequence[int] = ()
    explain: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A beginning and its branches. `learn`: whether the beginning itself is to be foretold, from that token on."""

    beginning: Sequence[int]
    branches: Sequence[Branch]
    learn: int | None = None


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Rows, ready for a decoder.

    Args:
        ids: int64 (n, l), padded on the right with 0.
        mask: bool (n, 1, l, l), True where a token may look.
        positions: int64 (n, l).
        labels: int64 (n, l), the token that should follow; IGNORE where none is asked.
        marks: int64 (m, 2), row and column of each state after a prompt that has words or an explanation.
        words: the words of each mark.
        explain: the explanation of each mark.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    labels: Tensor
    marks: Tensor
    words: list[Sequence[int]]
    explain: list[Sequence[int]]


def pack(rows: Sequence[Row]) -> Packed:
    """Lays branches out one after the other."""
    laid = [_lay(row) for row in rows]
    count, length = len(rows), max(len(one[0]) for one in laid)
    ids = torch.zeros(count, length, dtype=torch.long)
    owners = torch.full((count, length), -1)
    positions = torch.zeros(count, length, dtype=torch.long)
    labels = torch.full((count, length), IGNORE)
    marks, words, explain = [], [], []
    for i, (tokens, owner, position, label, marked) in enumerate(laid):
        for into, values in ((ids, tokens), (owners, owner), (positions, position), (labels, label)):
            into[i, : len(values)] = torch.tensor(values)
        for column, branch in marked:
            marks.append((i, column))
            words.append(branch.words)
            explain.append(branch.explain)
    order = torch.arange(length)
    before = order[:, None] >= order[None, :]
    mine = owners[:, :, None] == owners[:, None, :]
    mask = before & (mine | (owners[:, None, :] == 0)) & (owners[:, None, :] >= 0)
    mask |= torch.eye(length, dtype=torch.bool)  # padding looks at itself: no row of the softmax is empty
    return Packed(
        ids=ids,
        mask=mask[:, None],
        positions=positions,
        labels=labels,
        marks=torch.tensor(marks, dtype=torch.long).reshape(-1, 2),
        words=words,
        explain=explain,
    )


def _lay(row: Row) -> tuple[list[int], list[int], list[int], list[int], list[tuple[int, Branch]]]:
    tokens, start = list(row.beginning), len(row.beginning)
    owner, position = [0] * start, list(range(start))
    label = [IGNORE] * start
    if row.learn is not None:
        label[row.learn - 1 : start - 1] = tokens[row.learn :]
    marked = []
    for number, branch in enumerate(row.branches, start=1):
        inside = [*branch.prompt, *branch.answer[:-1]]
        if branch.words or branch.explain:
            marked.append((len(tokens) + len(branch.prompt) - 1, branch))
        label += [IGNORE] * (len(branch.prompt) - 1) + (list(branch.answer) or [IGNORE])
        tokens += inside
        owner += [number] * len(inside)
        position += range(start, start + len(inside))
    return tokens, owner, position, label, marked
