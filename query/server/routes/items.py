"""Items: upsert, get, delete, count, scroll."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from oneword.query.server import entries, requests
from oneword.query.server.collection_route import CollectionRoute
from oneword.query.server.images import check_used
from oneword.query.server.limits import MAX_ITEMS
from oneword.query.server.listing import Listing, Pieces, listed
from oneword.query.server.problem import Problem
from oneword.query.server.queries import Filter, Include, filter_of
from oneword.query.server.registry import state_of
from oneword.query.server.requests import Body, Cursor, Name, digest
from oneword.query.server.response import answer, dumped
from oneword.query.server.schemas import CountOut, DeletedOut, ItemOut, ItemsOut, PageOut, UpsertOut, operation
from oneword.storage import And, ItemNotFound, SpaceMismatch

router = APIRouter(prefix="/v1/collections/{collection}", tags=["items"], route_class=CollectionRoute)

Ids = Annotated[list[Name], Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True)]


class IdsIn(Body):
    """Items by id."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ids": ["cat-1", "note-1"], "with": ["payload", "vector"]}]}
    )

    ids: Ids
    with_: Include = Field(alias="with", default=("payload",))


class DeleteIn(Body):
    """Items by id, or by a filter."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["cat-1"]}, {"filter": "width < 64"}]})

    ids: Ids | None = None
    filter: Filter | None = None


class CountIn(Body):
    """Which items; default: all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"filter": "modality = image"}]})

    filter: Filter | None = None


class ScrollIn(Body):
    """Which items, and the page."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limit": 100}, {"filter": "width >= 64", "with": []}]})

    filter: Filter | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_ITEMS)] = 100
    cursor: Annotated[Name | None, Field(description="From the previous page.")] = None
    with_: Include = Field(alias="with", default=("payload",))


@router.post("/items", **operation("write", entries.ItemsIn, files="items", out=UpsertOut))
async def upsert(request: Request, collection: str) -> Response:
    """Store items, replacing those with the same id; the response has the outcome for each."""
    state = state_of(request)
    body, uploads = await requests.read_with_files(request, entries.ItemsIn, "items")
    check_used(uploads, (item.image for item in body.items))
    served = await state.collections.get(collection)
    if body.fingerprint not in (None, served.collection.space["fingerprint"]):
        raise SpaceMismatch(collection, served.collection.space, {"fingerprint": body.fingerprint})
    read = await entries.embedded(state, served, body.items, uploads)
    good = [one.item for one in read if isinstance(one, entries.Read)]
    if not good:
        raise next(one for one in read if isinstance(one, Problem))
    written = await served.writer.upsert(good)
    outcomes: list[dict[str, Any]] = []
    known = set(written.known)
    for place, (given, one) in enumerate(zip(body.items, read, strict=True)):
        if isinstance(one, entries.Read) and (why := written.refused.get(one.item.id)):
            one = Problem("bad_item", why, field=f"items[{place}]")
        if isinstance(one, Problem):
            outcomes.append({"id": given.id, "status": "refused", "error": one.as_dict()})
        else:
            id_ = one.item.id
            outcomes.append({"id": id_, "status": "updated" if id_ in known else "added"})
            outcomes[-1] |= {"shortened": True} if one.shortened else {}
            known.add(id_)
    counts = {status: sum(one["status"] == status for one in outcomes) for status in ("added", "updated", "refused")}
    if counts["refused"] == len(outcomes):
        raise Problem("bad_item", outcomes[0]["error"]["detail"], field="items[0]")
    counts["shortened"] = sum(one.get("shortened", False) for one in outcomes)
    return answer({**counts, "version": written.version, "items": outcomes})


@router.post("/items:get", **operation("read", IdsIn, out=ItemsOut))
async def get_many(request: Request, collection: str) -> Response:
    """Items by id, in the order of the request."""
    state = state_of(request)
    body = await requests.read(request, IdsIn)
    served = await state.collections.get(collection)
    include = frozenset(body.with_)

    def written() -> Pieces:
        found = served.collection.get(body.ids, vectors="vector" in include, thumbnails="thumbnail" in include)
        missing = [one for one in dict.fromkeys(body.ids) if one not in found]
        return listed("items", (entries.shown(item, include) for item in found.values()), {"missing": missing})

    return Listing(await state.workers.run("search", written))


@router.post("/items:delete", **operation("write", DeleteIn))
async def delete_many(request: Request, collection: str) -> DeletedOut:
    """Delete items by id, or all that match a filter."""
    state = state_of(request)
    body = await requests.read(request, DeleteIn)
    if (body.ids is None) == (body.filter is None):
        raise Problem("invalid_field", "expected either `ids` or `filter`", field="ids")
    condition = filter_of(body.filter)
    if condition == And(filters=()):
        raise Problem(
            "bad_filter",
            "the filter has no conditions: it would delete every item",
            remedy="Give a condition. To remove everything, DELETE the collection.",
            field="filter",
        )
    served = await state.collections.get(collection)
    if body.ids is not None:
        deleted, version = await served.writer.delete(body.ids)
    else:
        deleted, version = await served.writer.delete_where(condition)
    return DeletedOut(deleted=deleted, version=version)


@router.post("/items:count", **operation("read", CountIn))
async def count(request: Request, collection: str) -> CountOut:
    """The number of items, or of those that match a filter."""
    state = state_of(request)
    body = await requests.read(request, CountIn)
    served = await state.collections.get(collection)
    condition = filter_of(body.filter)

    def counted() -> CountOut:
        snapshot = served.collection.snapshot()
        return CountOut(count=snapshot.table.count(snapshot.where(condition)), version=snapshot.version)

    return await state.workers.run("search", counted)


@router.post("/items:scroll", **operation("read", ScrollIn, out=PageOut))
async def scroll(request: Request, collection: str) -> Response:
    """All items, or those that match a filter, in pages of one version: each item exactly once."""
    state = state_of(request)
    body = await requests.read(request, ScrollIn)
    served = await state.collections.get(collection)
    condition, include = filter_of(body.filter), frozenset(body.with_)
    snapshot = await state.workers.run("search", served.collection.snapshot)
    created, of = snapshot.created, digest(body.filter)
    at = None if body.cursor is None else Cursor.decode(body.cursor, created, of)

    def written() -> Pieces:
        items, version = served.collection.page(
            offset=at.offset if at else 0,
            limit=body.limit,
            filter=condition,
            vectors="vector" in include,
            thumbnails="thumbnail" in include,
            version=at.version if at else None,
        )
        after = Cursor(version=version, offset=(at.offset if at else 0) + len(items), created=created, filter=of)
        rest = {"cursor": after.encoded() if len(items) == body.limit else None, "version": version}
        return listed("items", (entries.shown(item, include) for item in items), rest)

    return Listing(await state.workers.run("search", written))


@router.get("/items/{id:path}", **operation("read", out=ItemOut))
async def get(
    request: Request,
    collection: str,
    id: str,  # noqa: A002 - the field's name
    with_: Annotated[list[str], Query(alias="with", max_length=3)] = ["payload"],  # noqa: B006
) -> Response:
    """One item."""
    state = state_of(request)
    served = await state.collections.get(collection)
    include = frozenset(requests.checked(IdsIn, dumped({"ids": [id], "with": with_})).with_)
    found = await state.workers.run(
        "search", served.collection.get, [id], vectors="vector" in include, thumbnails="thumbnail" in include
    )
    if id not in found:
        raise ItemNotFound(id, collection)
    return answer(entries.shown(found[id], include))


@router.delete("/items/{id:path}", status_code=204, **operation("write"))
async def delete(request: Request, collection: str, id: str) -> Response:  # noqa: A002
    """Delete one item."""
    served = await state_of(request).collections.get(collection)
    deleted, _ = await served.writer.delete([id])
    if not deleted:
        raise ItemNotFound(id, collection)
    return Response(status_code=204)
