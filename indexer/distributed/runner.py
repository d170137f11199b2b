"""Runs jobs on a Ray cluster."""

from functools import cached_property

from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.views import View
from oneword.indexer.distributed.cluster import Cluster
from oneword.indexer.distributed.config import RayConfig
from oneword.indexer.distributed.description import DescribedEncoder, describe
from oneword.indexer.distributed.driver import run_ray
from oneword.indexer.errors import BadCluster
from oneword.indexer.job import Job
from oneword.indexer.options import JobConfig


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
        """The model, as a worker describes it. Raises BadCluster and what loading raises."""
        return describe(self._cluster.ray, config, view, self._cluster.pools())

    def run(self, job: Job) -> None:
        """Every entry of the job, until the end or until it is asked to stop."""
        if not isinstance(job.encoder, DescribedEncoder):
            raise BadCluster("an encoder is given as an object, which workers cannot load; give its model's name")
        run_ray(job, self._cluster)
