"""Gets pictures and texts into a collection, in bulk and without losing any.

>>> from oneword.indexer import SourceOptions, index_paths
>>> report = index_paths(["photos/", "captions.csv"], db=".oneword", options=SourceOptions(text_column="caption"))
>>> report.indexed, report.unchanged, report.quarantined
(1200, 0, 3)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.indexer.distributed.config import RayConfig
    from oneword.indexer.distributed.runner import RayRunner
    from oneword.indexer.errors import (
        BadCluster,
        BadOption,
        BadSource,
        IndexerError,
        NotEmbedded,
        SourceNotFound,
        WorkersFailed,
    )
    from oneword.indexer.index import index_paths
    from oneword.indexer.options import Captions, JobConfig, SourceKind, SourceOptions
    from oneword.indexer.reembedding import Reembedded, reembed
    from oneword.indexer.report import Report
    from oneword.indexer.retrying import Retried, retry

_HOME = {
    "BadCluster": "oneword.indexer.errors",
    "BadOption": "oneword.indexer.errors",
    "BadSource": "oneword.indexer.errors",
    "Captions": "oneword.indexer.options",
    "IndexerError": "oneword.indexer.errors",
    "JobConfig": "oneword.indexer.options",
    "NotEmbedded": "oneword.indexer.errors",
    "Reembedded": "oneword.indexer.reembedding",
    "RayConfig": "oneword.indexer.distributed.config",
    "RayRunner": "oneword.indexer.distributed.runner",
    "Report": "oneword.indexer.report",
    "Retried": "oneword.indexer.retrying",
    "SourceKind": "oneword.indexer.options",
    "SourceNotFound": "oneword.indexer.errors",
    "SourceOptions": "oneword.indexer.options",
    "WorkersFailed": "oneword.indexer.errors",
    "index_paths": "oneword.indexer.index",
    "reembed": "oneword.indexer.reembedding",
    "retry": "oneword.indexer.retrying",
}

__all__ = [
    "BadCluster",
    "BadOption",
    "BadSource",
    "Captions",
    "IndexerError",
    "JobConfig",
    "NotEmbedded",
    "RayConfig",
    "RayRunner",
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
