"""What a search takes by name, for editors and type checkers to know: the same as `Query.of`."""

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from oneword.query.question import Picture
from oneword.storage import Filter

Where = str | Mapping[str, Any] | Filter
"""A filter, one in words (`year >= 2020`), or one as JSON (`{"must": [...]}`)."""


class Parts(TypedDict, total=False):
    """See `query.Query` and `Query.of`. A picture may also be an http or https URL, which the server fetches."""

    image: Picture | None
    edit: str | None
    like: str | Iterable[str]
    without: str | Iterable[str]
    where: Where | None
    modality: str | None
    limit: int
    offset: int
    min_score: float | None
    view: str | None
    explain: int
    keywords: str | None
    fusion: str
    keyword_weight: float
    diversity: float
    group_by: str | None
    version: int | None
    include: Iterable[str]
