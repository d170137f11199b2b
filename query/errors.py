"""Errors of queries and of the service.

QueryError
├── BadQuery        it is empty, contradicts itself, or a part of it is out of range
├── KeyFileError    the file of API keys is missing or malformed
├── CannotListen    the service's address is taken, or its certificate is missing
└── Exposed         the service would be open to anyone on the network
"""

from oneword.errors import Error


class QueryError(Error):
    """Base of all errors raised by `query`."""


class BadQuery(QueryError):
    """A query that is invalid."""


class KeyFileError(QueryError):
    """A file of API keys that is missing, malformed, or has not the key that is asked for."""


class CannotListen(QueryError):
    """An address that cannot be listened on, or a certificate that is not there."""


class Exposed(QueryError):
    """A service without keys that would listen beyond this machine."""
