"""A database and its collections: the same names, arguments and results on this machine and behind a service."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, Unpack

from oneword.errors import Error
from oneword.indexer.options import JobConfig, Reading, SourceOptions
from oneword.query.client.answers import StoredItem, Upserted
from oneword.query.client.inputs import NewItem
from oneword.query.query import Parts, Query, Where
from oneword.query.result import SearchResult, data_uri
from oneword.storage.config import Format
from oneword.storage.info import By, CollectionInfo, CollectionSummary, Copies, Imported, IndexCheck
from oneword.storage.quarantine import QuarantinedInput
from oneword.storage.versions import Version

if TYPE_CHECKING:
    from oneword.indexer.enriching import Enriched
    from oneword.storage.rows import Rows

SAMPLE = 8
"""Items of a collection that a notebook shows."""


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """What indexing did, in numbers of inputs.

    Args:
        indexed: written: new and changed ones.
        unchanged: stored as they are.
        quarantined: could not be indexed; `Collection.quarantine` says why.
        deleted: items whose input is gone.
    """

    indexed: int
    unchanged: int
    quarantined: int
    deleted: int

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> "Indexed":
        """From the counts of a job."""
        return cls(**{name: int(counts.get(name, 0)) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class Target:
    """A collection by its name, and what it is made with if it does not exist yet."""

    name: str
    model: str
    view: str | None


class Backend(Protocol):
    """Where a database is. Methods as those of `Database` and `Collection`."""

    def collections(self) -> list[CollectionSummary]: ...
    def drop(self, name: str) -> None: ...
    def search(self, to: Target, query: str | Query | None, parts: Parts) -> SearchResult: ...
    def search_batch(self, to: Target, queries: Sequence[str | Query]) -> list[SearchResult]: ...
    def index(self, to: Target, paths: Sequence[str], options: SourceOptions, config: JobConfig) -> Indexed: ...
    def enrich(self, to: Target, reading: Reading) -> "Enriched": ...
    def upsert(self, to: Target, items: Iterable[NewItem | Mapping[str, Any]]) -> Upserted: ...
    def import_rows(self, to: Target, rows: "Rows") -> Imported: ...
    def get(self, to: Target, ids: Sequence[str], include: Sequence[str]) -> dict[str, StoredItem]: ...
    def delete(self, to: Target, ids: Sequence[str] | None, where: Where | None) -> int: ...
    def count(self, to: Target, where: Where | None) -> int: ...
    def scroll(self, to: Target, where: Where | None, page: int, include: Sequence[str]) -> Iterator[StoredItem]: ...
    def build(self, to: Target) -> None: ...
    def verify(self, to: Target) -> IndexCheck | None: ...
    def duplicates(self, to: Target, by: By, threshold: float | None, limit: int) -> list[Copies]: ...
    def quarantine(self, to: Target, limit: int) -> list[QuarantinedInput]: ...
    def versions(self, to: Target) -> list[Version]: ...
    def info(self, to: Target) -> CollectionInfo: ...
    def close(self) -> None: ...


class Collection:
    """Items of one model and view, by `Database.collection`. It is made by the first `index` or `upsert`.

    Every method raises `oneword.Error`; of a service, one of `oneword.query.client.errors`.
    """

    def __init__(self, backend: Backend, target: Target) -> None:
        self._backend, self._target = backend, target

    @property
    def name(self) -> str:
        """Its name."""
        return self._target.name

    def search(self, query: str | Query | None = None, **parts: Unpack[Parts]) -> SearchResult:
        """Returns nearest neighbors, best first.

        Args:
            query: words, or a whole `Query`.
            **parts: what `Query.of` takes by name: image, edit, like, without, where, limit, ...
        """
        return replace(self._backend.search(self._target, query, parts), fetch=self._thumbnails)

    def _thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        found = self.get(ids, include=("thumbnail",))
        return {id_: item.thumbnail for id_, item in found.items() if item.thumbnail is not None}

    def search_batch(self, queries: Sequence[str | Query]) -> list[SearchResult]:
        """Returns the results of several queries, whose texts and images are embedded together.

        Raises:
            Error: one of them cannot be answered.
        """
        return self._backend.search_batch(self._target, queries)

    def index(
        self,
        *paths: str | Path,
        options: SourceOptions = SourceOptions(),  # noqa: B008 - it is frozen
        config: JobConfig = JobConfig(),  # noqa: B008 - it is frozen
    ) -> Indexed:
        """Indexes files, folders, tables, shards, data sets and URLs; again, and only what is new or changed.

        Args:
            paths: of a service, as it sees them, under the folders that it lets jobs read.
            options: how the paths are read.
            config: how the job runs.
        """
        return self._backend.index(self._target, [str(path) for path in paths], options, config)

    def enrich(self, *, ocr: bool = False, decoders: int | None = None) -> "Enriched":
        """Adds what images show to a collection that lacks it, without embedding anything again; on this machine only.

        Args:
            ocr: the text that images show, for keywords.
            decoders: processes that read images; None: one fewer than there are cores.

        Raises:
            Error: nothing is to be added, or it is behind a service.
        """
        return self._backend.enrich(self._target, Reading(ocr=ocr, decoders=decoders))

    def upsert(self, items: Iterable[NewItem | Mapping[str, Any]]) -> Upserted:
        """Stores items, in place of those of the same ids; each is added, updated or refused by itself.

        Args:
            items: `NewItem`s, or mappings of their fields: id, text, image, vector, uri, metadata.

        Raises:
            Error: all of them are refused.
        """
        return self._backend.upsert(self._target, items)

    def import_vectors(
        self,
        source: Any,
        *,
        format: Format = "auto",  # noqa: A002
        columns: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        modality: Literal["image", "text"] | None = None,
        beside: str | Path | None = None,
    ) -> Imported:
        """Stores rows that have vectors already, in commits of bounded size; again, and nothing changes.

        A collection that does not exist is made for its `model`; `vectors:NAME:DIMENSIONS` is one that Oneword does not
        have, whose vectors are searched by vector or by stored item. Vectors are scaled to length 1.

        Args:
            source: an Arrow table, a data frame of pandas or polars, a Hugging Face Dataset, an open LanceDB table, or
                a path: of Parquet (also a folder), an Arrow file, `.npy`, a FAISS index, a LanceDB table
                (`DATABASE/NAME.lance`), a folder of clip-retrieval, Qdrant's points as JSON.
            format: of a path; "auto": by its name.
            columns: names of columns there, by ours: id, vector, text, uri, modality, width, height, thumbnail. Other
                columns become metadata.
            without: columns to leave out.
            modality: of rows that have none; None: "text" where there is a text, else "image".
            beside: of a matrix or a FAISS index, the file with its ids or facts, in the same order.

        Raises:
            Error: columns or rows that cannot be stored; all are named, and nothing was stored.
        """
        from oneword.storage.formats import open_rows

        rows = open_rows(source, format, beside=beside).mapped(columns or {}, without)
        return self._backend.import_rows(self._target, replace(rows, modality=modality or rows.modality))

    def get(self, ids: str | Iterable[str], *, include: Sequence[str] = ("payload",)) -> dict[str, StoredItem]:
        """Returns the items of these ids, by id; those that do not exist are left out.

        Args:
            include: what items have besides id and modality: "payload" (uri, text, metadata), "vector", "thumbnail".
        """
        return self._backend.get(self._target, _several(ids), include)

    def delete(self, ids: str | Iterable[str] | None = None, *, where: Where | None = None) -> int:
        """Deletes items by id, or all that pass a filter. Returns the number deleted."""
        return self._backend.delete(self._target, None if ids is None else _several(ids), where)

    def count(self, where: Where | None = None) -> int:
        """Returns the number of items, or of those that pass a filter."""
        return self._backend.count(self._target, where)

    def scroll(
        self, where: Where | None = None, *, page: int = 100, include: Sequence[str] = ("payload",)
    ) -> Iterator[StoredItem]:
        """Yields all items, or those that pass a filter, each once, of one version; read `page` at a time."""
        return self._backend.scroll(self._target, where, page, include)

    def build(self) -> None:
        """Builds the ANN index, and returns when searches use it."""
        self._backend.build(self._target)

    def verify(self) -> IndexCheck | None:
        """Compares the ANN index with the items, and measures its recall; None: there is none, searches are exact."""
        return self._backend.verify(self._target)

    def duplicates(self, by: By = "pixels", *, threshold: float | None = None, limit: int = 100) -> list[Copies]:
        """Returns groups of exact and near copies among the images, the largest first. Deletes nothing.

        Args:
            by: their pixels, or the meaning that their vectors have.
            threshold: least correlation of pixels (0.93 by default), or cosine similarity of vectors (0.97).
            limit: most groups.
        """
        return self._backend.duplicates(self._target, by, threshold, limit)

    def quarantine(self, limit: int = 100) -> list[QuarantinedInput]:
        """Returns inputs that could not be indexed, each with the reason."""
        return self._backend.quarantine(self._target, limit)

    def versions(self) -> list[Version]:
        """Returns the versions that are kept, oldest first; `search(version=...)` is of one of them."""
        return self._backend.versions(self._target)

    def info(self) -> CollectionInfo:
        """Returns what is known of the collection."""
        return self._backend.info(self._target)

    def __len__(self) -> int:
        return self.count()

    def __repr__(self) -> str:
        return f"Collection({self.name!r})"

    def _repr_html_(self) -> str:
        """What it holds, with a few of its items, for notebooks."""
        try:
            about = self.info()
        except Error as error:
            return html.escape(f"{self!r}: {error}")
        kinds = ", ".join(f"{count:,} {modality}s" for modality, count in about.by_modality.items() if count)
        line = html.escape(f"{about.name}: {kinds or 'no items'}; {about.model}; {', '.join(about.metadata_keys)}")
        first = islice(self.scroll(page=SAMPLE, include=("thumbnail",)), SAMPLE)
        images = [data_uri(item.thumbnail) for item in first if item.thumbnail is not None]
        shown = "".join(f'<img src="{image}" style="max-width:96px;max-height:96px" alt="">' for image in images)
        return f'<p>{line}</p><div style="display:flex;flex-wrap:wrap;gap:8px">{shown}</div>'


class Database:
    """Collections in one place. Made by `oneword.connect`; close it, or use it in a `with`."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def collection(self, name: str = "default", *, model: str = "auto", view: str | None = None) -> Collection:
        """Returns a collection, which need not exist yet.

        Args:
            model, view: what it is made with; "auto" and None: the best model here, and the default view.
        """
        return Collection(self.backend, Target(name=name, model=model, view=view))

    def collections(self) -> list[CollectionSummary]:
        """Returns the collections that exist."""
        return self.backend.collections()

    def drop(self, name: str) -> None:
        """Deletes a collection with all its items."""
        self.backend.drop(name)

    def close(self) -> None:
        """Lets go of models and connections."""
        self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _several(ids: str | Iterable[str]) -> list[str]:
    return [ids] if isinstance(ids, str) else list(ids)
