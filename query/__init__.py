"""From a question to hits: texts, pictures, edits of pictures, stored items and raw vectors, in any mix.

>>> from oneword.query import SearchService
>>> service = SearchService(".oneword")
>>> for hit in service.search("a cat"):
...     print(hit.score, hit.uri)
>>> service.search(image="cat.jpg", edit="the same, but a dog")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.query.errors import BadQuery, QueryError
    from oneword.query.explanation import Explanation
    from oneword.query.query import Composed, Image, Like, Part, Query, Text, Vector
    from oneword.query.result import Hit, SearchResult
    from oneword.query.service import SearchService

_HOME = {
    "BadQuery": "oneword.query.errors",
    "Composed": "oneword.query.query",
    "Explanation": "oneword.query.explanation",
    "Hit": "oneword.query.result",
    "Image": "oneword.query.query",
    "Like": "oneword.query.query",
    "Part": "oneword.query.query",
    "Query": "oneword.query.query",
    "QueryError": "oneword.query.errors",
    "SearchResult": "oneword.query.result",
    "SearchService": "oneword.query.service",
    "Text": "oneword.query.query",
    "Vector": "oneword.query.query",
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
    raise AttributeError(f"module 'oneword.query' has no attribute {name!r}")
