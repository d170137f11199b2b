"""Response schemas, each with its example, and what routes share of /openapi.json; more schemas are in `storage`."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from oneword.query.server.auth import needs
from oneword.query.server.keys import Scope
from oneword.query.server.load import NO_DEADLINE
from oneword.query.server.problem import MEDIA_TYPE
from oneword.storage import CollectionSummary, Copies, QuarantinedInput, Version

Modality = Literal["image", "text"]


class Out(BaseModel):
    """An answer."""


def example(**fields: Any) -> dict[str, Any]:
    """The example of an answer, as a keyword of its class: `class X(Out, json_schema_extra=example(...))`."""
    return {"examples": [fields]}


_PROBLEM = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "code": "unknown_field",
    "detail": "there is no field 'lmit'; did you mean 'limit'?",
    "field": "lmit",
    "remedy": "Correct the field; /openapi.json lists all fields.",
    "request_id": "3f0c5a2e9b7d4c1f8e6a0b9d2c4f7e1a",
}
_ITEM: dict[str, Any] = {
    "id": "8674693222888d6c",
    "modality": "image",
    "uri": "file:///photos/cat.jpg",
    "text": "our cat",
    "metadata": {"year": 2024, "tags": ["pets"]},
    "width": 640,
    "height": 480,
    "indexed_at": "2026-01-02T03:04:05+00:00",
}
_RESULT: dict[str, Any] = {
    "hits": [
        {
            "score": 0.71,
            "confidence": 0.98,
            **{name: _ITEM[name] for name in ("id", "modality", "uri", "text", "metadata")},
        }
    ],
    "total": 1200,
    "timings": {"encode_ms": 8.1, "search_ms": 1.9, "total_ms": 10.6},
    "model": "basic",
    "collection": "default",
    "version": 7,
}
_SUMMARY = {"name": "default", "items": 1200, "model": "basic", "view": "default", "dimension": 384, "version": 7}
_QUARANTINED = {
    "uri": "file:///photos/broken.jpg",
    "kind": "TruncatedImage",
    "reason": "/photos/broken.jpg: the image is truncated after 1,024 bytes; get it again",
    "tries": 1,
    "first_seen": _ITEM["indexed_at"],
    "last_tried": _ITEM["indexed_at"],
}


class ProblemOut(Out, json_schema_extra=example(**_PROBLEM)):
    """RFC 9457 problem document. `code` is for programs, `detail` for people; `remedy` says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    remedy: str | None = None
    request_id: str | None = None


class _Found(Out):
    id: str
    modality: Modality
    uri: str | None = None
    text: str | None = None
    image_text: str | None = Field(None, description="Text that the image shows; missing where it was not looked for.")
    metadata: dict[str, Any] | None = None
    vector: list[float] | None = None
    thumbnail: str | None = Field(None, description="A data URI.")


class ItemOut(_Found, json_schema_extra=example(**_ITEM)):
    """A stored item: uri, text, metadata, size and time with `payload`; vector and thumbnail if requested."""

    width: int | None = None
    height: int | None = None
    indexed_at: str | None = None


class HitOut(_Found):
    """A hit. score: cosine similarity; with keywords the BM25 score or the fused score.

    confidence: the share of unrelated queries whose best hit scores lower; missing where it is not known. matched: the
    line of an image's text that a keyword matches."""

    score: float
    confidence: float | None = None
    matched: str | None = None
    rerank_score: float | None = Field(None, description="What the reranker gives; missing where it did not judge.")
    explain: dict[str, Any] | None = None


_WORD = {"text": "INVOICE", "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.05, "confidence": 0.98}


class WordOut(Out):
    """A word that an image shows. x, y: of its upper left corner, as shares of the image's width and height, like its
    width and height."""

    text: str
    x: float
    y: float
    width: float
    height: float
    confidence: float


class WordsOut(Out, json_schema_extra=example(words=[_WORD])):
    """Words that an image shows, in reading order; null: they were not looked for."""

    words: list[WordOut] | None


class TimingsOut(Out):
    """Milliseconds. encode: reading inputs and running the model; search: the search itself; total: all of it."""

    encode_ms: float
    search_ms: float
    total_ms: float


class RerankedOut(Out):
    """What became of judging the best hits again. judged: 0, with a reason, where the first ranking is the answer."""

    model: str
    judged: int
    reason: str | None = None
    ms: float


class ResultOut(Out, json_schema_extra=example(**_RESULT)):
    """Hits, best first. For the next page send the same query with `offset` and this `version`."""

    hits: list[HitOut]
    total: int | None = None
    timings: TimingsOut
    model: str
    collection: str
    version: int
    explain: dict[str, Any] | None = None
    shortened: int = Field(0, description="Texts of the query that are longer than the model reads; they were cut.")
    reranked: RerankedOut | None = None


class FailedOut(Out):
    """A query of a batch that failed."""

    error: ProblemOut


class ResultsOut(
    Out, json_schema_extra=example(results=[_RESULT, {"error": {**_PROBLEM, "field": "queries[1].lmit"}}], version=7)
):
    """One result per query, in order."""

    results: list[ResultOut | FailedOut]
    version: int


class StoredOut(Out):
    """The outcome for one item."""

    id: str | None
    status: Literal["added", "updated", "refused"]
    error: ProblemOut | None = None
    shortened: bool = Field(False, description="Its text is longer than the model reads, and its vector is of a part.")


class UpsertOut(
    Out,
    json_schema_extra=example(
        added=1, updated=0, refused=0, shortened=0, version=8, items=[{"id": "note-1", "status": "added"}]
    ),
):
    """The outcome for each item, in order; `version` contains them."""

    added: int
    updated: int
    refused: int
    shortened: int
    version: int
    items: list[StoredOut]


class ItemsOut(Out, json_schema_extra=example(items=[_ITEM], missing=["note-9"])):
    """Items by id."""

    items: list[ItemOut]
    missing: list[str]


class PageOut(Out, json_schema_extra=example(items=[_ITEM], cursor="WzcsMTAwXQ", version=7)):
    """A page of items. `cursor` requests the next page of the same version; null: this is the last page."""

    items: list[ItemOut]
    cursor: str | None
    version: int


class CountOut(Out, json_schema_extra=example(count=1200, version=7)):
    """The number of items."""

    count: int
    version: int


class DeletedOut(Out, json_schema_extra=example(deleted=3, version=8)):
    """The number of deleted items; `version` is without them."""

    deleted: int
    version: int


class CollectionsOut(Out, json_schema_extra=example(collections=[_SUMMARY])):
    """All collections. damaged: names of collections that cannot be opened; the operator can restore them."""

    collections: list[CollectionSummary]
    damaged: list[str] = []


class QuarantineOut(Out, json_schema_extra=example(quarantined=[_QUARANTINED], total=1)):
    """Inputs in quarantine, and their total number."""

    quarantined: list[QuarantinedInput]
    total: int


_COPY = {name: _ITEM[name] for name in ("id", "uri", "width", "height")}


class DuplicatesOut(
    Out, json_schema_extra=example(groups=[{"exact": False, "items": [_COPY, {**_COPY, "id": "note-1"}]}], total=1)
):
    """Groups of images that are copies of each other, the one to keep first, and the number of all groups."""

    groups: list[Copies]
    total: int


class VersionsOut(
    Out,
    json_schema_extra=example(versions=[{"version": 7, "at": _ITEM["indexed_at"], "items": 1200, "tags": ["before"]}]),
):
    """The versions that are kept, oldest first."""

    versions: list[Version]


class BuildingOut(Out, json_schema_extra=example(building=True)):
    """Whether a build was started; false: one is running already."""

    building: bool


class StatusOut(Out, json_schema_extra=example(status="ready")):
    """The state of the service. detail: problems that do not keep it from answering."""

    status: str
    detail: str | None = None


_SCHEMAS = "#/components/schemas/"
_BODIES: list[type[BaseModel]] = [ProblemOut]
_JOB = {
    "id": "20260102T030405678901-0a1b2c3d",
    "collection": "default",
    "state": "running",
    "started": "2026-01-02T03:04:05.678901Z",
    "updated": "2026-01-02T03:04:15.1Z",
    "counts": {"inputs": 12, "indexed": 10, "unchanged": 1, "quarantined": 1},
}
_EXAMPLES = {
    "Job": _JOB,
    "Jobs": {"jobs": [_JOB]},
    "CollectionInfo": {
        **_SUMMARY,
        "by_modality": {"image": 1000, "text": 200},
        "space": {"fingerprint": "0123456789abcdef", "model": "basic", "view": "default", "dimension": 384},
        "metadata_keys": {"year": "number", "tags": "list of strings"},
        "quarantined": 2,
        "index": {"version": 7, "rows": 1200, "kind": "flat", "recall": 1.0, "goal": 0.99},
        "created": _ITEM["indexed_at"],
        "updated": "2026-01-03T03:04:05+00:00",
        "bytes_on_disk": 9000000,
    },
    "IndexCheck": {
        "right": True,
        "recall": 0.994,
        "goal": 0.99,
        "rows": 1200,
        **dict.fromkeys(("missing", "extra", "stale", "differing"), 0),
        "fresh": 5,
        "damaged": [],
    },
}
"""Of answers that `storage` declares."""
_TIMEOUT = {
    "name": "timeout",
    "in": "query",
    "required": False,
    "description": "Seconds that the request may take; at most the service's deadline.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
MEANINGS = {
    400: "The body is malformed.",
    401: "The API key is missing or unknown.",
    403: "The API key does not have the required scope.",
    404: "Not found.",
    408: "The body was sent too slowly.",
    409: "Conflict with the current state.",
    410: "The version or the cursor is gone.",
    413: "The body is too large.",
    415: "Unsupported media type.",
    421: "The Host header is not a name of this service.",
    422: "The request is invalid; `field` says what is wrong.",
    429: "Too many requests; `Retry-After` says when to retry.",
    500: "Internal server error.",
    501: "A required package is not installed.",
    503: "Busy; `Retry-After` says when to retry.",
    504: "The deadline has passed.",
}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}ProblemOut"}}}}
    for status, meaning in MEANINGS.items()
}
"""Errors of every route under /v1."""


def operation(
    scope: Scope,
    body: type[BaseModel] | None = None,
    *,
    files: str | None = None,
    out: type[Out] | None = None,
    problems: dict[int | str, dict[str, Any]] = PROBLEMS,
) -> dict[str, Any]:
    """Keyword arguments of a route: the scope it requires, and its description in /openapi.json.

    body: of a JSON request, read with `requests.read`. files: the form's field with the JSON, if the request may be
    multipart with files. out: the response, where the route's return type does not say it.
    """
    found: dict[str, Any] = {"dependencies": [needs(scope)], "responses": problems}
    if out is not None:
        found["response_model"] = out
    if body is None:
        return found
    _BODIES.append(body)
    reference = {"$ref": f"{_SCHEMAS}{body.__name__}"}
    content: dict[str, Any] = {"application/json": {"schema": reference}}
    if files is not None:
        image = {"type": "string", "format": "binary", "description": "An image."}
        form = {"type": "object", "properties": {files: reference}, "additionalProperties": image}
        content["multipart/form-data"] = {"schema": form, "encoding": {files: {"contentType": "application/json"}}}
    return {**found, "openapi_extra": {"requestBody": {"required": True, "content": content}}}


def complete_openapi(document: dict[str, Any]) -> dict[str, Any]:
    """Adds the schemas that routes refer to, the examples of jobs and the parameter `timeout`."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _BODIES:
        schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for name, one in _EXAMPLES.items():
        schemas.get(name, {})["examples"] = [one]
    for path, methods in document.get("paths", {}).items():
        if path.startswith("/v1/") and not NO_DEADLINE.fullmatch(path):
            for operation in methods.values():
                operation.setdefault("parameters", []).append(_TIMEOUT)
    return document
