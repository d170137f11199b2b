"""Gets pictures and texts into a collection, in bulk and without losing any.

>>> from indexer import index_paths
>>> report = index_paths(["photos/"], db=".oneword")
>>> report.indexed, report.unchanged, report.quarantined
(1200, 0, 3)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.errors import IndexerError, NothingEmbedded, SourceNotFound
    from indexer.job import index_paths
    from indexer.reembedding import Reembedded, reembed
    from indexer.report import Report

_HOME = {
    "IndexerError": "indexer.errors",
    "NothingEmbedded": "indexer.errors",
    "Reembedded": "indexer.reembedding",
    "Report": "indexer.report",
    "SourceNotFound": "indexer.errors",
    "index_paths": "indexer.job",
    "reembed": "indexer.reembedding",
}

__all__ = ["IndexerError", "NothingEmbedded", "Reembedded", "Report", "SourceNotFound", "index_paths", "reembed"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
