"""The query object that the command line, Python and REST build, and every search option, declared once.

To add an option, add a field with an `Option` to `Query` and its name to `Options`, and give it meaning in
`oneword.storage.search`: `oneword search`, the REST schema, the clients and their checks derive from the field.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, Unpack, get_args, get_type_hints

from oneword.query.errors import BadQuery
from oneword.storage.config import MOST, MOST_SKIPPED, CommonOptions, Fusion
from oneword.storage.filters import Filter, parse_filter

if TYPE_CHECKING:
    import PIL.Image

NEGATIVE = -0.5
"""Weight of an unwanted part. Half: with -1, a query and a near negative would cancel to noise."""

MAX_WORDS = 50
"""Most words in an explanation."""

INCLUDABLE = ("payload", "vector", "thumbnail")

Picture: TypeAlias = Union[str, Path, bytes, "PIL.Image.Image"]
"""An image in a query: a file's path, its encoded bytes, or a decoded image."""

Where: TypeAlias = str | Mapping[str, Any] | Filter
"""A filter, one in words (`year >= 2020`), or one as JSON (`{"must": [...]}`)."""


@dataclass(frozen=True, kw_only=True)
class _Weighted:
    weight: float = 1.0

    def __post_init__(self) -> None:
        _expect("weight", self.weight, Real, "a number")
        if not math.isfinite(self.weight) or self.weight == 0:
            raise BadQuery(f"weight {self.weight!r}: expected a finite number other than zero")


@dataclass(frozen=True, kw_only=True)
class Text(_Weighted):
    """A text."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Image(_Weighted):
    """An image."""

    image: Picture = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Composed(_Weighted):
    """An image and how hits should differ from it. The image itself is never a hit."""

    image: Picture = field(repr=False)
    edit: str


@dataclass(frozen=True, kw_only=True)
class Like(_Weighted):
    """A stored item, by id. Needs no model. The item itself is never a hit."""

    id: str


@dataclass(frozen=True, kw_only=True)
class Vector(_Weighted):
    """A vector of the collection's space, of any length but zero. Needs no model."""

    values: Sequence[float] = field(repr=False)


Part = Text | Image | Composed | Like | Vector


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a search option is besides its type and default.

    Args:
        help: one sentence.
        min, max: its bounds.
        fusion: REST has it in the object `hybrid`.
        long: text that may be as long as a text to search by; otherwise as long as a name.
        short: on the command line.
    """

    help: str
    min: float | None = None
    max: float | None = None
    fusion: bool = False
    long: bool = False
    short: str | None = None


@dataclass(frozen=True, kw_only=True)
class Query:
    """A weighted mix of parts, and which hits are wanted.

    Args:
        parts: at least one. The query's vector is the normalized sum of weight x unit vector.
        filter: only items that pass it (see `oneword.storage.parse_filter`).
        min_score: lowest score: cosine similarity, or BM25 where there are keywords alone.
        view: the view that the collection must have been indexed with.
        keywords: combined with the vector search, or alone.
        fusion: "rrf" (reciprocal ranks) or "weighted" (normalized scores).
        group_by: a field, such as `folder` or `metadata.document`.
        version: of the collection, as an earlier result reported it, so that pages are consistent while others write.
        include: what hits have besides id, score and modality: "payload" (uri, text, metadata), "vector", "thumbnail".

    The help and the bounds of the other fields are those of their `Option`.

    Raises:
        BadQuery: out of range, or no parts.
    """

    parts: tuple[Part, ...]
    filter: Filter | None = None
    include: frozenset[str] = frozenset({"payload"})
    limit: Annotated[int, Option(help="Number of hits.", min=1, max=MOST, short="-k")] = 10
    offset: Annotated[int, Option(help="Hits to skip, for the next page.", min=0, max=MOST_SKIPPED)] = 0
    modality: Annotated[Literal["image", "text"] | None, Option(help="Only hits of this modality.")] = None
    view: Annotated[str | None, Option(help="Fail unless the collection has this view.")] = None
    min_score: Annotated[float | None, Option(help="Lowest cosine similarity of a hit.")] = None
    keywords: Annotated[
        str | None, Option(help="Keywords; a hit has at least one in its text or caption.", long=True)
    ] = None
    fusion: Annotated[Fusion, Option(help="How the rankings by keywords and by vector are combined.", fusion=True)] = (
        "rrf"
    )
    keyword_weight: Annotated[
        float, Option(help="Weight of keywords in a weighted fusion.", min=0, max=1, fusion=True)
    ] = 0.5
    diversity: Annotated[float, Option(help="0: the most similar hits; 1: the most diverse.", min=0, max=1)] = 0.0
    group_by: Annotated[str | None, Option(help="One hit for each value of this field.")] = None
    version: Annotated[
        int | None, Option(help="Version to search, so that pages are consistent.", min=1, max=2**63 - 1)
    ] = None
    explain: Annotated[int, Option(help="Number of words that explain each hit.", min=0, max=MAX_WORDS)] = 0

    def __post_init__(self) -> None:
        if not self.parts and self.keywords is None:
            raise BadQuery("the query is empty: expected a text, an image, an item to be like, a vector, or keywords")
        for one in options():
            one.check(getattr(self, one.name))
        if self.keywords is not None and not self.keywords.strip():
            raise BadQuery(f"keywords {self.keywords!r}: expected words, or none")
        if not self.parts and self.explain:
            raise BadQuery("keywords alone have no vector to explain: add a text, or leave the explanation out")
        if self.min_score is not None and not -1 <= self.min_score <= (1 if self.parts else math.inf):
            raise BadQuery(f"min_score {self.min_score}: expected -1 to 1, a cosine similarity")
        if unknown := set(self.include) - set(INCLUDABLE):
            raise BadQuery(f"include {', '.join(sorted(unknown))!r}: expected some of {', '.join(INCLUDABLE)}")

    @classmethod
    def of(cls, text: str | None = None, **parts: "Unpack[Parts]") -> "Query":
        """A query from what people type. `image` with `edit` is a composed query.

        Args:
            parts: see `Parts`.

        Raises:
            BadQuery: `edit` without `image`, or as the class says.
            FilterError: `where` cannot be read.
        """
        given: dict[str, Any] = dict(parts)
        image, edit, where = (given.pop(name, None) for name in ("image", "edit", "where"))
        like, without = (_several(given.pop(name, ())) for name in ("like", "without"))
        if edit is not None and image is None:
            raise BadQuery(f"edit {edit!r} has no picture to change: give an image too, or search for the text itself")
        mixed: list[Part] = [] if text is None else [Text(text=text)]
        if image is not None:
            mixed.append(Image(image=image) if edit is None else Composed(image=image, edit=edit))
        mixed += [Like(id=one) for one in like]
        mixed += [Text(text=one, weight=NEGATIVE) for one in without]
        include = frozenset(given.pop("include", ("payload",)))
        return cls(parts=tuple(mixed), filter=None if where is None else parse_filter(where), include=include, **given)

    @classmethod
    def whole(cls, query: "str | Query | None", parts: "Parts | None" = None) -> "Query":
        """A query as it is, or one of words and parts.

        Raises:
            BadQuery: parts beside a whole query, or as `of`.
        """
        if not isinstance(query, Query):
            return cls.of(query, **(parts or {}))
        if parts:
            raise BadQuery(f"a whole Query and {', '.join(parts)}: give one or the other")
        return query


class Options(CommonOptions, total=False):
    """The options of `Query`, for type checkers: a test compares them."""

    include: Iterable[str]
    modality: Literal["image", "text"] | None
    view: str | None
    explain: int


class Parts(Options, total=False):
    """What `Query.of` and every `search` take by name: what to search by, and `Options`.

    image, edit: an image, and how hits should differ from it. like: ids of stored items. without: texts that hits
    should be unlike. where: a filter.
    """

    image: Picture | None
    edit: str | None
    like: str | Iterable[str]
    without: str | Iterable[str]
    where: Where | None


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A search option. type: without None, if that is allowed; optional: whether it is."""

    name: str
    type: Any
    optional: bool
    default: Any
    option: Option

    def check(self, value: Any) -> None:
        """Raises BadQuery for a value of another type, or out of bounds."""
        if value is None and self.optional:
            return
        choices = get_args(self.type)
        if choices:
            if value not in choices:
                raise BadQuery(f"{self.name} {value!r}: expected {' or '.join(map(repr, choices))}")
            return
        kind, said = {int: (Integral, "a whole number"), float: (Real, "a number"), str: (str, "text")}[self.type]
        _expect(self.name, value, kind, said)
        low, high = self.option.min, self.option.max
        if (low is not None and not low <= value) or (high is not None and not value <= high):
            raise BadQuery(f"{self.name} {value}: expected {low} to {high:,}")


@cache
def options() -> tuple[Declared, ...]:
    """The search options, in the order of `Query`."""
    types = get_type_hints(Query, include_extras=True)
    found = []
    for one in fields(Query):
        kind, *more = get_args(types[one.name]) or (None,)
        if more and isinstance(more[0], Option):
            inner = [each for each in get_args(kind) if each is not type(None)] if type(None) in get_args(kind) else []
            declared = Declared(
                name=one.name,
                type=inner[0] if inner else kind,
                optional=bool(inner),
                default=one.default,
                option=more[0],
            )
            found.append(declared)
    return tuple(found)


def _several(one_or_more: str | Iterable[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else list(one_or_more)


def _expect(name: str, value: object, kind: Any, said: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadQuery(f"{name} {value!r}: expected {said}")
