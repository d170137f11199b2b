"""What can go wrong with a question, or with serving.

QueryError
├── BadQuery        it asks for nothing, contradicts itself, or a part of it is out of range
│   └── BadJob      a job that may not be, or cannot
├── KeyFileError    the file of API keys cannot be used as it is
├── CannotListen    the service's address cannot be had, or its certificate
├── Exposed         the service would be open to anyone on the network
├── TooManyJobs     as many jobs run as may, or one of the same collection
└── NotCancellable  a job that this service cannot end
"""


class QueryError(Exception):
    """Base of all errors raised by `query`."""


class BadQuery(QueryError):
    """A question that cannot be answered as it is."""


class BadJob(BadQuery):
    """An indexing job that a service may not run, or cannot."""


class KeyFileError(QueryError):
    """A file of API keys that is missing, malformed, or has not the key that is asked for."""


class CannotListen(QueryError):
    """An address that cannot be listened on, or a certificate that is not there."""


class Exposed(QueryError):
    """A service without keys that would listen beyond this machine."""


class TooManyJobs(QueryError):
    """No job more can be started now.

    Attributes:
        collection: whose job is in the way; None: it is their number.
    """

    def __init__(self, message: str, collection: str | None = None) -> None:
        super().__init__(message)
        self.collection = collection


class NotCancellable(QueryError):
    """A job that runs on another host, or was not started by a service, or cannot be told from another process."""
