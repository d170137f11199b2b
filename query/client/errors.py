"""What can go wrong between a client and a server.

    QueryError
    └── ClientError             any of these, and a server's own faults (500)
        ├── ServerUnreachable   no connection, a lost one, or no answer in time
        ├── BadAnswer           an answer, but none of the service's: of a proxy, or of something else at that address
        ├── Refused             401, 403: the key is missing, unknown, or may not do this
        ├── NotThere            404, 410: a collection, item, job, version or cursor that is not there, or not any more
        ├── Rejected            400, 405, 409, 413, 415, 422, 501: the request cannot be done as it is
        └── Busy                429, 503, 504, after the last try: later, it may go through

The message is what the server says is wrong, and what to do about it.
"""

from oneword.query.errors import QueryError


class ClientError(QueryError):
    """Base of all errors raised by `oneword.query.client`.

    Args:
        detail: what is wrong: the thing, its value, what was expected.
        status: HTTP code; None if there was no answer.
        code: for programs, of a fixed set ("collection_not_found"); None if the answer has none.
        field: path of the request's field that is wrong ("parts[1].image").
        remedy: what to do next.
        request_id: under which the server's logs have the request.
        retry_after: seconds that the server asked to be left alone.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        field: str | None = None,
        remedy: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.detail, self.status, self.code, self.field = detail, status, code, field
        self.remedy, self.request_id, self.retry_after = remedy, request_id, retry_after
        super().__init__(detail if remedy is None else f"{detail.rstrip('.')}. {remedy}")


class ServerUnreachable(ClientError):
    """Nothing answers at that address, or not in time, or the connection was lost."""


class BadAnswer(ClientError):
    """What answers there is no Oneword service, or something between garbles it."""


class Refused(ClientError):
    """No key, an unknown one, or one without the scope that is needed."""


class NotThere(ClientError):
    """What is asked for is not there, or not any more."""


class Rejected(ClientError):
    """The request cannot be done as it is: change it."""


class Busy(ClientError):
    """The service is too busy, not ready yet, or took too long; so it was after the last try."""
