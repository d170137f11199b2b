"""Searches and embeddings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oneword.query.client.answers import Vectors, vectors_of
from oneword.query.client.calls.call import Call, collection_path, given, within
from oneword.query.client.errors import ClientError, NotThere
from oneword.query.client.inputs import Input, input_of
from oneword.query.client.problems import stated
from oneword.query.errors import BadQuery
from oneword.query.query import Query
from oneword.query.result import SearchResult
from oneword.query.wire import result_of, to_json

if TYPE_CHECKING:
    import httpx


def search(
    query: str | Query | None, collection: str, deadline: float | None, parts: Mapping[str, Any]
) -> Call[SearchResult]:
    """POST /v1/collections/NAME/search."""
    return Call(
        method="POST",
        path=f"{collection_path(collection)}/search",
        json=to_json(_query(query, parts)),
        params=within(deadline),
        read=lambda response: result_of(response.json()),
    )


def search_batch(
    queries: Iterable[str | Query], collection: str, deadline: float | None
) -> Call[list[SearchResult | ClientError]]:
    """POST /v1/collections/NAME/search:batch."""
    asked = [to_json(_query(query, {})) for query in queries]

    def read(response: "httpx.Response") -> list[SearchResult | ClientError]:
        results = response.json()["results"]
        if len(results) != len(asked):
            raise ValueError(f"{len(results)} results: expected {len(asked)}")
        return [stated(one["error"]) if "error" in one else result_of(one) for one in results]

    return Call(
        method="POST",
        path=f"{collection_path(collection)}/search:batch",
        json={"queries": asked},
        params=within(deadline),
        read=read,
    )


def embed(inputs: Sequence[Input], model: str, view: str | None, side: str, deadline: float | None) -> Call[Vectors]:
    """POST /v1/embeddings."""
    asked = [input_of(one) for one in ([inputs] if isinstance(inputs, str) else inputs)]
    if not asked:
        raise BadQuery("nothing to embed: expected at least one text or picture")
    body = {"model": model, "input": asked, "encoding_format": "base64", "side": side}
    return Call(
        method="POST",
        path="/v1/embeddings",
        json=body | given(view=view),
        params=within(deadline),
        read=lambda response: vectors_of(response.json(), len(asked)),
    )


def only_model() -> Call[str]:
    """The id of the one model that the server has."""

    def read(response: "httpx.Response") -> str:
        names = [str(one["id"]) for one in response.json()["data"]]
        if len(names) != 1:
            raise NotThere(f"the server has {len(names)} models ({', '.join(names)}): say which, by `model`")
        return names[0]

    return Call(method="GET", path="/v1/models", read=read)


def _query(query: str | Query | None, parts: Mapping[str, Any]) -> Query:
    if not isinstance(query, Query):
        return Query.of(query, **parts)
    if parts:
        raise BadQuery(f"a whole Query and {', '.join(parts)}: give one or the other")
    return query
