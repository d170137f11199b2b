"""Gets pictures and texts into a collection, in bulk and without losing any.

>>> from oneword.indexer import SourceOptions, index_paths
>>> report = index_paths(["photos/", "captions.csv"], db=".oneword", options=SourceOptions(text_column="caption"))
>>> report.indexed, report.unchanged, report.quarantined
(1200, 0, 3)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.indexer.captions import Captions
    from oneword.indexer.distributed.config import RayConfig
    from oneword.indexer.errors import BadCluster, BadSource, IndexerError, NotEmbedded, SourceNotFound, WorkersFailed
    from oneword.indexer.job import JobConfig, index_paths
    from oneword.indexer.reembedding import Reembedded, reembed
    from oneword.indexer.report import Report
    from oneword.indexer.retrying import Retried, retry
    from oneword.indexer.sources.options import SourceKind, SourceOptions

_HOME = {
    "BadCluster": "oneword.indexer.errors",
    "BadSource": "oneword.indexer.errors",
    "Captions": "oneword.indexer.captions",
    "IndexerError": "oneword.indexer.errors",
    "JobConfig": "oneword.indexer.job",
    "NotEmbedded": "oneword.indexer.errors",
    "Reembedded": "oneword.indexer.reembedding",
    "RayConfig": "oneword.indexer.distributed.config",
    "Report": "oneword.indexer.report",
    "Retried": "oneword.indexer.retrying",
    "SourceKind": "oneword.indexer.sources.options",
    "SourceNotFound": "oneword.indexer.errors",
    "SourceOptions": "oneword.indexer.sources.options",
    "WorkersFailed": "oneword.indexer.errors",
    "index_paths": "oneword.indexer.job",
    "reembed": "oneword.indexer.reembedding",
    "retry": "oneword.indexer.retrying",
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
    raise AttributeError(f"module 'oneword.indexer' has no attribute {name!r}")
