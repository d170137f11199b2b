"""The query object as JSON: its schema, and how it becomes a `Query`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import PIL.Image
from pydantic import ConfigDict, Discriminator, Field, StringConstraints, Tag, create_model

from oneword import engine
from oneword.engine.errors import BlankText
from oneword.engine.texts import is_blank
from oneword.query.errors import BadQuery
from oneword.query.query import (
    INCLUDABLE,
    NEGATIVE,
    Composed,
    Image,
    Like,
    Part,
    Query,
    Vector,
    options,
)
from oneword.query.query import Text as TextPart
from oneword.query.server.images import UPLOAD, Named
from oneword.query.server.limits import MAX_FILTER, MAX_HEAVY, MAX_PARTS, MAX_QUERIES
from oneword.query.server.problem import Problem
from oneword.query.server.requests import Body, Name, Number, Numbers, Picture, Text
from oneword.storage import FilterError, parse_filter

Filter = Annotated[
    Annotated[str, StringConstraints(max_length=MAX_FILTER)] | dict[str, Any],
    Field(
        description="An expression, or JSON with must / should / must_not.",
        examples=["width >= 640", {"must": {"field": "format", "match": "png"}}],
    ),
]
Include = Annotated[
    tuple[Literal["payload", "vector", "thumbnail"], ...],
    Field(max_length=len(INCLUDABLE), description="What to return besides id, score and modality."),
]


class _Weighted(Body):
    weight: Annotated[Number, Field(description="Below zero: less like this.", examples=[-0.3])] = 1.0


class TextIn(_Weighted):
    """A text."""

    text: Text


class ImageIn(_Weighted):
    """An image."""

    image: Picture


class Edited(Body):
    """An image and how hits should differ from it."""

    image: Picture
    edit: Text


class ComposedIn(_Weighted):
    """An image and an edit, embedded together."""

    composed: Edited


class LikeIn(_Weighted):
    """A stored item, by id."""

    like: Name


class VectorIn(_Weighted):
    """A vector of the collection's space."""

    vector: Numbers


_KINDS = {"text": TextIn, "image": ImageIn, "composed": ComposedIn, "like": LikeIn, "vector": VectorIn}


def _kind(value: Any) -> str:
    given = value if isinstance(value, Mapping) else vars(value) if hasattr(value, "__dict__") else {}
    return next((f"({kind})" for kind in _KINDS if kind in given), "(text)")


PartIn = Annotated[
    Annotated[TextIn, Tag("(text)")]
    | Annotated[ImageIn, Tag("(image)")]
    | Annotated[ComposedIn, Tag("(composed)")]
    | Annotated[LikeIn, Tag("(like)")]
    | Annotated[VectorIn, Tag("(vector)")],
    Discriminator(_kind),
]


def part_of(part: PartIn, images: Iterator[PIL.Image.Image]) -> Part:
    """A part of a query; its image is the next one of `images`. Raises BadQuery."""
    match part:
        case TextIn():
            return TextPart(text=part.text, weight=part.weight)
        case ImageIn():
            return Image(image=next(images), weight=part.weight)
        case ComposedIn():
            return Composed(image=next(images), edit=part.composed.edit, weight=part.weight)
        case LikeIn():
            return Like(id=part.like, weight=part.weight)
        case VectorIn():
            return Vector(values=part.vector, weight=part.weight)


def _fields(*, fusion: bool) -> dict[str, Any]:
    """Fields of `QueryIn`, or of `Hybrid`, for the options that `Query` declares."""
    found: dict[str, Any] = {}
    for one in options():
        if one.option.fusion == fusion:
            kind = {float: Number, str: Text if one.option.long else Name}.get(one.type, one.type)
            about = Field(ge=one.option.min, le=one.option.max, description=one.option.help)
            found[one.name] = (Annotated[kind | None if one.optional else kind, about], one.default)
    return found


if TYPE_CHECKING:

    class _Fusion(Body):
        pass

    class _Options(Body):
        keywords: str | None
        limit: int
        version: int | None
        view: str | None
else:
    _Fusion = create_model("Fusion", __base__=Body, **_fields(fusion=True))
    _Options = create_model("Options", __base__=Body, **_fields(fusion=False))


class Hybrid(_Fusion):
    """Combines the rankings by vector and by keywords."""

    keywords: Annotated[Text | None, Field(description="Default: `text`.")] = None


class QueryIn(_Options):
    """What to search for, and which hits to return. At least one part, or keywords."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "a cat"},
                {"parts": [{"text": "red dress", "weight": 0.6}, {"text": "blurry", "weight": -0.3}], "limit": 20},
                {"image": "https://example.org/dress.jpg", "edit": "but red and longer", "filter": "width >= 64"},
            ]
        }
    )

    text: Annotated[Text | None, Field(description="A text; shorthand for a part.")] = None
    image: Annotated[Picture | None, Field(description="An image; with `edit`, a composed query.")] = None
    edit: Annotated[Text | None, Field(description="How hits should differ from `image`.")] = None
    like: Annotated[
        Name | Annotated[list[Name], Field(max_length=MAX_PARTS, fail_fast=True)] | None, Field(description="Ids.")
    ] = None
    not_: Annotated[
        Text | Annotated[list[Text], Field(max_length=MAX_PARTS, fail_fast=True)] | None,
        Field(alias="not", description=f"Texts that hits should be unlike: parts of weight {NEGATIVE}."),
    ] = None
    vector: Numbers | None = None
    parts: list[PartIn] = Field(default_factory=list, max_length=MAX_PARTS, fail_fast=True)
    filter: Filter | None = None
    hybrid: Annotated[bool | Hybrid, Field(description="true: use `text` as keywords too.")] = False
    with_: Include = Field(alias="with", default=("payload",))

    def pictures(self) -> list[Named]:
        """The query's pictures as they are given, each with its field, in the order in which `query` takes them."""
        named: list[Named] = [] if self.image is None else [(self.image, "image")]
        for place, part in enumerate(self.parts):
            if isinstance(part, ImageIn):
                named.append((part.image, f"parts[{place}].image"))
            elif isinstance(part, ComposedIn):
                named.append((part.composed.image, f"parts[{place}].composed.image"))
        return named

    def query(self, pictures: Sequence[engine.Image]) -> Query:
        """The query, with its pictures decoded.

        Raises:
            Problem: it contradicts itself, or its filter cannot be read.
        """
        for text, field in self._texts():
            if is_blank(text):
                raise Problem.of(BlankText(f"{field} is blank: expected a visible character"), field=field)
        try:
            if self.limit > MAX_HEAVY and {"vector", "thumbnail"} & set(self.with_):
                raise BadQuery(f"limit {self.limit}: expected at most {MAX_HEAVY} with vectors or thumbnails")
            parts = self._parts(iter(one.pixels for one in pictures))
            hybrid = self.hybrid if isinstance(self.hybrid, Hybrid) else Hybrid()
            chosen: dict[str, Any] = {
                one.name: getattr(hybrid if one.option.fusion else self, one.name) for one in options()
            }
            return Query(
                parts=tuple(parts),
                filter=filter_of(self.filter),
                include=frozenset(self.with_),
                **chosen | {"keywords": self._keywords(hybrid)},
            )
        except BadQuery as error:
            raise Problem.of(error) from error

    def _texts(self) -> Iterator[Named]:
        """What a model has to read, each with its field."""
        if self.text is not None:
            yield self.text, "text"
        if self.edit is not None:
            yield self.edit, "edit"
        for place, part in enumerate(self.parts):
            if isinstance(part, TextIn):
                yield part.text, f"parts[{place}].text"
            elif isinstance(part, ComposedIn):
                yield part.composed.edit, f"parts[{place}].composed.edit"
        for place, text in enumerate(_several(self.not_)):
            yield text, "not" if isinstance(self.not_, str) else f"not[{place}]"

    def _parts(self, images: Iterator[PIL.Image.Image]) -> list[Part]:
        parts: list[Part] = [] if self.text is None else [TextPart(text=self.text)]
        if self.image is not None:
            pixels = next(images)
            parts.append(Image(image=pixels) if self.edit is None else Composed(image=pixels, edit=self.edit))
        elif self.edit is not None:
            raise BadQuery("`edit` has no picture to change: give `image` too, or put the words into `text`")
        parts += [Like(id=one) for one in _several(self.like)]
        parts += [] if self.vector is None else [Vector(values=self.vector)]
        for place, part in enumerate(self.parts):
            try:
                parts.append(part_of(part, images))
            except BadQuery as error:
                raise Problem.of(error, field=f"parts[{place}]") from error
        parts += [TextPart(text=one, weight=NEGATIVE) for one in _several(self.not_)]
        if len(parts) > MAX_PARTS:
            raise BadQuery(f"the query has {len(parts)} parts: expected at most {MAX_PARTS}")
        return parts

    def _keywords(self, hybrid: Hybrid) -> str | None:
        keywords = self.keywords or hybrid.keywords
        if not self.hybrid or keywords is not None:
            return keywords
        if self.text is None:
            raise BadQuery("`hybrid` takes the words of `text`, of which there are none: give `text`, or `keywords`")
        return self.text


class QueriesIn(Body):
    """Several queries on one version; each has its own result."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"queries": [{"text": "a cat"}, {"keywords": "owl"}]}]})

    queries: Annotated[list[QueryIn], Field(min_length=1, max_length=MAX_QUERIES, fail_fast=True)]


def filter_of(given: str | dict[str, Any] | None) -> Any:
    """A filter as requests have it. Raises Problem."""
    if given is None:
        return None
    try:
        return parse_filter(given)
    except FilterError as error:
        raise Problem.of(error, field="filter") from error


def adopted(query: QueryIn, uploads: Mapping[str, bytes]) -> QueryIn:
    """A query that takes an uploaded `image` to which nothing refers for its own."""
    if "image" not in uploads or any(text == f"{UPLOAD}image" for text, _ in query.pictures()) or query.image:
        return query
    return query.model_copy(update={"image": f"{UPLOAD}image"})


def _several(given: str | Sequence[str] | None) -> Sequence[str]:
    return () if given is None else (given,) if isinstance(given, str) else given
