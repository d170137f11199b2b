"""RFC 9457 problem documents: every code with its status, and the codes of exceptions."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

import oneword.engine.errors as engine
import oneword.storage.errors as storage
from oneword.query.errors import BadQuery, QueryError
from oneword.query.server.response import dumped

MEDIA_TYPE = "application/problem+json"

_LATER = "Retry after the time in Retry-After."
_FIELDS = "Correct the field; /openapi.json lists all fields."
_REPORT = "Retry. If it keeps failing, give the operator the request id."
_RESTART = "Start again without a cursor."
_PATHS = "/openapi.json lists all paths and methods."

CODES: dict[str, tuple[int, str | None]] = {
    "malformed": (400, None),
    "malformed_json": (400, "Send JSON, at least {}."),
    "malformed_body": (400, "Send multipart/form-data as in RFC 7578."),
    "invalid_request": (400, "Correct the field."),
    "http_error": (400, None),
    "key_missing": (401, "Send the header `Authorization: Bearer KEY`; the operator creates keys."),
    "key_unknown": (401, "Check the key: `Authorization: Bearer KEY`."),
    "scope_missing": (403, "Use a key with the scope."),
    "wrong_origin": (403, "The operator can allow it."),
    "jobs_off": (403, "The operator starts it with `oneword serve --job-root DIR`."),
    "collection_not_found": (404, "GET /v1/collections lists all collections."),
    "item_not_found": (404, "Check the id."),
    "job_not_found": (404, "GET /v1/jobs lists all jobs."),
    "model_not_found": (404, "GET /v1/models lists the models."),
    "no_such_path": (404, _PATHS),
    "no_original": (404, "Request its thumbnail."),
    "original_gone": (404, "Index it again."),
    "no_thumbnail": (404, "Only images have thumbnails."),
    "no_tokenizer": (404, None),
    "method_not_allowed": (405, _PATHS),
    "body_too_slow": (408, "Send less at once."),
    "head_too_slow": (408, None),
    "collection_exists": (409, "Use it, or choose another name."),
    "space_mismatch": (409, "Use the model and the view of the collection."),
    "no_index": (409, "POST /v1/collections/NAME/build builds one."),
    "no_keyword_index": (409, "Search the newest version, or ask the operator to build the index."),
    "job_running": (409, "GET /v1/jobs lists the jobs."),
    "not_cancellable": (409, None),
    "version_gone": (410, "Leave `version` out, and start at the first page."),
    "cursor_gone": (410, _RESTART),
    "body_too_large": (413, "Send less at once."),
    "media_type": (415, "Set the header Content-Type."),
    "body_encoded": (415, "Send the body as it is."),
    "wrong_host": (421, "Use http://localhost and the port; the operator can allow other names."),
    "invalid_field": (422, _FIELDS),
    "unknown_field": (422, _FIELDS),
    "bad_query": (422, "Correct the query; /openapi.json lists its fields."),
    "bad_search": (422, "Correct the search; /openapi.json lists its fields."),
    "bad_filter": (422, "GET /v1/collections/NAME lists the fields and their types."),
    "bad_view": (422, "Leave the view out, or name one that the collection's model can follow."),
    "bad_model": (422, "Name a model that is served here."),
    "bad_name": (422, "Use 1 to 63 of a-z, 0-9, '-' and '_'."),
    "bad_cursor": (422, _RESTART),
    "bad_item": (422, "Correct the item; GET /v1/collections/NAME lists the types of metadata."),
    "bad_job": (422, "Correct the job; /openapi.json lists its fields."),
    "bad_vector": (422, "Embed the item in the collection's space."),
    "bad_input": (422, "Correct the input."),
    "blank_text": (422, "Send a text with at least one visible character."),
    "bad_image": (422, "Send a JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF image (HEIC if the service has the extra)."),
    "image_too_large": (422, "Send a smaller image."),
    "no_upload": (422, "Send the file as a field of that name, as multipart/form-data."),
    "unused_upload": (422, "Refer to it as upload:NAME, or leave it out."),
    "fetching_off": (422, "Send its bytes."),
    "answer_too_large": (
        422,
        "Request fewer items or queries at once, or no vectors and thumbnails (a thumbnail is at GET "
        "/v1/collections/NAME/items/ID/thumbnail).",
    ),
    "url_refused": (422, "Give a public http or https URL, or send the image itself."),
    "fetch_failed": (422, "Check the URL, or send the image itself."),
    "fetch_too_large": (422, "Send a smaller image."),
    "no_words": (422, "Leave `explain` out: this model cannot explain."),
    "not_embedded": (422, "The model cannot embed this input: leave it out."),
    "too_many_requests": (429, _LATER),
    "too_many_wrong_keys": (429, "Ask the operator for a key."),
    "head_too_large": (431, None),
    "internal": (500, _REPORT),
    "store_fault": (500, _REPORT),
    "no_faiss": (501, 'The operator can install it: pip install "oneword[faiss]".'),
    "overloaded": (503, _LATER),
    "busy": (503, "Retry later, or request less at once."),
    "too_many_connections": (503, None),
    "collection_busy": (503, _LATER),
    "too_many_jobs": (503, _LATER),
    "not_ready": (503, "Retry in a moment."),
    "model_unavailable": (503, "Retry after the time in Retry-After; if it keeps failing, contact the operator."),
    "store_unavailable": (503, _LATER),
    "collection_damaged": (503, "The operator can restore an older version."),
    "out_of_memory": (503, _LATER),
    "deadline": (504, "Request less at once. A write may have been committed."),
}
"""The status of each code, and what to do. docs/rest.md lists them."""

# The first match counts, so subclasses come before their bases.
_OF_EXCEPTIONS: dict[type[Exception], str] = {
    BadQuery: "bad_query",
    engine.UrlRefused: "url_refused",
    engine.FetchTooLarge: "fetch_too_large",
    engine.FetchFailed: "fetch_failed",
    engine.ImageTooLarge: "image_too_large",
    engine.ImageError: "bad_image",
    engine.BlankText: "blank_text",
    engine.InputError: "bad_input",
    engine.EncodingError: "not_embedded",
    engine.ViewError: "bad_view",
    engine.NoWords: "no_words",
    engine.DeviceOutOfMemory: "out_of_memory",
    engine.ModelError: "model_unavailable",
    storage.BadName: "bad_name",
    storage.CollectionNotFound: "collection_not_found",
    storage.CollectionExists: "collection_exists",
    storage.VersionNotFound: "version_gone",
    storage.SpaceMismatch: "space_mismatch",
    storage.ItemNotFound: "item_not_found",
    storage.BadJob: "bad_job",
    storage.JobNotFound: "job_not_found",
    storage.TooManyJobs: "too_many_jobs",
    storage.NotCancellable: "not_cancellable",
    storage.BadItem: "bad_item",
    storage.BadSearch: "bad_search",
    storage.FilterError: "bad_filter",
    storage.Locked: "collection_busy",
    storage.MissingKeywords: "no_keyword_index",
    storage.MissingFaiss: "no_faiss",
    storage.DamagedCollection: "collection_damaged",
    storage.StoreUnavailable: "store_unavailable",
    storage.StorageError: "store_fault",
    QueryError: "bad_query",
}

# Instead of an exception's own message: it has paths, process ids or command lines, which are for the operator only.
_CONCEALED = {
    "collection_not_found": "does not exist",
    "collection_busy": "is being written by another process",
    "store_fault": "the store failed",
    "collection_damaged": "the collection is damaged",
    "store_unavailable": "the store is unavailable",
    "model_unavailable": "the collection's model is unavailable",
    "collection_exists": "a collection with this name exists",
    "job_not_found": "there is no such job",
    "internal": "internal server error",
}


class Problem(Exception):
    """An error response.

    Args:
        code: for programs; one of `CODES`, which has the status.
        detail: for people: what is wrong, its value, what was expected.
        field: path of the invalid field (`parts[1].image`).
        remedy: what to do, instead of the code's own.
        retry_after: seconds, for the header Retry-After; with status 503 by default 1.
        headers: further headers of the response.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.field, self.headers = code, detail, field, dict(headers or {})
        self.status, usual = CODES[code]
        self.remedy = remedy or usual
        self.retry_after = 1.0 if retry_after is None and self.status == 503 else retry_after

    def __reduce__(self) -> tuple[Any, ...]:  # picklable, as worker processes return problems
        return Problem, (self.code, self.detail), vars(self)

    @classmethod
    def of(cls, error: Exception, *, field: str | None = None) -> "Problem":
        """Maps a known exception to a problem; anything else becomes an opaque 500."""
        if isinstance(error, Problem):
            error.field = error.field or field
            return error
        code = next((code for kind, code in _OF_EXCEPTIONS.items() if isinstance(error, kind)), "internal")
        detail = _CONCEALED.get(code, str(error))
        if isinstance(error, storage.Locked | storage.CollectionNotFound):
            detail = f"collection {error.name!r} {detail}"
        if isinstance(error, storage.FilterError):
            field = field or "filter"
        if isinstance(error, storage.TooManyJobs) and error.collection is not None:
            code, field = "job_running", "collection"
        return cls(code, detail, field=field, retry_after=10.0 if code == "too_many_jobs" else None)

    def as_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem document; field, remedy and request_id are left out if they are None."""
        document = {
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
