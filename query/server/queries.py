"""The query object as JSON: its schema, and how it becomes a `Query`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag, create_model

from oneword import engine
from oneword.engine.config import MAX_PIECES
from oneword.engine.errors import BadRegion, BlankText
from oneword.engine.regions import region
from oneword.engine.texts import is_blank
from oneword.query.errors import BadQuery
from oneword.query.query import (
    INCLUDABLE,
    LIKED,
    NEGATIVE,
    UNLIKED,
    Composed,
    Image,
    Interleaved,
    Like,
    Part,
    Query,
    Vector,
    feedback,
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


def _within(crop: list[float]) -> list[float]:
    try:
        return list(region(crop))
    except BadRegion as error:
        raise ValueError(str(error)) from None


Crop = Annotated[
    list[Number],
    Field(
        min_length=4,
        max_length=4,
        description="The region to search by: left, top, width and height, in shares of the upright image.",
        examples=[[0.25, 0, 0.5, 1]],
    ),
    AfterValidator(_within),
]


class _Weighted(Body):
    weight: Annotated[Number, Field(description="Below zero: less like this.", examples=[-0.3])] = 1.0


class TextIn(_Weighted):
    """A text."""

    text: Text


class ImageIn(_Weighted):
    """An image, or a region of it."""

    image: Picture
    crop: Crop | None = None


class Shown(Body):
    """An image between words, or a region of it."""

    image: Picture
    crop: Crop | None = None


class Edited(Shown):
    """An image and how hits should differ from it."""

    edit: Text


InterleavedIn = Annotated[
    list[
        Annotated[
            Annotated[Text, Tag("(text)")] | Annotated[Shown, Tag("(image)")],
            Discriminator(lambda value: "(text)" if isinstance(value, str) else "(image)"),
        ]
    ],
    Field(
        min_length=2,
        max_length=MAX_PIECES,
        fail_fast=True,
        description="Images and words in their order, at least one image; a model by prompt reads them in one pass.",
        examples=[[{"image": "upload:sofa"}, "the sofa of this", {"image": "upload:room"}, "in the room of this"]],
    ),
]


class ComposedIn(_Weighted):
    """An image and an edit, or images with words between them, embedded together."""

    composed: Annotated[
        Annotated[Edited, Tag("(edited)")] | Annotated[InterleavedIn, Tag("(pieces)")],
        Discriminator(lambda value: "(pieces)" if isinstance(value, list) else "(edited)"),
    ]


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


def part_of(part: PartIn, images: Iterator[engine.Image]) -> Part:
    """A part of a query; its images are the next ones of `images`, cropped already. Raises BadQuery."""
    match part:
        case TextIn():
            return TextPart(text=part.text, weight=part.weight)
        case ImageIn():
            return Image(image=next(images), weight=part.weight)
        case ComposedIn(composed=given):
            if isinstance(given, Edited):
                return Composed(image=next(images), edit=given.edit, weight=part.weight)
            return Interleaved(pieces=_pieces(given, images), weight=part.weight)
        case LikeIn():
            return Like(id=part.like, weight=part.weight)
        case VectorIn():
            return Vector(values=part.vector, weight=part.weight)


def _pieces(given: Sequence[str | Shown], images: Iterator[engine.Image]) -> tuple[str | Image, ...]:
    return tuple(one if isinstance(one, str) else Image(image=next(images)) for one in given)


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


Ids = Name | Annotated[list[Name], Field(max_length=MAX_PARTS, fail_fast=True)]


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
    crop: Annotated[Crop | None, Field(description="The region of `image` to search by.")] = None
    composed: Annotated[
        InterleavedIn | None, Field(description="Images and words in their order; shorthand for a part.")
    ] = None
    like: Annotated[Ids | None, Field(description=f"Ids; beside other parts of weight {LIKED} together.")] = None
    unlike: Annotated[Ids | None, Field(description=f"Ids; parts of weight {UNLIKED} together.")] = None
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
        """The query's images as they are given, each with its field, in the order in which `query` takes them."""
        named = [] if self.image is None else [Named(self.image, "image", self.crop)]
        named += shown(self.composed or (), "composed")
        for place, part in enumerate(self.parts):
            if isinstance(part, ImageIn):
                named.append(Named(part.image, f"parts[{place}].image", part.crop))
            elif isinstance(part, ComposedIn):
                named += shown(part.composed, f"parts[{place}].composed")
        return named

    def query(self, pictures: Sequence[engine.Image]) -> Query:
        """The query, with its images decoded.

        Raises:
            Problem: it contradicts itself, or its filter cannot be read.
        """
        for text, field in self._texts():
            if is_blank(text):
                raise Problem.of(BlankText(f"{field} is blank: expected a visible character"), field=field)
        try:
            if self.limit > MAX_HEAVY and {"vector", "thumbnail"} & set(self.with_):
                raise BadQuery(f"limit {self.limit}: expected at most {MAX_HEAVY} with vectors or thumbnails")
            parts = self._parts(iter(pictures))
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

    def _texts(self) -> Iterator[tuple[str, str]]:
        """What a model has to read, each with its field."""
        if self.text is not None:
            yield self.text, "text"
        if self.edit is not None:
            yield self.edit, "edit"
        yield from _written(self.composed or (), "composed")
        for place, part in enumerate(self.parts):
            if isinstance(part, TextIn):
                yield part.text, f"parts[{place}].text"
            elif isinstance(part, ComposedIn):
                yield from _written(part.composed, f"parts[{place}].composed")
        for place, text in enumerate(_several(self.not_)):
            yield text, "not" if isinstance(self.not_, str) else f"not[{place}]"

    def _parts(self, images: Iterator[engine.Image]) -> list[Part]:
        parts: list[Part] = [] if self.text is None else [TextPart(text=self.text)]
        if self.image is not None:
            image = next(images)
            parts.append(Image(image=image) if self.edit is None else Composed(image=image, edit=self.edit))
        elif self.edit is not None:
            raise BadQuery("`edit` has no image to change: give `image` too, or put the words into `text`")
        elif self.crop is not None:
            raise BadQuery("`crop` has no image to cut from: give `image` too")
        parts += [] if self.composed is None else [Interleaved(pieces=_pieces(self.composed, images))]
        parts += [] if self.vector is None else [Vector(values=self.vector)]
        for place, part in enumerate(self.parts):
            try:
                parts.append(part_of(part, images))
            except BadQuery as error:
                raise Problem.of(error, field=f"parts[{place}]") from error
        parts += feedback(_several(self.like), _several(self.unlike), beside=any(one.weight > 0 for one in parts))
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
    if "image" not in uploads or any(one.text == f"{UPLOAD}image" for one in query.pictures()) or query.image:
        return query
    return query.model_copy(update={"image": f"{UPLOAD}image"})


def shown(composed: Edited | Sequence[str | Shown], field: str) -> list[Named]:
    """The images of a composed query, each with its field and its region."""
    if isinstance(composed, Edited):
        return [Named(composed.image, f"{field}.image", composed.crop)]
    return [
        Named(one.image, f"{field}[{place}].image", one.crop)
        for place, one in enumerate(composed)
        if isinstance(one, Shown)
    ]


def _written(composed: Edited | Sequence[str | Shown], field: str) -> list[tuple[str, str]]:
    """The texts of a composed query, each with its field."""
    if isinstance(composed, Edited):
        return [(composed.edit, f"{field}.edit")]
    return [(one, f"{field}[{place}]") for place, one in enumerate(composed) if isinstance(one, str)]


def _several(given: str | Sequence[str] | None) -> Sequence[str]:
    return () if given is None else (given,) if isinstance(given, str) else given
