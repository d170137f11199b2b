"""What can go wrong with a whole job. A single bad input is not an error: it is quarantined.

IndexerError
├── SourceNotFound    a path that was asked for does not exist, or nothing in it can be indexed
├── BadSource         what was asked for is there, but is not such a source: no table at all, no such column
├── BadOption         an option has a value that it cannot have
├── NotEmbedded       items of a collection could not be embedded again, so the new one does not replace it
├── BadCluster        a Ray cluster does not exist, or lacks what the job needs
├── TemporarySpace    the folder for temporary files is full or cannot be written
└── WorkersFailed     processes on other machines failed repeatedly
"""

from oneword.errors import Error


class IndexerError(Error):
    """Base of all errors raised by `indexer`."""


class SourceNotFound(IndexerError):
    """A path does not exist."""


class BadSource(IndexerError):
    """A source is not what the options say, or cannot be read here."""


class BadOption(IndexerError):
    """An option of indexing has a value that it cannot have."""


class NotEmbedded(IndexerError):
    """Items of a collection could not be embedded again, so the new one does not take its place."""


class TemporarySpace(IndexerError):
    """A job keeps what it has met in a temporary file, and that cannot be written."""

    def __init__(self, folder: str, reason: Exception) -> None:
        super().__init__(
            f"cannot write temporary files in {folder} ({reason}); free some space there, or set TMPDIR to a folder "
            "with space, and run the same command again: what was committed stays"
        )


class BadCluster(IndexerError):
    """A Ray cluster does not exist, or lacks what the job needs."""


class WorkersFailed(IndexerError):
    """Processes of a Ray cluster failed, and failed again when they were retried."""
