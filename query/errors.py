"""What can go wrong with a question.

QueryError
└── BadQuery    it asks for nothing, contradicts itself, or a part of it is out of range
"""


class QueryError(Exception):
    """Base of all errors raised by `query`."""


class BadQuery(QueryError):
    """A question that cannot be answered as it is."""
