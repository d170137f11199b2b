"""RFC 9457 problem documents, and the table that maps exceptions to them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

import oneword.engine.errors as engine
import oneword.storage.errors as storage
from oneword.query.errors import BadQuery, QueryError
from oneword.query.server.response import dumped

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An error response.

    Args:
        status: HTTP code.
        code: for programs; one of a fixed set.
        detail: for people: what is wrong, its value, what was expected.
        remedy: what to do.
        field: path of the invalid field (`parts[1].image`).
        retry_after: seconds, for the header Retry-After.
        headers: further headers of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        remedy: str | None = None,
        field: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.remedy, self.field, self.retry_after = remedy, field, retry_after
        self.headers = dict(headers or {})

    def __reduce__(self) -> tuple[Any, ...]:  # picklable, as worker processes return problems
        return Problem, (self.status, self.code, self.detail), vars(self)

    @classmethod
    def of(cls, error: Exception, *, field: str | None = None) -> "Problem":
        """Maps a known exception to a problem; anything else becomes an opaque 500."""
        if isinstance(error, Problem):
            if field is not None and error.field is None:
                error.field = field
            return error
        known = next((row for kind, row in _TABLE.items() if isinstance(error, kind)), None)
        if known is None:
            return cls(500, "internal", "internal server error", remedy=_REPORT)
        status, code, remedy = known
        detail = _CONCEALED[code] if code in _CONCEALED else str(error)
        if isinstance(error, storage.Locked | storage.CollectionNotFound):
            detail = f"collection {error.name!r} {detail}"
        if isinstance(error, storage.FilterError):
            field = field or "filter"
        retry_after = 1.0 if status == 503 else None
        return cls(status, code, detail, remedy=remedy, field=field, retry_after=retry_after)

    def as_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem document; field, remedy and request_id are left out if they are None."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        optional = {"field": self.field, "remedy": self.remedy, "request_id": request_id}
        return document | {name: value for name, value in optional.items() if value is not None}

    def as_openai(self) -> dict[str, Any]:
        """OpenAI's form: {"error": {"message", "type", "param", "code"}}."""
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        message = self.detail if self.remedy is None else f"{self.detail}. {self.remedy}"
        return {"error": {"message": message, "type": kind, "param": self.field, "code": self.code}}

    def response(self, request_id: str | None = None, *, openai: bool = False) -> Response:
        """The HTTP response. openai: in OpenAI's form."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after)))
        document = self.as_openai() if openai else self.as_dict(request_id)
        media_type = "application/json" if openai else MEDIA_TYPE
        return Response(dumped(document), self.status, headers, media_type)


_REPORT = "Retry. If it keeps failing, give the operator the request id."
_LATER = "Retry after the time in Retry-After."
_FILTERS = "GET /v1/collections/NAME lists the fields and their types."

# The first match counts, so subclasses come before their bases.
_TABLE: dict[type[Exception], tuple[int, str, str]] = {
    BadQuery: (422, "bad_query", "Correct the query; /openapi.json lists its fields."),
    engine.UrlRefused: (422, "url_refused", "Give a public http or https URL, or send the image itself."),
    engine.FetchTooLarge: (422, "fetch_too_large", "Send a smaller image."),
    engine.FetchFailed: (422, "fetch_failed", "Check the URL, or send the image itself."),
    engine.ImageTooLarge: (422, "image_too_large", "Send a smaller image."),
    engine.ImageError: (
        422,
        "bad_image",
        "Send a JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF image (HEIC if the service has the extra).",
    ),
    engine.BlankText: (422, "blank_text", "Send a text with at least one visible character."),
    engine.InputError: (422, "bad_input", "Correct the input."),
    engine.EncodingError: (422, "not_embedded", "The model cannot embed this input: leave it out."),
    engine.ViewError: (422, "bad_view", "Leave the view out, or name one that the collection's model can follow."),
    engine.NoWords: (422, "no_words", "Leave `explain` out: this model cannot explain."),
    engine.DeviceOutOfMemory: (503, "out_of_memory", _LATER),
    engine.RemoteUnavailable: (503, "model_unavailable", _LATER),
    engine.ModelError: (503, "model_unavailable", "Contact the operator: the collection's model cannot be run."),
    storage.BadName: (422, "bad_name", "Use 1 to 63 of a-z, 0-9, '-' and '_'."),
    storage.CollectionNotFound: (404, "collection_not_found", "GET /v1/collections lists all collections."),
    storage.CollectionExists: (409, "collection_exists", "Use it, or choose another name."),
    storage.VersionNotFound: (410, "version_gone", "Leave `version` out, and start at the first page."),
    storage.SpaceMismatch: (409, "space_mismatch", "Use the model and the view of the collection."),
    storage.ItemNotFound: (404, "item_not_found", "Check the id."),
    storage.BadJob: (422, "bad_job", "Correct the job; /openapi.json lists its fields."),
    storage.JobNotFound: (404, "job_not_found", "GET /v1/jobs lists all jobs."),
    storage.BadItem: (422, "bad_item", "Correct the item; GET /v1/collections/NAME lists the types of metadata."),
    storage.BadSearch: (422, "bad_search", "Correct the search; /openapi.json lists its fields."),
    storage.FilterError: (422, "bad_filter", _FILTERS),
    storage.Locked: (503, "collection_busy", _LATER),
    storage.MissingKeywords: (
        409,
        "no_keyword_index",
        "Search the newest version, or ask the operator to build the index.",
    ),
    storage.MissingFaiss: (501, "no_faiss", 'The operator can install it: pip install "oneword[faiss]".'),
    storage.DamagedCollection: (503, "collection_damaged", "The operator can restore an older version."),
    storage.StoreUnavailable: (503, "store_unavailable", _LATER),
    storage.StorageError: (500, "store_fault", _REPORT),
    QueryError: (422, "bad_query", "Correct the query; /openapi.json lists its fields."),
}

# Errors whose own messages (paths, process ids, command lines) are for the operator only.
_CONCEALED = {
    "collection_not_found": "does not exist",
    "collection_busy": "is being written by another process",
    "store_fault": "the store failed",
    "collection_damaged": "the collection is damaged",
    "store_unavailable": "the store is unavailable",
    "model_unavailable": "the collection's model is unavailable",
    "collection_exists": "a collection with this name exists",
    "job_not_found": "there is no such job",
}
