"""Items: written, read, deleted, counted, and their pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oneword.query.client.answers import File, Page, StoredItem, Upserted
from oneword.query.client.calls.call import Call, collection_path, filtered, given, id_list, item_path, within
from oneword.query.client.inputs import NewItem
from oneword.query.errors import BadQuery
from oneword.query.query import Where

if TYPE_CHECKING:
    import httpx


def upsert(
    items: Iterable[NewItem | Mapping[str, Any]], collection: str, fingerprint: str | None, deadline: float | None
) -> Call[Upserted]:
    """POST /v1/collections/NAME/items."""
    body: dict[str, Any] = {"items": [NewItem.of(item).as_json() for item in items]}
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/items",
        json=body | given(fingerprint=fingerprint),
        params=within(deadline),
        read=lambda response: Upserted.of(response.json()),
        writes=True,
    )


def get(ids: str | Iterable[str], collection: str, include: Sequence[str]) -> Call[dict[str, StoredItem]]:
    """POST /v1/collections/NAME/items:get."""
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/items:get",
        json={"ids": id_list(ids), "with": list(include)},
        read=lambda response: {one["id"]: StoredItem.of(one) for one in response.json()["items"]},
    )


def delete(ids: str | Iterable[str] | None, where: Where | None, collection: str) -> Call[int]:
    """POST /v1/collections/NAME/items:delete."""
    if (ids is None) == (where is None):
        raise BadQuery("delete takes ids or a filter, one of the two; drop_collection deletes everything")
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/items:delete",
        json=filtered(where) if ids is None else {"ids": id_list(ids)},
        read=lambda response: int(response.json()["deleted"]),
        writes=True,
    )


def count(where: Where | None, collection: str) -> Call[int]:
    """POST /v1/collections/NAME/items:count."""
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/items:count",
        json=filtered(where),
        read=lambda response: int(response.json()["count"]),
    )


def scroll(where: Where | None, collection: str, page: int, cursor: str | None, include: Sequence[str]) -> Call[Page]:
    """POST /v1/collections/NAME/items:scroll."""

    def read(response: "httpx.Response") -> Page:
        document = response.json()
        return Page(items=tuple(map(StoredItem.of, document["items"])), cursor=document["cursor"])

    return Call(
        method="POST",
        path=f"{collection_path(collection)}/items:scroll",
        json=filtered(where) | given(cursor=cursor) | {"limit": page, "with": list(include)},
        read=read,
    )


def thumbnail(id: str, collection: str) -> Call[File]:  # noqa: A002 - what it is
    """GET /v1/collections/NAME/items/ID/thumbnail."""
    return Call(method="GET", path=f"{item_path(id, collection)}/thumbnail", read=_file)


def original(id: str, collection: str) -> Call[File]:  # noqa: A002
    """GET /v1/collections/NAME/items/ID/original."""
    return Call(method="GET", path=f"{item_path(id, collection)}/original", read=_file, redirected=True)


def _file(response: "httpx.Response") -> File:
    kind = response.headers.get("content-type", "application/octet-stream")
    return File(content=response.content, media_type=kind.partition(";")[0].strip())
