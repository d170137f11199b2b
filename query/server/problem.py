"""Errors as clients see them: RFC 9457 problem documents, and one table from exceptions to HTTP codes."""

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
    """What is told to a client whose request fails.

    Args:
        status: HTTP code.
        code: for programs; one of a fixed set.
        detail: for people: the thing, its value, what was expected.
        remedy: what to do next.
        field: path of the field that is wrong (`parts[1].image`).
        retry_after: seconds, for the header of that name.
        headers: further headers of the answer.
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

    def __reduce__(self) -> tuple[Any, ...]:  # so that it can come from another process
        return Problem, (self.status, self.code, self.detail), vars(self)

    @classmethod
    def of(cls, error: Exception, *, field: str | None = None) -> "Problem":
        """An exception of ours as a problem; any other is a fault of ours, of which nothing is told."""
        if isinstance(error, Problem):
            if field is not None and error.field is None:
                error.field = field
            return error
        known = next((told for kind, told in _TABLE.items() if isinstance(error, kind)), None)
        if known is None:
            return cls(500, "internal", "the request failed here, by no fault of yours", remedy=_REPORT)
        status, code, remedy = known
        detail = _CONCEALED[code] if code in _CONCEALED else str(error)
        if isinstance(error, storage.Locked | storage.CollectionNotFound):
            detail = f"collection {error.name!r} {detail}"
        if isinstance(error, storage.FilterError):
            field = field or "filter"
        retry_after = 1.0 if status == 503 else None
        return cls(status, code, detail, remedy=remedy, field=field, retry_after=retry_after)

    def as_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The document: type, title, status, detail, code, and field, remedy and request_id where there are such."""
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
        """The same in OpenAI's form: {"error": {"message", "type", "param", "code"}}."""
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        message = self.detail if self.remedy is None else f"{self.detail}. {self.remedy}"
        return {"error": {"message": message, "type": kind, "param": self.field, "code": self.code}}

    def response(self, request_id: str | None = None, *, openai: bool = False) -> Response:
        """The answer. openai: in that form."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after)))
        document = self.as_openai() if openai else self.as_dict(request_id)
        media_type = "application/json" if openai else MEDIA_TYPE
        return Response(dumped(document), self.status, headers, media_type)


_REPORT = "Try again; if it happens again, tell the operator the request id."
_LATER = "Try again after the time that Retry-After says."
_FILTERS = "Fields and their kinds are in GET /v1/collections/NAME."

# The first kind that fits counts: special ones stand before the general.
_TABLE: dict[type[Exception], tuple[int, str, str]] = {
    BadQuery: (422, "bad_query", "Change the query; its fields are in /openapi.json."),
    engine.UrlRefused: (422, "url_refused", "Give a public http or https URL, or send the picture itself."),
    engine.FetchTooLarge: (422, "fetch_too_large", "Send a smaller picture."),
    engine.FetchFailed: (422, "fetch_failed", "Check the URL, or send the picture itself."),
    engine.ImageTooLarge: (422, "image_too_large", "Send a smaller picture."),
    engine.ImageError: (
        422,
        "bad_image",
        "Send a JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF picture (HEIC where the service has its extra).",
    ),
    engine.BlankText: (422, "blank_text", "Send a text with at least one visible character."),
    engine.InputError: (422, "bad_input", "Change the input."),
    engine.EncodingError: (422, "not_embedded", "The model has no vector for this input: leave it out."),
    engine.ViewError: (422, "bad_view", "Leave the view out, or name one that the collection's model can follow."),
    engine.NoWords: (422, "no_words", "Leave `explain` out: this model has no words."),
    engine.DeviceOutOfMemory: (503, "out_of_memory", _LATER),
    engine.RemoteUnavailable: (503, "model_unavailable", _LATER),
    engine.ModelError: (503, "model_unavailable", "Tell the operator: the model of this collection cannot be run."),
    storage.BadName: (422, "bad_name", "Use 1 to 63 of a-z, 0-9, '-' and '_'."),
    storage.CollectionNotFound: (404, "collection_not_found", "GET /v1/collections lists those there are."),
    storage.CollectionExists: (409, "collection_exists", "Use it, or choose another name."),
    storage.VersionNotFound: (410, "version_gone", "Leave `version` out, and begin at the first page."),
    storage.SpaceMismatch: (409, "space_mismatch", "Use the model and the view that the collection was made with."),
    storage.ItemNotFound: (404, "item_not_found", "Check the id."),
    storage.BadJob: (422, "bad_job", "Change the job; its fields are in /openapi.json."),
    storage.JobNotFound: (404, "job_not_found", "GET /v1/jobs lists those there are."),
    storage.BadItem: (422, "bad_item", "Change the item; kinds of metadata are in GET /v1/collections/NAME."),
    storage.BadSearch: (422, "bad_search", "Change the search; its fields are in /openapi.json."),
    storage.FilterError: (422, "bad_filter", _FILTERS),
    storage.Locked: (503, "collection_busy", _LATER),
    storage.MissingKeywords: (409, "no_keyword_index", "Search the newest version, or let the operator build it."),
    storage.MissingFaiss: (501, "no_faiss", 'The operator installs it: pip install "oneword[faiss]".'),
    storage.DamagedCollection: (503, "collection_damaged", "The service's operator can go back to a sound version."),
    storage.StoreUnavailable: (503, "store_unavailable", _LATER),
    storage.StorageError: (500, "store_fault", _REPORT),
    QueryError: (422, "bad_query", "Change the query; its fields are in /openapi.json."),
}

# Messages of which the details (paths, process ids, command lines, keys of other machines) are the operator's.
_CONCEALED = {
    "collection_not_found": "does not exist",
    "collection_busy": "is being written by another process",
    "store_fault": "the store cannot do what the request takes",
    "collection_damaged": "the collection is damaged",
    "store_unavailable": "the store cannot be read or written at the moment",
    "model_unavailable": "the collection's model cannot be used at the moment",
    "collection_exists": "a collection of that name exists already",
    "job_not_found": "there is no such job",
}
