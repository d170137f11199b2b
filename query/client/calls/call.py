"""One call of the service, described: both clients only send it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from oneword.query.errors import BadQuery
from oneword.query.query import Where
from oneword.storage import filter_to_json, parse_filter

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    Args:
        path: below the server's URL, quoted.
        read: the value of an answer of 2xx; LookupError, TypeError or ValueError say that it is none.
        json: the body.
        params: of the URL's query.
        writes: it changes something; so it is not sent again where it may have been done.
        patient: 429 and 503 are tried again.
        redirected: redirects are followed, without the key where they lead to another server.
    """

    method: str
    path: str
    read: "Callable[[httpx.Response], T]"
    json: Mapping[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False
    patient: bool = True
    redirected: bool = False


def collection_path(name: str) -> str:
    """The path of a collection."""
    return f"/v1/collections/{segment(name)}"


def item_path(id: str, collection: str) -> str:  # noqa: A002
    """The path of an item."""
    return f"{collection_path(collection)}/items/{segment(id)}"


def segment(name: str) -> str:
    """One segment of a path, whatever is in it: a slash, a question mark, or dots, which would lead upwards."""
    try:
        quoted = quote(name, safe="")
    except (TypeError, UnicodeEncodeError) as error:
        raise BadQuery(f"{name!r}: expected a name or an id, as text") from error
    if not quoted:
        raise BadQuery("a name or an id is empty: expected at least one character")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def given(**values: Any) -> dict[str, Any]:
    """Those fields that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def within(deadline: float | None) -> dict[str, str]:
    """The URL's query for a deadline in seconds."""
    return {} if deadline is None else {"timeout": f"{deadline:g}"}


def id_list(ids: str | Iterable[str]) -> list[str]:
    """One id or many, as a list."""
    return [ids] if isinstance(ids, str) else list(ids)


def filtered(where: Where | None) -> dict[str, Any]:
    """The body's `filter`, if there is one. Raises FilterError."""
    return {} if where is None else {"filter": filter_to_json(parse_filter(where))}
