"""The query object that the command line, Python and REST build, and every search option, declared once.

`oneword search`, the REST schema, the clients and the checks derive from the fields of `Query`; those that collections
know, too, are in `oneword.storage.options`.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, Unpack

from oneword.engine.config import MAX_PIECES
from oneword.engine.errors import BadRegion
from oneword.engine.regions import Region, region
from oneword.query.errors import BadQuery
from oneword.storage.config import MOST
from oneword.storage.filters import Filter, parse_filter
from oneword.storage.options import SCROLL, CommonOptions, Declared, Option, SearchFields, declared

if TYPE_CHECKING:
    import PIL.Image

    from oneword.engine.inputs import Image as DecodedImage

NEGATIVE = -0.5
"""Weight of a text that hits should be unlike. Half: with -1, a query and a near negative would cancel to noise."""

LIKED, UNLIKED = 0.75, -0.15
"""Weights of relevance feedback, each shared by the items of its kind, where the query's own parts have 1: Rocchio's
beta and gamma (The SMART Retrieval System, 1971) as Manning, Raghavan and Schütze have them (Introduction to
Information Retrieval, 2008, section 9.1.1)."""

MAX_WORDS = 50
"""Most words in an explanation."""

MAX_RERANKED = 200
"""Most hits that a reranker judges: each is a forward pass."""

INCLUDABLE = ("payload", "vector", "thumbnail")

PEERS = {
    "collection_name": "collection",
    "filter": "where",
    "filters": "where",
    "k": "limit",
    "n": "limit",
    "n_results": "limit",
    "negative": "without",
    "query": "text",
    "query_text": "text",
    "q": "text",
    "score_threshold": "min_score",
    "threshold": "min_score",
    "top_k": "limit",
    "topk": "limit",
}
"""What other search engines call an option, and what it is called here."""

ImageSource: TypeAlias = Union[str, Path, bytes, "PIL.Image.Image"]
"""An image in a query: a file's path, its encoded bytes, or a decoded image."""

Piece: TypeAlias = Union[str, Mapping[str, Any], "Image", Path, bytes, "PIL.Image.Image"]
"""A piece of a composed query, as people give it: words, or an image; `{"image": ...}` for one whose path is text."""

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
class OfImage(_Weighted):
    """What images and edits of images have in common.

    Args:
        crop: the region that is searched by: left, top, width and height, in shares of the upright image: (0.25, 0,
            0.5, 1) is its middle half. None: the whole.
    """

    image: "ImageSource | DecodedImage" = field(repr=False)
    crop: Region | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "crop", _region(self.crop))


@dataclass(frozen=True, kw_only=True)
class Image(OfImage):
    """An image, or a region of it."""


@dataclass(frozen=True, kw_only=True)
class Composed(OfImage):
    """An image, or a region of it, and how hits should differ from it. The image itself is never a hit."""

    edit: str


@dataclass(frozen=True, kw_only=True)
class Interleaved(_Weighted):
    """Images with words between them, in their order. None of the images is a hit.

    Args:
        pieces: 2 to 16 of them, at least one an image: `Image`s of weight 1, and words.
    """

    pieces: Sequence[Image | str]

    def __post_init__(self) -> None:
        super().__post_init__()
        images = [one for one in self.pieces if isinstance(one, Image)]
        if not 2 <= len(self.pieces) <= MAX_PIECES or not images:
            raise BadQuery(
                f"a composed query of {len(self.pieces)} pieces, {len(images)} of them images: expected 2 to "
                f"{MAX_PIECES} images and texts, at least one an image"
            )
        if weighted := [one.weight for one in images if one.weight != 1]:
            raise BadQuery(f"an image of weight {weighted[0]} in a composed query: expected images of weight 1")
        object.__setattr__(self, "pieces", tuple(self.pieces))

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "Interleaved":
        """From what people give. Raises BadQuery."""
        if isinstance(pieces, str | bytes | Mapping) or not isinstance(pieces, Sequence):
            raise BadQuery(f"composed {str(pieces)[:80]!r}: expected a list of images and texts")
        return cls(pieces=tuple(one if isinstance(one, str) else _image_of(one) for one in pieces))


@dataclass(frozen=True, kw_only=True)
class Like(_Weighted):
    """A stored item, by id. Needs no model. The item itself is never a hit."""

    id: str


@dataclass(frozen=True, kw_only=True)
class Vector(_Weighted):
    """A vector of the collection's space, of any length but zero. Needs no model."""

    values: Sequence[float] = field(repr=False)


Part = Text | Image | Composed | Interleaved | Like | Vector


@dataclass(frozen=True, kw_only=True)
class Query(SearchFields):
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

    invalid = BadQuery

    parts: tuple[Part, ...]
    filter: Filter | None = None
    include: frozenset[str] = frozenset({"payload"})
    limit: Annotated[int, Option(help="Number of hits.", min=1, max=MOST, hint=SCROLL, short="-k")] = 10
    modality: Annotated[Literal["image", "text"] | None, Option(help="Only hits of this modality.")] = None
    view: Annotated[str | None, Option(help="Fail unless the collection has this view.")] = None
    explain: Annotated[int, Option(help="Number of words that explain each hit.", min=0, max=MAX_WORDS)] = 0
    rerank: Annotated[
        str | None, Option(help="Reranker that judges the best hits again; auto: that of the service.")
    ] = None
    rerank_depth: Annotated[int, Option(help="Number of best hits that it judges.", min=1, max=MAX_RERANKED)] = 50
    rerank_seconds: Annotated[
        float, Option(help="Time that it may take (s); then the first ranking is the answer.", min=0, max=60)
    ] = 5.0

    def __post_init__(self) -> None:
        if not self.parts and self.keywords is None:
            raise BadQuery("the query is empty: expected a text, an image, an item to be like, a vector, or keywords")
        super().__post_init__()
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

        Beside other parts, `like` and `unlike` are relevance feedback, with Rocchio's weights (`LIKED`, `UNLIKED`).

        Args:
            parts: see `Parts`.

        Raises:
            BadQuery: `edit` or `crop` without `image`, or as the class says.
            FilterError: `where` cannot be read.
            TypeError: there is no such option; a name that other search engines have is told ours.
        """
        given: dict[str, Any] = dict(parts)
        names = ("image", "edit", "crop", "composed", "where")
        image, edit, crop, composed, where = (given.pop(name, None) for name in names)
        like, unlike, without = (_several(given.pop(name, ())) for name in ("like", "unlike", "without"))
        if edit is not None and image is None:
            raise BadQuery(f"edit {edit!r} has no image to change: give an image too, or search for the text itself")
        if crop is not None and image is None:
            raise BadQuery(f"crop {crop!r} has no image to cut from: give an image too")
        mixed: list[Part] = [] if text is None else [Text(text=text)]
        if image is not None:
            whole = Image(image=image, crop=crop)
            mixed.append(whole if edit is None else Composed(image=image, crop=whole.crop, edit=edit))
        mixed += [] if composed is None else [Interleaved.of(composed)]
        mixed += feedback(like, unlike, beside=bool(mixed))
        mixed += [Text(text=one, weight=NEGATIVE) for one in without]
        include = frozenset(given.pop("include", ("payload",)))
        known = [one.name for one in options()]
        if unknown := [name for name in given if name not in known]:
            hint = suggestion(unknown[0], [*known, *Parts.__annotations__])
            raise TypeError(f"there is no search option {unknown[0]!r}{hint}")
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
    rerank: str | None
    rerank_depth: int
    rerank_seconds: float


class Parts(Options, total=False):
    """What `Query.of` and every `search` take by name: what to search by, and `Options`.

    image, edit: an image, and how hits should differ from it. crop: the region of the image to search by: left, top,
    width and height in shares of the image. composed: images and words in their order, as one composed query. like,
    unlike: ids of stored items that hits should resemble, or not. without: texts that hits should be unlike. where: a
    filter.
    """

    image: ImageSource | None
    edit: str | None
    crop: Sequence[float] | None
    composed: Sequence[Piece] | None
    like: str | Iterable[str]
    unlike: str | Iterable[str]
    without: str | Iterable[str]
    where: Where | None


def feedback(like: Sequence[str], unlike: Sequence[str], *, beside: bool) -> list[Like]:
    """Returns liked and unliked items as parts: Rocchio's relevance feedback.

    Args:
        like, unlike: ids.
        beside: whether the query has parts of its own; if not, liked items are the query, each of weight 1.

    Raises:
        BadQuery: an item is both liked and unliked.
    """
    if both := set(like) & set(unlike):
        raise BadQuery(f"item {min(both)!r} is both liked and unliked: expected one of them")
    liked = LIKED / len(like) if like and beside else 1.0
    parts = [Like(id=one, weight=liked) for one in like]
    return parts + [Like(id=one, weight=UNLIKED / len(unlike)) for one in unlike]


def options() -> tuple[Declared, ...]:
    """The search options, in the order of `Query`'s fields."""
    return declared(Query)


def suggestion(name: str, known: Sequence[str]) -> str:
    """What a user who typed an unknown name may have meant, to be put after an error; empty if nothing is like it."""
    other = PEERS.get(name.replace("-", "_").lower())
    like = [other] if other in known else difflib.get_close_matches(name, known, 1)
    return f"; did you mean {like[0]!r}?" if like else ""


def _several(one_or_more: str | Iterable[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else list(one_or_more)


def _region(crop: Sequence[float] | None) -> Region | None:
    try:
        return None if crop is None else region(crop)
    except BadRegion as error:
        raise BadQuery(str(error)) from error


def _image_of(given: Any) -> Image:
    if isinstance(given, Image):
        return given
    if not isinstance(given, Mapping):
        return Image(image=given)
    if "image" not in given or not set(given) <= {"image", "crop"}:
        raise BadQuery(f"a piece with {', '.join(map(str, given))}: expected words, or an image with or without a crop")
    return Image(**given)


def _expect(name: str, value: object, kind: Any, expected: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadQuery(f"{name} {value!r}: expected {expected}")
