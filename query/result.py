"""Answers. This file imports neither numpy nor the store, as commands that ask a service need neither."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oneword.engine.files import part_of
from oneword.engine.words import Word
from oneword.query.matching import excerpt, matching_line

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from oneword import storage


FITTING = 0.8
"""A best hit of lower confidence may be what is found where nothing fits."""
DOUBTFUL = 0.5


@dataclass(frozen=True, kw_only=True)
class Hit:
    """An item found.

    Args:
        id: of the item, for `like`.
        score: cosine similarity to the query, -1 to 1; with keywords BM25, or what the fusion of both gives.
        confidence: share of unrelated queries whose best hit of this modality scores lower, 0 to 1; None: not known.
        rerank_score: what a reranker gives for the query and this hit, on its own scale; None: it did not judge it.
        modality: "image" (with its caption, if any, in `text`) or "text".
        image_text: text that the image shows, if it was looked for; of a long one a part.
        matched: the line of it that a keyword of the query matches, if any does.
        uri: where the original is.
        words: the item's words; empty if no explanation was requested.
        shared: words of both the item and the query.
        vector: float32 (d,), if it was asked for.
        thumbnail: an encoded small image, if it was asked for and there is one.
    """

    id: str
    score: float
    confidence: float | None = None
    rerank_score: float | None = None
    modality: str
    uri: str = ""
    text: str | None = None
    image_text: str | None = None
    matched: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[Word, ...] = ()
    shared: tuple[Word, ...] = ()
    vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    thumbnail: bytes | None = field(default=None, repr=False)

    @property
    def doubtful(self) -> bool:
        """Whether the best hit of most unrelated queries scores higher."""
        return self.confidence is not None and self.confidence < DOUBTFUL

    @property
    def part(self) -> str | None:
        """Which part of its file it is, for people: `page 3 of 12`, `1:05 of 2:00`; None for a file of its own."""
        facts = self.metadata
        if part_of(self.uri) is None:
            return None
        if "page" in facts and "pages" in facts:
            return f"page {facts['page']} of {facts['pages']}"
        start, end = facts.get("start"), facts.get("duration")
        if isinstance(start, int | float) and isinstance(end, int | float):
            return f"{clock(start)} of {clock(end)}"
        return None

    @classmethod
    def of(cls, hit: storage.Hit, keywords: Set[str] = frozenset()) -> Hit:
        """The public face of a store's hit. keywords: as `oneword.query.matching.tokens` returns them."""
        item = hit.item
        line = matching_line(item.image_text, keywords) if item.image_text and keywords else None
        return cls(
            id=item.id,
            score=hit.score,
            confidence=hit.confidence,
            modality=item.modality,
            uri=item.uri,
            text=item.text,
            image_text=item.image_text and excerpt(item.image_text, line),
            matched=line and excerpt(line),
            metadata={key: value for key, value in item.metadata.items() if not key.startswith("_")},
            thumbnail=item.thumbnail,
        )

    def as_dict(self, *, payload: bool = True) -> dict[str, Any]:
        """JSON-ready; the thumbnail as a data URI. payload: with uri, text and metadata."""
        document: dict[str, Any] = {"id": self.id, "score": round(self.score, 6), "modality": self.modality}
        if self.confidence is not None:
            document["confidence"] = round(self.confidence, 4)
        if self.rerank_score is not None:
            document["rerank_score"] = round(self.rerank_score, 6)
        if payload:
            document |= {"uri": self.uri, "text": self.text, "metadata": plain(self.metadata)}
            if self.image_text is not None:
                document["image_text"] = self.image_text
            if self.matched is not None:
                document["matched"] = self.matched
        if self.vector is not None:
            document["vector"] = self.vector.tolist()
        if self.thumbnail is not None:
            document["thumbnail"] = data_uri(self.thumbnail)
        if self.words:
            document["explain"] = {
                "words": [word.as_dict() for word in self.words],
                "shared": [word.as_dict() for word in self.shared],
            }
        return document


def clock(seconds: float) -> str:
    """Seconds as a player shows them: `1:05`, `1:00:05`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as JSON takes it: times in ISO 8601."""
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in metadata.items()}


def data_uri(thumbnail: bytes) -> str:
    """A thumbnail as a data URI."""
    return f"data:{media_type(thumbnail)};base64,{base64.b64encode(thumbnail).decode()}"


def media_type(thumbnail: bytes) -> str:
    """image/webp or image/jpeg: what thumbnails are."""
    return "image/webp" if thumbnail.startswith(b"RIFF") else "image/jpeg"


_COLUMNS = ("id", "score", "modality", "uri", "text")

SHOWN = 200
"""Characters of a text in a notebook."""


def _listed(words: Sequence[Word]) -> str:
    return html.escape(", ".join(word.text for word in words))


def _figure(hit: Hit, thumbnail: bytes | None) -> str:
    words = html.escape((hit.text or "")[:SHOWN])
    name = html.escape(hit.uri.rsplit("/", 1)[-1] or hit.id)
    image = f'<img src="{data_uri(thumbnail)}" style="max-width:160px;max-height:160px" alt="">' if thumbnail else ""
    shared = f'<div style="color:green">{_listed(hit.shared)}</div>' if hit.shared else ""
    return (
        f'<figure style="width:160px;margin:0" title="{html.escape(hit.id)}">{image}<div>{words}</div>{shared}'
        f'<figcaption style="font-size:small">{hit.score:.3f} {name}</figcaption></figure>'
    )


@dataclass(frozen=True, kw_only=True)
class Reranked:
    """What became of judging the best hits again.

    Args:
        model: the reranker.
        judged: hits that have a score of it, and were ordered by it; 0: the first ranking is the answer.
        reason: why it is; None: hits were judged.
        ms: what it took.
    """

    model: str
    judged: int
    reason: str | None = None
    ms: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        document: dict[str, Any] = {"model": self.model, "judged": self.judged, "ms": round(self.ms, 3)}
        return document if self.reason is None else document | {"reason": self.reason}


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """Hits, best first, and how they came about. Iterates over the hits.

    Args:
        total: items that pass the filters, of which the hits are a page; None with a least score or confidence, groups,
            or copies that are left out.
        version: of the collection that was searched; a query for the next page names it.
        encode_ms: time to embed the query; loading the model is not counted.
        search_ms: time to find the neighbors.
        model: whose space was searched.
        collection: its name.
        words: the query's words; empty if no explanation was requested.
        shortened: texts of the query that are longer than the model reads; each was cut, at a sentence if possible.
        reranked: what became of judging the best hits again; None: it was not asked for, or the page lies beyond them.
        fetch: returns thumbnails by id, for a notebook.
    """

    hits: tuple[Hit, ...]
    total: int | None = None
    version: int
    encode_ms: float
    search_ms: float
    model: str
    collection: str
    words: tuple[Word, ...] = ()
    shortened: int = 0
    reranked: Reranked | None = None
    fetch: Callable[[Sequence[str]], Mapping[str, bytes]] | None = field(default=None, repr=False, compare=False)

    @property
    def fits(self) -> bool:
        """Whether something found fits, as far as confidences are known."""
        best = max((hit.confidence for hit in self.hits if hit.confidence is not None), default=None)
        return best is None or best >= FITTING

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: {"hits": [...], "total"?, "timings": {"encode_ms", "search_ms"}, "model", "collection",
        "version"}."""
        return {"hits": [hit.as_dict() for hit in self.hits], **self.about()}

    def to_list(self) -> list[dict[str, Any]]:
        """Returns a dictionary for each hit, JSON-ready."""
        return [hit.as_dict() for hit in self.hits]

    def to_arrow(self) -> pa.Table:
        """Returns a table of id, score, modality, uri, text and metadata (as JSON).

        And of image_text and vector, if hits have one.
        """
        import pyarrow as pa

        names = [*_COLUMNS, *["image_text"] * any(hit.image_text is not None for hit in self.hits)]
        columns: dict[str, Any] = {name: [getattr(hit, name) for hit in self.hits] for name in names}
        columns["metadata"] = [json.dumps(plain(hit.metadata), ensure_ascii=False) for hit in self.hits]
        kinds = [pa.field(name, pa.float64() if name == "score" else pa.string()) for name in columns]
        if any(hit.vector is not None for hit in self.hits):
            columns["vector"] = [None if hit.vector is None else hit.vector.tolist() for hit in self.hits]
            kinds.append(pa.field("vector", pa.list_(pa.float32())))
        return pa.table(columns, schema=pa.schema(kinds))

    def to_pandas(self) -> Any:
        """Returns a data frame of the same columns, with metadata as dictionaries. Needs pandas."""
        frame = self.to_arrow().to_pandas()
        frame["metadata"] = [dict(hit.metadata) for hit in self.hits]
        return frame

    def _repr_html_(self) -> str:
        """A grid of thumbnails, for notebooks."""
        images = self.thumbnails()
        figures = "".join(_figure(hit, images.get(hit.id)) for hit in self.hits)
        about = f"<p>Words of the query: {_listed(self.words)}</p>" if self.words else ""
        return f'{about}<div style="display:flex;flex-wrap:wrap;gap:12px">{figures}</div>'

    def thumbnails(self) -> dict[str, bytes]:
        """Returns the thumbnails of images by id, those that were not asked for, too."""
        missing = [hit.id for hit in self.hits if hit.thumbnail is None and hit.modality == "image"]
        fetched = dict(self.fetch(missing)) if self.fetch is not None and missing else {}
        return fetched | {hit.id: hit.thumbnail for hit in self.hits if hit.thumbnail is not None}

    def about(self) -> dict[str, Any]:
        """As `as_dict`, but without the hits."""
        document: dict[str, Any] = {
            "timings": {"encode_ms": round(self.encode_ms, 3), "search_ms": round(self.search_ms, 3)},
            "model": self.model,
            "collection": self.collection,
            "version": self.version,
        }
        if self.total is not None:
            document["total"] = self.total
        if self.words:
            document["explain"] = {"words": [word.as_dict() for word in self.words]}
        if self.shortened:
            document["shortened"] = self.shortened
        if self.reranked is not None:
            document["reranked"] = self.reranked.as_dict()
        return document
