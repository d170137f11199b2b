"""Gets pictures and texts into a collection, in bulk and without losing any.

>>> from indexer import SourceOptions, index_paths
>>> report = index_paths(["photos/", "captions.csv"], db=".oneword", options=SourceOptions(text_column="caption"))
>>> report.indexed, report.unchanged, report.quarantined
(1200, 0, 3)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.captions import Captions
    from indexer.distributed.config import RayConfig
    from indexer.errors import BadCluster, BadSource, IndexerError, NotEmbedded, SourceNotFound, WorkersFailed
    from indexer.job import JobConfig, index_paths
    from indexer.reembedding import Reembedded, reembed
    from indexer.report import Report
    from indexer.retrying import Retried, retry
    from indexer.sources.options import SourceKind, SourceOptions

_HOME = {
    "BadCluster": "indexer.errors",
    "BadSource": "indexer.errors",
    "Captions": "indexer.captions",
    "IndexerError": "indexer.errors",
    "JobConfig": "indexer.job",
    "NotEmbedded": "indexer.errors",
    "Reembedded": "indexer.reembedding",
    "RayConfig": "indexer.distributed.config",
    "Report": "indexer.report",
    "Retried": "indexer.retrying",
    "SourceKind": "indexer.sources.options",
    "SourceNotFound": "indexer.errors",
    "SourceOptions": "indexer.sources.options",
    "WorkersFailed": "indexer.errors",
    "index_paths": "indexer.job",
    "reembed": "indexer.reembedding",
    "retry": "indexer.retrying",
}

__all__ = [
    "BadCluster",
    "BadSource",
    "Captions",
    "IndexerError",
    "JobConfig",
    "NotEmbedded",
    "RayConfig",
    "Reembedded",
    "Report",
    "Retried",
    "SourceKind",
    "SourceNotFound",
    "SourceOptions",
    "WorkersFailed",
    "index_paths",
    "reembed",
    "retry",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
