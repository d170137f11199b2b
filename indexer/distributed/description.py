"""What the driver must know of a model, told by a worker: the driver has perhaps no GPU, and needs no weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.inputs import Input
from oneword.engine.space import Space
from oneword.engine.views import View
from oneword.indexer.distributed.cluster import Pools
from oneword.indexer.distributed.faults import in_our_words


@dataclass(kw_only=True)
class DescribedEncoder:
    """An encoder (`oneword.engine.encoder.Encoder`) whose model is on the workers: known here, it cannot encode."""

    config: EngineConfig
    """What the workers load it by."""
    name: str
    dimension: int
    low_confidence: float | None
    passage_tokens: int
    tokeniser: str | None
    view: View
    known: Space

    @classmethod
    def of(cls, encoder: Encoder, view: View, config: EngineConfig) -> "DescribedEncoder":
        """Of a loaded one; raises ViewError."""
        return cls(
            config=replace(config, model=encoder.name),
            name=encoder.name,
            dimension=encoder.dimension,
            low_confidence=encoder.low_confidence,
            passage_tokens=encoder.passage_tokens,
            tokeniser=encoder.tokeniser,
            view=view,
            known=encoder.space(view),
        )

    def space(self, view: View) -> Space:
        """The space of the view that it was described for."""
        assert view == self.view
        return self.known

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:
        """Not here."""
        raise NotImplementedError(f"model {self.name!r} is on the workers")

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Any:
        """Not here."""
        raise NotImplementedError(f"model {self.name!r} is on the workers")

    def forward(self, batch: Any) -> Any:
        """Not here."""
        raise NotImplementedError(f"model {self.name!r} is on the workers")

    def finish(self, raw: Any) -> Vectors:
        """Not here."""
        raise NotImplementedError(f"model {self.name!r} is on the workers")


def describe(ray: Any, config: EngineConfig, view: View, pools: Pools) -> DescribedEncoder:
    """Has a worker load the model and tell of it; "auto" is settled there, where the GPUs are.

    Raises:
        What `oneword.engine.models.load` and `Encoder.space` raise.
    """
    task = ray.remote(num_cpus=1, num_gpus=pools.gpus, max_retries=3)(_describe)
    with in_our_words(ray):
        found: DescribedEncoder = ray.get(task.remote(config, view))
    return found


def _describe(config: EngineConfig, view: View) -> DescribedEncoder:
    from oneword.engine.models import load

    return DescribedEncoder.of(load(config), view, config)
