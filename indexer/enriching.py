"""Adds to a collection the text that its images show, which keywords find. Nothing is embedded again."""

import logging
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from oneword.engine import ocr
from oneword.engine.config import MOST_PIXELS
from oneword.engine.decoded import DecodedImage
from oneword.indexer.decode import Decoders
from oneword.indexer.entry import Reference, name_of
from oneword.indexer.errors import BadOption, IndexerError
from oneword.indexer.journaled import journaled
from oneword.indexer.load import UNREAD, words_of
from oneword.indexer.options import Reading
from oneword.indexer.originals import decoded, load_image, source_of
from oneword.indexer.outcome import refuse
from oneword.indexer.sources.metadata import SET_ASIDE
from oneword.storage import (
    And,
    Collection,
    Exists,
    Filter,
    ImageWord,
    Item,
    Match,
    Metadata,
    Not,
    Refused,
    StorageError,
    Store,
)

log = logging.getLogger(__name__)

CHUNK = 64
"""Images of one commit: what a killed run repeats at most, about a minute of one core."""

REMEDY = "index it again, with --ocr"

Text = tuple[str, tuple[ImageWord, ...]]
Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(kw_only=True)
class Enriched:
    """What an enrichment did. `images` = `added` + `unchanged` + `unread`, unless it was interrupted.

    Args:
        images: of the collection.
        added: whose text was looked for by this run. with_text: of them, those that show some.
        unchanged: whose text was looked for before.
        unread: whose original is gone or changed, or whose text cannot be recognized; the items stay as they are, and
            the next run tries them again. refused: why.
        interrupted: ended early by a signal.
    """

    collection: str
    images: int = 0
    added: int = 0
    with_text: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)
    interrupted: bool = False
    kept: str | None = None
    seconds: float = 0.0

    @property
    def unread(self) -> int:
        """Number of those that are in `refused`."""
        return len(self.refused)

    def counts(self) -> dict[str, int]:
        """For the journal; see `oneword.indexer.report.COUNTS`."""
        done = self.added + self.unchanged + self.unread
        return {"inputs": done, "indexed": self.added, "updated": self.added, "unchanged": self.unchanged}

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        refused = [{"uri": one.uri, "kind": one.kind, "reason": one.reason} for one in self.refused]
        document = {**vars(self), "unread": self.unread, "seconds": round(self.seconds, 3), "refused": refused}
        del document["kept"]
        return document


def enrich(
    collection: str = "default",
    *,
    db: str = ".oneword",
    reading: Reading,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Enriched:
    """Recognizes the text of the images whose text was not looked for yet.

    Run it again after a kill and it continues. Originals are read from the files that URIs name; those in a shard,
    table or data set from there: each such source is read once, and images in it are recognized by their pixels.

    Args:
        stop: set it from another thread, and what was begun is committed.

    Raises:
        BadOption: nothing is to be added.
        MissingDependency: what recognizes text is not installed.
        CollectionNotFound: no such collection.
        Locked: another process writes to it.
    """
    if not reading.ocr:
        raise BadOption("nothing is to be added: expected --ocr, which adds the text that images show")
    ocr.check()
    store, began = Store(db), time.monotonic()
    target, report = store.open(collection), Enriched(collection=collection)
    command = shlex.join(["oneword", *sys.argv[1:]])
    with target.writing(), journaled(store, report, command) as beat:
        job = _Job(target, reading, report, stop or threading.Event())

        def tell() -> None:
            beat()
            if progress:
                progress(report.counts()["inputs"], report.images)

        job.run(tell)
        report.interrupted = job.stop.is_set()
        if report.added:
            target.maintain()
    try:
        target.keep_index(aside=False)
    except (OSError, RuntimeError, StorageError) as error:
        log.warning("the ANN index of %s could not be built: %s; try `oneword build`", collection, error)
    report.seconds = time.monotonic() - began
    return report


class _Job:
    """A collection being enriched, whose lock is held."""

    def __init__(self, target: Collection, reading: Reading, report: Enriched, stop: threading.Event) -> None:
        self.target, self.report, self.stop = target, report, stop
        self._decode = Decoders(reading.decoders, max_pixels=MOST_PIXELS, ocr=True)  # each was accepted once

    def run(self, tell: Callable[[], None]) -> None:
        """Every image, until the end or until it is asked to stop."""
        images = Match(field="modality", value="image")
        todo: Filter = images
        if "image_text" in self.target.schema().names:
            todo = And(filters=(images, Not(filter=Exists(field="image_text"))))
        files, inside = list[tuple[str, str]](), dict[str, dict[str, list[str]]]()
        for items in self.target.scan(filter=todo, thumbnails=False):
            for item in items:
                if source := source_of(item):
                    inside.setdefault(source, {}).setdefault(str(item.image_hash), []).append(item.id)
                else:
                    files.append((item.uri, item.id))
        waiting = len(files) + sum(len(ids) for one in inside.values() for ids in one.values())
        self.report.images = self.target.count(images)
        self.report.unchanged = self.report.images - waiting
        tell()
        threads = max(2, 2 * self._decode.count)
        with ThreadPoolExecutor(threads, thread_name_prefix="read") as readers:
            files.sort()  # pages of a document one after the other
            for start in range(0, len(files), CHUNK):
                if self.stop.is_set():
                    return
                some = [item_id for _, item_id in files[start : start + CHUNK]]
                items = list(self.target.get(some, vectors=True).values())
                self._write(zip(items, readers.map(self._text_of, items), strict=True))
                tell()
            for source, ids_by_hash in inside.items():
                self._members(source, ids_by_hash, readers, tell)

    def _members(
        self, source: str, ids_by_hash: dict[str, list[str]], readers: ThreadPoolExecutor, tell: Callable[[], None]
    ) -> None:
        """Reads a whole shard, table or data set, and the text of the images in it that are looked for."""
        reason = f"no image in it has the pixels that were indexed; {REMEDY}"
        found: dict[str, Text | Refused] = {}

        def commit() -> None:
            items = self.target.get(found, vectors=True)
            self._write((item, found[item_id]) for item_id, item in items.items())
            found.clear()
            tell()

        try:
            for pictures in decoded(source, readers, self._decode):
                if self.stop.is_set():
                    break
                for picture in pictures:
                    for item_id in ids_by_hash.pop(picture.image.content_hash, ()):
                        found[item_id] = _text(picture, source)
                if len(found) >= CHUNK:
                    commit()
                if not ids_by_hash:
                    break
        except (IndexerError, OSError) as error:
            reason = f"cannot be read ({error}); {REMEDY}"
        if found:
            commit()
        if not self.stop.is_set():
            left = self.target.get([item_id for ids in ids_by_hash.values() for item_id in ids], thumbnails=False)
            self._write((one, refuse(one.uri, "Missing", f"{one.uri}: {reason}")) for one in left.values())

    def _text_of(self, item: Item) -> Text | Refused:
        picture = load_image(item, self._decode, REMEDY)
        return picture if isinstance(picture, Refused) else _text(picture, item.uri)

    def _write(self, found: Iterable[tuple[Item, Text | Refused]]) -> None:
        """Commits what was recognized; the vectors are those that were read."""
        good: list[Item] = []
        for item, one in found:
            if isinstance(one, Refused):
                self.report.refused.append(one)
            else:
                text, words = one
                good.append(replace(item, image_text=text, image_words=words, metadata=_settled(item.metadata)))
        self.target.upsert(good)
        self.report.added += len(good)
        self.report.with_text += sum(bool(item.image_text) for item in good)


def _settled(metadata: Mapping[str, Metadata]) -> dict[str, Metadata]:
    """Without what a job noted of a text that it could not recognize."""
    aside = metadata.get(SET_ASIDE)
    if not isinstance(aside, list):
        return {**metadata}
    left = [one for one in aside if not one.startswith(f"{UNREAD}: ")]
    rest = {name: value for name, value in metadata.items() if name != SET_ASIDE}
    return {**rest, SET_ASIDE: left} if left else rest


def _text(picture: DecodedImage, uri: str) -> Text | Refused:
    """Of an image; only this is kept of it."""
    if picture.unread:
        return refuse(uri, "UnreadText", f"{name_of(Reference(uri=uri), uri)}: {picture.unread}")
    return picture.image_text or "", words_of(picture) or ()
