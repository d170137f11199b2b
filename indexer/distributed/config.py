"""How a job is spread over a Ray cluster."""

from dataclasses import dataclass

from oneword.indexer.errors import BadCluster
from oneword.indexer.options import option


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Which cluster, and how much of it.

    Args:
        workers: None: as many as the cluster's GPUs, or a third of its CPUs if it has no GPU.
        gpus_per_worker: None: 1 if the cluster has GPUs, else 0.
        loaders: most processes that decode, on all workers together; None: as many as CPUs are left.
        timeout: seconds without any result, after a node was lost, until the job continues on the nodes that are left.

    Raises:
        BadCluster: a value that cannot be.
    """

    address: str = option(
        "auto",
        "Of the cluster; auto: the one that this machine is in; local: one made for this process.",
        metavar="auto|local|HOST:PORT",
    )
    workers: int | None = option(None, "Processes that hold the model; default: one per GPU.", min=1)
    gpus_per_worker: float | None = option(None, "GPUs per worker: 0, a fraction, or an integer.", min=0)
    loaders: int | None = None
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if self.address.startswith("ray://"):
            raise BadCluster(
                f"address {self.address!r}: a Ray Client cannot hold the collection's lock; run the command on a node "
                "of the cluster with --address auto, or with `ray job submit`"
            )
        for name in ("workers", "loaders"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise BadCluster(f"{name} {count}: expected at least 1")
        gpus = self.gpus_per_worker
        if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
            raise BadCluster(f"{gpus} GPUs per worker: expected 0, a fraction of one, or a whole number")
