"""Collections."""

from oneword.query.client.answers import CollectionDetails, CollectionSummary, IndexCheck
from oneword.query.client.calls.call import Call, collection_path, given


def collections() -> Call[list[CollectionSummary]]:
    """GET /v1/collections."""
    return Call(
        method="GET",
        path="/v1/collections",
        read=lambda response: [CollectionSummary.of(one) for one in response.json()["collections"]],
    )


def collection(name: str) -> Call[CollectionDetails]:
    """GET /v1/collections/NAME."""
    return Call(method="GET", path=collection_path(name), read=lambda response: CollectionDetails.of(response.json()))


def create_collection(name: str, model: str | None, view: str | None) -> Call[CollectionDetails]:
    """POST /v1/collections."""
    return Call(
        method="POST",
        path="/v1/collections",
        json={"name": name} | given(model=model, view=view),
        read=lambda response: CollectionDetails.of(response.json()),
        writes=True,
    )


def drop_collection(name: str) -> Call[None]:
    """DELETE /v1/collections/NAME."""
    return Call(method="DELETE", path=collection_path(name), read=lambda _: None, writes=True)


def verify(collection: str) -> Call[IndexCheck]:
    """POST /v1/collections/NAME/verify."""
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/verify",
        read=lambda response: IndexCheck.of(response.json()),
    )
