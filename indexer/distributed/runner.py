"""Runs jobs on a Ray cluster. The driver may have no GPU and needs no weights: a worker describes the model to it."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder, Limited
from oneword.engine.space import Space
from oneword.engine.views import View
from oneword.indexer.distributed.cluster import Cluster
from oneword.indexer.distributed.config import RayConfig
from oneword.indexer.distributed.driver import run_ray
from oneword.indexer.distributed.faults import own_errors
from oneword.indexer.errors import BadCluster
from oneword.indexer.job import Job
from oneword.indexer.options import JobConfig


@dataclass(kw_only=True)
class DescribedEncoder:
    """An `Encoder` whose model is on the workers: described here, it cannot encode."""

    config: EngineConfig
    """What the workers load it by."""
    name: str
    dimension: int
    chunk_tokens: int
    text_tokens: int | None
    tokenizer: str | None
    view: View
    known: Space

    @classmethod
    def of(cls, encoder: Encoder, view: View, config: EngineConfig) -> "DescribedEncoder":
        """Of a loaded one; raises ViewError."""
        return cls(
            config=replace(config, model=encoder.name),
            name=encoder.name,
            dimension=encoder.dimension,
            chunk_tokens=encoder.chunk_tokens,
            text_tokens=encoder.text_tokens if isinstance(encoder, Limited) else None,
            tokenizer=encoder.tokenizer,
            view=view,
            known=encoder.space(view),
        )

    def space(self, view: View) -> Space:
        """The space of the view that it was described for."""
        assert view == self.view
        return self.known

    def _encode(self, *_: Any, **__: Any) -> Any:
        """Not here."""
        raise NotImplementedError(f"model {self.name!r} is on the workers")

    plan = prepare = forward = finish = _encode


class RayRunner:
    """A cluster as a `oneword.indexer.job.Runner`. It is joined when the first job needs its model."""

    def __init__(self, config: RayConfig = RayConfig()) -> None:  # noqa: B008 - it is frozen
        self._config = config

    @cached_property
    def _cluster(self) -> Cluster:
        """Raises BadCluster."""
        return Cluster(self._config)

    def check(self, config: JobConfig) -> None:
        """Raises BadCluster: the job has roots, which workers do not check."""
        if config.roots:
            raise BadCluster("roots are given, which workers of a cluster do not know; leave them out, or index here")

    def encoder(self, config: EngineConfig, view: View) -> Encoder:
        """The model, as a worker describes it; "auto" is resolved there, where the GPUs are.

        Raises:
            BadCluster, and what `oneword.engine.models.load` and `Encoder.space` raise.
        """
        ray, gpus = self._cluster.ray, self._cluster.pools().gpus
        with own_errors(ray):
            found: DescribedEncoder = ray.get(
                ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(_describe).remote(config, view)
            )
        return found

    def run(self, job: Job) -> None:
        """Every entry of the job, until the end or until it is asked to stop."""
        if not isinstance(job.encoder, DescribedEncoder):
            raise BadCluster("an encoder is given as an object, which workers cannot load; give its model's name")
        run_ray(job, self._cluster, job.encoder.config)


def _describe(config: EngineConfig, view: View) -> DescribedEncoder:
    from oneword.engine.models import load

    return DescribedEncoder.of(load(config), view, config)
