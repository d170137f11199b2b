"""InfoNCE and its chunks, against plain torch."""

from collections.abc import Sequence

import pytest
import torch
from torch.nn import functional as F

from oneword.engine.training.chunks import backward
from oneword.engine.training.loss import gathered, info_nce

Rows = Sequence[tuple[str, ...]]


def embeddings(rows: int, sentences: int) -> torch.Tensor:
    return F.normalize(torch.randn(rows, sentences, 5, generator=torch.Generator().manual_seed(1)), dim=-1)


@pytest.mark.parametrize("sentences", [2, 3])
def test_the_loss_written_out(sentences: int) -> None:
    given = embeddings(4, sentences)
    losses, right = [], []
    for i in range(4):
        scores = [float(given[i, 0] @ given[j, k]) / 0.1 for k in range(1, sentences) for j in range(4)]
        losses.append(torch.logsumexp(torch.tensor(scores), 0) - scores[i])
        right.append(scores[i] == max(scores))
    loss, was_right = info_nce(given, 0.1)
    assert loss.item() == pytest.approx(sum(losses).item() / 4, rel=1e-5)
    assert was_right.tolist() == right


def test_gradient_is_plain_autograd() -> None:
    given = embeddings(6, 3)
    leaf = given.clone().requires_grad_()
    info_nce(leaf, 0.05)[0].backward()
    outcome = gathered(given, 0.05)
    torch.testing.assert_close(outcome.gradient, leaf.grad)


class Model(torch.nn.Module):
    """Embeds rows of words by their length, with dropout."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(dropout), torch.nn.Linear(16, 5))
        self.calls: list[int] = []

    def forward(self, rows: Rows) -> torch.Tensor:
        self.calls.append(len(rows))
        values = [[[len(word) ** power / 9**power for power in range(4)] for word in row] for row in rows]
        return F.normalize(self.layers(torch.tensor(values)), dim=-1)


ROWS = [("a" * i, "b" * (i + 1), "c" * (12 - i)) for i in range(10)]


def gradients(model: Model, micro_batch: int, seed: int = 0) -> list[torch.Tensor]:
    def propagate(value: torch.Tensor) -> None:
        value.backward()

    backward(ROWS, model, lambda e: gathered(e, 0.05), propagate, micro_batch=micro_batch, seed=seed)
    return [param.grad.clone() for param in model.parameters()]


@pytest.mark.parametrize("micro_batch", [1, 3, 5, 9, 10])
def test_chunks_do_not_change_the_gradient(micro_batch: int) -> None:
    whole, chunked = gradients(Model(0.0), 100), gradients(Model(0.0), micro_batch)
    for one, other in zip(whole, chunked, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_chunk_is_all_that_is_embedded_at_once_and_one_chunk_only_once() -> None:
    model = Model(0.0)
    gradients(model, 4)
    assert model.calls == [4, 4, 2, 4, 4, 2]
    model = Model(0.0)
    gradients(model, 10)
    assert model.calls == [10]


def test_dropout_falls_the_same_way_on_both_passes() -> None:
    model, seen = Model(0.5), []
    backward(
        ROWS,
        lambda rows: seen.append(model(rows)) or seen[-1],
        lambda e: gathered(e, 0.05),
        lambda value: None,
        micro_batch=5,
        seed=7,
    )
    torch.testing.assert_close(seen[0], seen[2])
    torch.testing.assert_close(seen[1], seen[3])
    assert not torch.allclose(seen[0], Model(0.0)(ROWS[:5]))
