"""The options that a search in a collection and a query have in common, each declared once.

To add one, add a field to `SearchFields` and its type to `CommonOptions`, and give it its meaning in
`oneword.storage.search`: `oneword search`, the REST schema, the clients and the checks derive from the field. An option
that collections know nothing of is a field of `oneword.query.query.Query`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypedDict, get_args, get_type_hints

from oneword.errors import Error
from oneword.storage.config import MOST, MOST_SKIPPED
from oneword.storage.errors import BadSearch

Fusion: TypeAlias = Literal["rrf", "weighted"]
SCROLL = "; to read everything, scroll through the collection"


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a search option is besides its type and default.

    Args:
        help: one sentence.
        min, max: its bounds.
        hint: what to do instead of a value out of bounds.
        fusion: REST has it in the object `hybrid`.
        long: text that may be as long as a text to search by; otherwise as long as a name.
        short: on the command line.
    """

    help: str
    min: float | None = None
    max: float | None = None
    hint: str = ""
    fusion: bool = False
    long: bool = False
    short: str | None = None


class CommonOptions(TypedDict, total=False):
    """The fields of `SearchFields`, for type checkers: a test compares them."""

    limit: int
    offset: int
    min_score: float | None
    min_confidence: float | None
    diversity: float
    group_by: str | None
    fold_copies: float | None
    keywords: str | None
    fusion: Fusion
    keyword_weight: float
    version: int | None


@dataclass(frozen=True, kw_only=True)
class SearchFields:
    """Fields of `SearchOptions` and of `Query`; their help and bounds are those of their `Option`.

    Raises:
        invalid: a value is of another type, or out of bounds.
    """

    invalid: ClassVar[type[Error]] = BadSearch

    limit: Annotated[int, Option(help="Number of hits.", min=0, max=MOST, hint=SCROLL)] = 10
    offset: Annotated[int, Option(help="Hits to skip, for the next page.", min=0, max=MOST_SKIPPED, hint=SCROLL)] = 0
    min_score: Annotated[float | None, Option(help="Lowest cosine similarity of a hit.")] = None
    min_confidence: Annotated[
        float | None,
        Option(help="Lowest confidence of a hit: the share of unrelated queries that score lower.", min=0, max=1),
    ] = None
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
    fold_copies: Annotated[
        float | None,
        Option(help="Leave out hits that are this similar to a better one, such as 0.97; 1: equal ones.", min=0, max=1),
    ] = None
    version: Annotated[
        int | None, Option(help="Version to search, so that pages are consistent.", min=1, max=2**63 - 1)
    ] = None

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for one in declared(kind):
            value = getattr(self, one.name)
            if value is one.default:
                continue
            if problem := one.problem(value):
                raise self.invalid(f"{one.name} {value!r}: expected {problem}")
            if isinstance(value, Integral):  # of numpy
                object.__setattr__(self, one.name, int(value))


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A search option. type: without None, if that is allowed; optional: whether it is."""

    name: str
    type: Any
    optional: bool
    default: Any
    option: Option

    def problem(self, value: Any) -> str:
        """What was expected instead of a value of another type or out of bounds; empty if it is right."""
        if value is None and self.optional:
            return ""
        if choices := get_args(self.type):
            return "" if value in choices else " or ".join(map(repr, choices))
        kind, description = _KINDS[self.type]
        low, high = self.option.min, self.option.max
        within = (low is None or low <= value) and (high is None or value <= high) if _is(value, kind) else False
        bounds = "" if low is None else f" from {low:,} to {high:,}{self.option.hint}"
        return "" if within else f"{description}{bounds}"


_KINDS: dict[Any, tuple[Any, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
}


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and bool(value == value)  # not NaN


@cache
def declared(kind: Any) -> tuple[Declared, ...]:
    """The search options among the fields of a dataclass, in their order."""
    types = get_type_hints(kind, include_extras=True)
    found = []
    for one in fields(kind):
        inner, *more = get_args(types[one.name]) or (None,)
        if more and isinstance(more[0], Option):
            given = (
                [each for each in get_args(inner) if each is not type(None)] if type(None) in get_args(inner) else []
            )
            made = Declared(
                name=one.name,
                type=given[0] if given else inner,
                optional=bool(given),
                default=one.default,
                option=more[0],
            )
            found.append(made)
    return tuple(found)
