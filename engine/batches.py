"""Groups inputs into batches.

A row is padded to the longest of its batch, and padding costs as much as words. So rows are sorted by length
and a batch is a run of them. Its size is bounded by what the device holds (`Budget.tokens`), and once it is
large enough to keep the device busy (`Budget.enough`) it ends where a row would be padded noticeably.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SLACK = 8
"""A full enough batch takes no row that is shorter than its longest by more than one part in this number."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of one input.

    Args:
        length: in tokens of the language model, image tokens included.
        vision: what the tower adds while it holds the tiles, in tokens of the language model.
    """

    length: int
    vision: int = 0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Size limits of a batch.

    Args:
        tokens: maximum tokens in a batch, padding and the tower's share included. A longer row goes alone.
        rows: maximum rows in a batch; None for no bound.
        enough: tokens from which on a larger batch is not faster; None to fill every batch.
    """

    tokens: int
    rows: int | None = None
    enough: int | None = None


def plan(costs: Sequence[Cost], budget: Budget) -> list[list[int]]:
    """Returns positions of `costs` in batches, the longest rows first, so that a lack of memory shows at once."""
    order = sorted(range(len(costs)), key=lambda i: (-costs[i].length, -costs[i].vision, i))
    batches: list[list[int]] = []
    longest = vision = 0
    for i in order:
        cost = costs[i]
        batch = batches[-1] if batches else []
        rows = len(batch) + 1
        full = rows * longest + vision + cost.vision > budget.tokens or rows > (budget.rows or rows)
        busy = budget.enough is not None and len(batch) * longest >= budget.enough
        if not batch or full or (busy and (longest - cost.length) * SLACK > longest):
            batches.append([i])
            longest, vision = cost.length, cost.vision
        else:
            batch.append(i)
            vision += cost.vision
    return batches
