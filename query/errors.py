"""What can go wrong with a question, or with serving.

QueryError
├── BadQuery        it asks for nothing, contradicts itself, or a part of it is out of range
├── KeyFileError    the file of API keys cannot be used as it is
├── CannotListen    the service's address cannot be had, or its certificate
└── Exposed         the service would be open to anyone on the network
"""

from oneword.errors import Error


class QueryError(Error):
    """Base of all errors raised by `query`."""


class BadQuery(QueryError):
    """A question that cannot be answered as it is."""


class KeyFileError(QueryError):
    """A file of API keys that is missing, malformed, or has not the key that is asked for."""


class CannotListen(QueryError):
    """An address that cannot be listened on, or a certificate that is not there."""


class Exposed(QueryError):
    """A service without keys that would listen beyond this machine."""
