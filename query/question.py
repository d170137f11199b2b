"""The one query object that the command line, Python and any service build."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import PIL.Image

from oneword.query.errors import BadQuery
from oneword.storage import Filter

NEGATIVE = -0.5
"""Weight of an unwanted part. Half: with -1, a query and a near negative would cancel to noise."""

MAX_LIMIT = 10_000
"""Most hits in one answer."""

MAX_WORDS = 50
"""Most words in an explanation."""

INCLUDABLE = ("payload", "vector", "thumbnail")

Picture = str | Path | bytes | PIL.Image.Image
"""A picture in a question: a file's path, its encoded bytes, or a decoded image."""


@dataclass(frozen=True, kw_only=True)
class _Weighted:
    weight: float = 1.0

    def __post_init__(self) -> None:
        _expect("weight", self.weight, Real, "a number")
        if not math.isfinite(self.weight) or self.weight == 0:
            raise BadQuery(f"weight {self.weight!r}: expected a finite number other than zero")


@dataclass(frozen=True, kw_only=True)
class Text(_Weighted):
    """Words."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Image(_Weighted):
    """A picture."""

    image: Picture = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Composed(_Weighted):
    """A picture and how it should differ. The picture itself is never a hit."""

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
class Query:
    """A weighted mix of parts, and which hits are wanted.

    Args:
        parts: at least one. The question's vector is the normalised sum of weight x unit vector.
        filter: only items that pass it (see `oneword.storage.parse_filter`).
        modality: "image" or "text": only such items.
        limit: most hits, 1 to 10,000.
        offset: hits to skip, for the next page.
        min_score: lowest score: cosine similarity, or BM25 where there are keywords alone.
        view: the view that the collection must have been indexed with.
        keywords: words that texts and captions must have (any of them); fused with the nearest, or alone.
        fusion: "rrf" (reciprocal ranks) or "weighted" (normalised scores).
        keyword_weight: of the keywords in a weighted fusion, 0 to 1.
        diversity: 0 for the nearest; towards 1, hits differ more from those above them.
        group_by: a field, such as `folder` or `metadata.document`, of which every value comes once, by its best hit.
        version: of the collection, as an earlier answer told it: so that pages join while others write.
        explain: how many words to say why with, for the question and for each hit; 0 for none.
        include: what hits have besides id, score and modality: "payload" (uri, text, metadata), "vector", "thumbnail".

    Raises:
        BadQuery: out of range, or no parts.
    """

    parts: tuple[Part, ...]
    filter: Filter | None = None
    modality: str | None = None
    limit: int = 10
    offset: int = 0
    min_score: float | None = None
    view: str | None = None
    explain: int = 0
    keywords: str | None = None
    fusion: str = "rrf"
    keyword_weight: float = 0.5
    diversity: float = 0.0
    group_by: str | None = None
    version: int | None = None
    include: frozenset[str] = frozenset({"payload"})

    def __post_init__(self) -> None:
        if not self.parts and self.keywords is None:
            raise BadQuery("the query is empty: expected a text, an image, an item to be like, a vector, or keywords")
        for name in ("limit", "offset", "explain"):
            _expect(name, getattr(self, name), Integral, "a whole number")
        if self.min_score is not None:
            _expect("min_score", self.min_score, Real, "a number")
        if self.keywords is not None:
            _expect("keywords", self.keywords, str, "words")
        if self.keywords is not None and not self.keywords.strip():
            raise BadQuery(f"keywords {self.keywords!r}: expected words, or none")
        if not self.parts and self.explain:
            raise BadQuery("keywords alone have no vector to explain: add a text, or leave the explanation out")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise BadQuery(f"limit {self.limit}: expected 1 to {MAX_LIMIT:,}")
        if self.offset < 0:
            raise BadQuery(f"offset {self.offset}: expected 0 or more")
        if self.modality not in (None, "image", "text"):
            raise BadQuery(f"modality {self.modality!r}: expected 'image' or 'text'")
        if self.min_score is not None and not -1 <= self.min_score <= (1 if self.parts else math.inf):
            raise BadQuery(f"min_score {self.min_score}: expected -1 to 1, a cosine similarity")
        if not 0 <= self.explain <= MAX_WORDS:
            raise BadQuery(f"explain {self.explain}: expected 0 to {MAX_WORDS} words")
        if unknown := set(self.include) - set(INCLUDABLE):
            raise BadQuery(f"include {', '.join(sorted(unknown))!r}: expected some of {', '.join(INCLUDABLE)}")

    @classmethod
    def of(
        cls,
        text: str | None = None,
        *,
        image: Picture | None = None,
        edit: str | None = None,
        like: str | Iterable[str] = (),
        without: str | Iterable[str] = (),
        where: str | Mapping[str, Any] | Filter | None = None,
        modality: str | None = None,
        limit: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        view: str | None = None,
        explain: int = 0,
        keywords: str | None = None,
        fusion: str = "rrf",
        keyword_weight: float = 0.5,
        diversity: float = 0.0,
        group_by: str | None = None,
        version: int | None = None,
        include: Iterable[str] = ("payload",),
    ) -> "Query":
        """A query from what people type. `image` with `edit` is a composed query.

        Args:
            like: ids of stored items.
            without: texts that hits should be unlike.
            where: a filter, or one in words (`format = png and width >= 640`) or as JSON (`{"must": [...]}`).

        Raises:
            BadQuery: `edit` without `image`, or as the class says.
            FilterError: `where` cannot be read.
        """
        parts: list[Part] = []
        if text is not None:
            parts.append(Text(text=text))
        if edit is not None and image is None:
            raise BadQuery(f"edit {edit!r} has no picture to change: give an image too, or ask for the text itself")
        if image is not None:
            parts.append(Image(image=image) if edit is None else Composed(image=image, edit=edit))
        parts += [Like(id=one) for one in _several(like)]
        parts += [Text(text=one, weight=NEGATIVE) for one in _several(without)]
        if where is not None:
            from oneword.storage import parse_filter

            where = parse_filter(where)
        return cls(
            parts=tuple(parts),
            filter=where,
            modality=modality,
            limit=limit,
            offset=offset,
            min_score=min_score,
            view=view,
            explain=explain,
            keywords=keywords,
            fusion=fusion,
            keyword_weight=keyword_weight,
            diversity=diversity,
            group_by=group_by,
            version=version,
            include=frozenset(include),
        )


def _several(one_or_more: str | Iterable[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else list(one_or_more)


def _expect(name: str, value: object, kind: type, said: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadQuery(f"{name} {value!r}: expected {said}")
