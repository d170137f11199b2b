"""What can go wrong with a whole job. A single bad input is no error: it is quarantined.

IndexerError
├── SourceNotFound    a path that was asked for does not exist, or nothing in it can be indexed
├── BadSource         what was asked for is there, but is no such source: no table at all, no such column
└── NothingEmbedded   not one item of a collection could be embedded again
"""


class IndexerError(Exception):
    """Base of all errors raised by `indexer`."""


class SourceNotFound(IndexerError):
    """A path does not exist."""


class BadSource(IndexerError):
    """A source is not what it was said to be, or cannot be read here."""


class NothingEmbedded(IndexerError):
    """Not one item of a collection could be embedded again, so the new one does not take its place."""
