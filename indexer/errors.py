"""What can go wrong with a whole job. A single bad input is no error: it is quarantined.

IndexerError
├── SourceNotFound    a path that was asked for does not exist, or nothing in it can be indexed
└── NothingEmbedded   not one item of a collection could be embedded again
"""


class IndexerError(Exception):
    """Base of all errors raised by `indexer`."""


class SourceNotFound(IndexerError):
    """A path does not exist."""


class NothingEmbedded(IndexerError):
    """Not one item of a collection could be embedded again, so the new one does not take its place."""
