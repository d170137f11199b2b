"""What answers look like, for /openapi.json; the answers themselves are made where they are known."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class ProblemOut(BaseModel):
    """RFC 9457: `code` is for programs, `detail` for people, `field` says where, `remedy` what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    remedy: str | None = None
    request_id: str | None = None


class ItemOut(BaseModel):
    """A stored item; uri, text and metadata with `payload`, the others if asked for."""

    id: str
    modality: Literal["image", "text"]
    uri: str | None = None
    text: str | None = None
    metadata: dict[str, Any] | None = None
    width: int | None = None
    height: int | None = None
    indexed_at: str | None = None
    vector: list[float] | None = None
    thumbnail: str | None = Field(None, description="A data URI.")


class HitOut(BaseModel):
    """An item found. score: cosine similarity; with keywords BM25, or what the fusion of both gives."""

    id: str
    score: float
    modality: Literal["image", "text"]
    uri: str | None = None
    text: str | None = None
    metadata: dict[str, Any] | None = None
    vector: list[float] | None = None
    thumbnail: str | None = Field(None, description="A data URI.")
    explain: dict[str, Any] | None = None


class TimingsOut(BaseModel):
    """Milliseconds. encode: reading, waiting for and running the model; search: the neighbours; total: all of it."""

    encode_ms: float
    search_ms: float
    total_ms: float


class ResultOut(BaseModel):
    """Hits, best first. Ask for the next page with the same query, its `offset`, and this `version`."""

    hits: list[HitOut]
    total: int | None = None
    timings: TimingsOut
    model: str
    collection: str
    version: int
    low_confidence: float | None = None
    explain: dict[str, Any] | None = None


class FailedOut(BaseModel):
    """A query of a batch that could not be answered."""

    error: ProblemOut


class ResultsOut(BaseModel):
    """One result a query, in their order."""

    results: list[ResultOut | FailedOut]
    version: int


class StoredOut(BaseModel):
    """What became of one item."""

    id: str | None
    status: Literal["added", "updated", "refused"]
    error: ProblemOut | None = None


class UpsertOut(BaseModel):
    """What became of the items, in their order; `version` has them."""

    added: int
    updated: int
    refused: int
    version: int
    items: list[StoredOut]


class ItemsOut(BaseModel):
    """Items asked for by id."""

    items: list[ItemOut]
    missing: list[str]


class PageOut(BaseModel):
    """Some items; `cursor` asks for the next ones, of the same version; null: these were the last."""

    items: list[ItemOut]
    cursor: str | None
    version: int


class CountOut(BaseModel):
    """How many."""

    count: int
    version: int


class DeletedOut(BaseModel):
    """How many went; `version` is without them."""

    deleted: int
    version: int


class CollectionShortOut(BaseModel):
    """A collection in a list."""

    name: str
    items: int
    model: str
    view: str
    dimension: int
    version: int


class CollectionsOut(BaseModel):
    """All collections. damaged: names of those that cannot be opened, which their operator can restore."""

    collections: list[CollectionShortOut]
    damaged: list[str] = []


class CollectionOut(CollectionShortOut):
    """A collection. index: the serving index, if one answers."""

    by_modality: dict[str, int]
    space: dict[str, Any]
    metadata_keys: dict[str, str]
    quarantined: int
    index: dict[str, Any] | None
    created: str
    updated: str
    bytes_on_disk: int | None


class CheckOut(BaseModel):
    """The serving index compared with the table. recall: of the ten nearest, over sampled vectors; no labels needed."""

    right: bool
    recall: float
    goal: float
    rows: int
    missing: int
    extra: int
    stale: int
    fresh: int
    differing: int
    damaged: list[str]


class QuarantinedOut(BaseModel):
    """An input that could not be indexed, and why."""

    uri: str
    kind: str
    reason: str
    tries: int
    first_seen: str
    last_tried: str


class QuarantineOut(BaseModel):
    """Some of the inputs in quarantine, and how many there are."""

    quarantined: list[QuarantinedOut]
    total: int


class BuildingOut(BaseModel):
    """Whether a build was begun; false: one goes on already."""

    building: bool


class StatusOut(BaseModel):
    """How the service is. detail: what does not keep it from answering."""

    status: str
    detail: str | None = None


class MeOut(BaseModel):
    """What the caller may do. key: its id; null where the service wants no keys."""

    key: str | None
    scope: Literal["read", "write", "admin"]
    keys: bool
    jobs: bool
    fetch: bool
    max_body: int
    version: str


class ValueOut(BaseModel):
    """A value of a field, and how many of the sampled items have it."""

    value: str | bool
    count: int


class FacetOut(BaseModel):
    """A field of items. items: how many of the sampled ones have it."""

    name: str
    kind: Literal["string", "number", "bool", "time", "list of strings"]
    items: int
    min: float | str | None = None
    max: float | str | None = None
    values: list[ValueOut] | None = None


class FacetsOut(BaseModel):
    """The fields that filters can ask for."""

    fields: list[FacetOut]
    sampled: int
    total: int
    version: int


class PointOut(BaseModel):
    """An item on the map."""

    id: str
    x: float
    y: float
    modality: Literal["image", "text"]
    uri: str
    text: str | None = None


class GapOut(BaseModel):
    """How far texts lie from pictures: the distance of their means (0 to 2); and how often the ten nearest are of the
    other modality, over how often they would be if modality made no difference (1: no gap)."""

    centroid_distance: float
    cross_modal_neighbours: float


class MapOut(BaseModel):
    """A sample of vectors in two dimensions. explained: the share of variance that each dimension has."""

    points: list[PointOut]
    gap: GapOut | None
    explained: list[float]
    sampled: int
    total: int
    version: int
