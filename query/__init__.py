"""From a question to hits: texts, pictures, edits of pictures, stored items and raw vectors, in any mix.

>>> from query import SearchService
>>> service = SearchService(".oneword")
>>> for hit in service.search("a cat"):
...     print(hit.score, hit.uri)
>>> service.search(image="cat.jpg", edit="the same, but a dog")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from query.errors import BadQuery, QueryError
    from query.explanation import Explanation
    from query.question import Composed, Image, Like, Part, Query, Text, Vector
    from query.result import Hit, SearchResult
    from query.service import SearchService

_HOME = {
    "BadQuery": "query.errors",
    "Composed": "query.question",
    "Explanation": "query.explanation",
    "Hit": "query.result",
    "Image": "query.question",
    "Like": "query.question",
    "Part": "query.question",
    "Query": "query.question",
    "QueryError": "query.errors",
    "SearchResult": "query.result",
    "SearchService": "query.service",
    "Text": "query.question",
    "Vector": "query.question",
}

__all__ = [
    "BadQuery",
    "Composed",
    "Explanation",
    "Hit",
    "Image",
    "Like",
    "Part",
    "Query",
    "QueryError",
    "SearchResult",
    "SearchService",
    "Text",
    "Vector",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'query' has no attribute {name!r}")
