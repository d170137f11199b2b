"""Embeds a collection again, in another model's space or another view's, while the old one serves."""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from oneword.engine.chunks import Splitter
from oneword.engine.config import MOST_PIXELS, EngineConfig
from oneword.engine.encoder import Encoder, Vectors, tiler_of
from oneword.engine.encoding import embed
from oneword.engine.inputs import Input
from oneword.engine.models import load as load_model
from oneword.engine.unrelated import unrelated
from oneword.engine.views import DEFAULT, View
from oneword.engine.views import get as get_view
from oneword.indexer.decode import Decoders
from oneword.indexer.errors import IndexerError, NotEmbedded
from oneword.indexer.originals import decoded, load_stored, source_of, with_caption
from oneword.indexer.outcome import refuse
from oneword.storage import Collection, CollectionExists, Item, Quarantine, Refused, StorageError, Store
from oneword.storage.schema import is_same

log = logging.getLogger(__name__)

CHUNK = 256
"""Most items in one commit: what a killed run repeats at most."""

CHUNK_PIXELS = 100_000_000
"""Most pixels that are decoded for one commit (300 MB of RGB)."""

READERS = 4
"""Threads that read and wait for the processes that decode."""

Progress = Callable[[int, int], None]
"""Called with (items done, items in all)."""

CATCH_UPS = 5
"""Rounds that follow a collection in use before its writer is locked out for the last one."""


@dataclass(kw_only=True)
class Reembedded:
    """What a re-embedding did.

    `items` = `embedded` + `unchanged` + `quarantined`, unless the old collection is written meanwhile.

    Args:
        into: the collection that has the new vectors now.
        embedded: items written by this run. unchanged: written by an earlier, stopped run.
        removed: items taken out again, because they were deleted from the old collection or can no longer be read.
        refused: items whose original is gone or changed, or that the model cannot embed.
        switched: whether the new collection took the old one's name.
        shortened: texts of which the model reads the start only; each is cut at the end of a sentence, or of a word.
        recall: measured recall@10 of the new collection's ANN index; None if it has none, so that searches are exact.
        kept_as: what the old collection is called now; None if it was dropped, or keeps its name.
        already: the collection is in that space; there was nothing to do.
    """

    collection: str
    model: str
    view: str
    into: str
    embedded: int = 0
    unchanged: int = 0
    removed: int = 0
    refused: list[Refused] = field(default_factory=list)
    shortened: int = 0
    recall: float | None = None
    switched: bool = False
    kept_as: str | None = None
    already: bool = False
    seconds: float = 0.0

    @property
    def quarantined(self) -> int:
        """Items that are not in the new collection; each has its reason in `refused` and in its quarantine."""
        return len(self.refused)

    @property
    def items(self) -> int:
        """All items of the old collection."""
        return self.embedded + self.unchanged + self.quarantined

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        refused = [{"uri": one.uri, "kind": one.kind, "reason": one.reason} for one in self.refused]
        counts = {"items": self.items, "quarantined": self.quarantined, "seconds": round(self.seconds, 3)}
        return {**vars(self), **counts, "refused": refused}


def reembed(
    collection: str = "default",
    *,
    model: str | EngineConfig | Encoder,
    db: str = ".oneword",
    view: str | View | None = None,
    into: str | None = None,
    keep: str | None = None,
    drop_old: bool = False,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> Reembedded:
    """Embeds every item of a collection again; the result takes the collection's name.

    Run it again after a kill and it continues. The old collection can be searched and written meanwhile; the result
    follows what is written. Texts come from the store, images from the files that their URIs name, and those in a
    shard, table or data set from there: each such source is read once, and images in it are recognized by their pixels.

    Args:
        model: a name, a whole configuration, or an encoder.
        view: a built-in view's name, a .toml file's path, or a `View`; None: the collection's own.
        into: a collection for the result, made if need be; then nothing is renamed. Items deleted from the old
            collection after they were embedded stay in it.
        keep: what the old collection is called afterwards; None: its name with the date.
        drop_old: drop the old collection instead; it is kept all the same if an item could not be embedded again.
        allow_missing: let the result take the name also without the items that could not be embedded again.
        progress: called with (items done, items in all).

    Raises:
        CollectionNotFound, CollectionExists: no such collection; the name for the old or the new one is taken.
        ModelError, ViewError: the model cannot be used.
        SpaceMismatch: the collection `into` is of another space.
        StorageError: the store is in an object store, where nothing can be renamed: use `into`.
        Locked: another process writes to the old collection at the time of the switch, or embeds it again, too.
        NotEmbedded: an item could not be embedded again, without `allow_missing`; or none could.
    """
    store = Store(db)
    old = store.open(collection)
    encoder = load_model(EngineConfig.of(model)) if isinstance(model, str | EngineConfig) else model
    view = _view(old, view)
    space = encoder.space(view).as_dict()
    report = Reembedded(collection=collection, model=encoder.name, view=view.name, into=into or collection)
    if is_same(old.space, space):
        report.already, report.into = True, collection  # perhaps by a run that was killed after its switch
        return report
    keep = keep or f"{collection[:40]}-before-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if into is None:
        store.check_replaceable(keep)
    elif into == collection:
        raise CollectionExists(into, store.uri)
    target = store.open_or_create(into or _beside(collection, space["fingerprint"]), space)
    with target.writing():
        job = _Job(store, old, target, encoder, view, report, progress or (lambda *_: None))
        job.follow()
        if job.wrote:
            target.optimize()
        report.recall = _indexed(target, partial(unrelated, encoder, view))
        if into is None:
            _switch(job, keep, drop_old, allow_missing)
        else:
            job.settle_quarantine(others=True)
    report.seconds = time.monotonic() - job.started
    return report


def _view(old: Collection, view: str | View | None) -> View:
    """As asked for; or the collection's own."""
    if view is None:
        return View.from_dict(old.space["prompts"]) if "prompts" in old.space else DEFAULT
    return get_view(view) if isinstance(view, str) else view


def _indexed(target: Collection, texts: Callable[[], Vectors | None]) -> float | None:
    """Builds the ANN index if one is due, so that searches are as quick as before; returns its measured recall@10."""
    try:
        target.keep_index(aside=False, unrelated=texts)
    except (OSError, RuntimeError, StorageError) as error:
        log.warning("the ANN index of %s could not be built: %s; try `oneword build`", target.name, error)
    info = target.index_info()
    return info.recall if info is not None else None


def _switch(job: "_Job", keep: str, drop_old: bool, allow_missing: bool) -> None:
    """Locks out the old collection's writer, catches up with its last writes, and swaps the names."""
    report, old = job.report, job.old
    with old.writing():
        job.catch_up()
        if report.refused and not (allow_missing and job.target.count()):
            kinds = Counter(one.kind for one in report.refused)
            counted = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
            raise NotEmbedded(
                f"{len(report.refused):,} of the {old.count():,} items of collection {old.name!r} could not be "
                f"embedded again ({counted}; the first: {report.refused[0].reason}), so it stays as it is; make "
                "originals readable and run the same command again, which goes on from here, or pass --allow-missing "
                f"to do without them; their reasons: oneword quarantine list -c {job.target.name}"
            )
        job.settle_quarantine(others=False)
        drop = drop_old and not report.refused
        job.store.replace(old, job.target, keep=keep, drop=drop)
    report.switched, report.kept_as = True, None if drop else keep


def _beside(collection: str, fingerprint: str) -> str:
    """Name of the collection with the new vectors; the same for the same space, so that a stopped run is found."""
    return f"{collection[:50]}-new-{hashlib.sha256(f'{collection} {fingerprint}'.encode()).hexdigest()[:8]}"


def _chunks(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Items whose images fit into memory together."""
    chunk: list[Item] = []
    pixels = 0
    for item in items:
        chunk.append(item)
        pixels += (item.width or 0) * (item.height or 0)
        if pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


class _Job:
    """One collection being embedded into another one, whose lock is held."""

    def __init__(
        self,
        store: Store,
        old: Collection,
        target: Collection,
        encoder: Encoder,
        view: View,
        report: Reembedded,
        progress: Progress,
    ) -> None:
        self.store, self.old, self.target, self.encoder, self.view = store, old, target, encoder, view
        self.report, self._progress = report, progress
        self.started, self.wrote = time.monotonic(), False
        self._decode = Decoders(max_pixels=MOST_PIXELS, tiler=tiler_of(encoder))  # each was accepted once
        self._splitter = Splitter.of(encoder)
        self._mirror = report.into == old.name  # the target is only this collection's, so what is gone goes
        self._quarantine: Quarantine = store.quarantine(target.name)
        self._failed: dict[str, tuple[Item, Refused]] = {}  # by id
        self._reached: int | None = None  # the old collection's version that the target is equal to

    def follow(self) -> None:
        """Repeats until nothing was written to the old collection during a round, at most `CATCH_UPS` times."""
        for _ in range(CATCH_UPS):
            if not self.catch_up():
                break

    def catch_up(self) -> bool:
        """Makes the target equal to the old collection. Returns whether that had changed."""
        version = self.old.version
        if version == self._reached:
            return False
        todo, alike = self._differing()
        if self._reached is None:
            self.report.unchanged = alike
        total = alike + len(todo)
        self._progress(alike, total)
        inside: dict[str, dict[str, list[str]]] = {}
        with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="read") as readers:
            for start in range(0, len(todo), CHUNK):
                self._embed(todo[start : start + CHUNK], readers, inside)
                self._progress(alike + min(start + CHUNK, len(todo)), total)
            for source, ids_by_hash in inside.items():
                self._embed_members(source, ids_by_hash, readers)
        self._forget_gone()
        self.report.refused = [refused for _, refused in self._failed.values()]
        self._reached = version
        return True

    def settle_quarantine(self, *, others: bool) -> None:
        """Copies the old collection's quarantine; and releases what is in neither quarantine any more.

        others: the target may have items and refusals that are not from the old collection.
        """
        before = {entry.uri: entry for entry in self.store.quarantine(self.old.name).list()}
        here = {entry.uri for entry in self._quarantine.list()}
        self._quarantine.record(
            [
                Refused(uri=entry.uri, reason=entry.reason, kind=entry.kind, at=entry.last_tried)
                for uri, entry in before.items()
                if uri not in here
            ]
        )
        if not others:
            self._quarantine.release(here - set(before) - {refused.uri for refused in self.report.refused})

    def _differing(self) -> tuple[list[str], int]:
        """Ids of items that the target lacks or has differently; and the number of items that it has unchanged."""
        todo, alike = list[str](), 0
        for items in self.old.scan(thumbnails=False):
            there = self.target.get([item.id for item in items], thumbnails=False)
            for item in items:
                if there.get(item.id) == item:
                    alike += 1
                elif item.id not in self._failed or self._failed[item.id][0] != item:
                    todo.append(item.id)
        return todo, alike

    def _embed(self, ids: Sequence[str], readers: ThreadPoolExecutor, inside: dict[str, dict[str, list[str]]]) -> None:
        """One round of reading, embedding and writing. Vectors of content that the target has are reused.

        inside: gets ids of items that are in a source, by source and by the hash of their pixels.
        """
        items = list(self.old.get(ids, words=True).values())
        known = self.target.vectors_by_hash({item.content_hash for item in items})
        self._write([item for item in items if item.content_hash in known], known)
        todo = [item for item in items if item.content_hash not in known]
        for item in todo:
            if source := source_of(item):
                inside.setdefault(source, {}).setdefault(str(item.image_hash), []).append(item.id)
        for chunk in _chunks([item for item in todo if not source_of(item)]):
            loaded = readers.map(lambda item: load_stored(item, self._decode), chunk)
            self._finish(list(zip(chunk, loaded, strict=True)))

    def _embed_members(self, source: str, ids_by_hash: dict[str, list[str]], readers: ThreadPoolExecutor) -> None:
        """Reads a whole shard, table or data set, and embeds the wanted images in it."""
        reason = "no image in it has the pixels that were indexed; index it again, into the new collection"
        try:
            for images in decoded(source, readers, self._decode):
                ids = [item_id for image in images for item_id in ids_by_hash.get(image.content_hash, ())]
                found = {image.content_hash: image for image in images}
                items = list(self.old.get(ids, words=True).values()) if ids else []
                self._finish([(item, with_caption(item, found[str(item.image_hash)])) for item in items])
                for image in images:
                    ids_by_hash.pop(image.content_hash, None)
                if not ids_by_hash:
                    return
        except (IndexerError, OSError) as error:
            reason = f"cannot be read ({error}); index it again, into the new collection"
        left = self.old.get([item_id for ids in ids_by_hash.values() for item_id in ids])
        self._refuse([(item, refuse(item.uri, "Missing", f"{item.uri}: {reason}")) for item in left.values()])

    def _finish(self, loaded: Sequence[tuple[Item, Input | Refused]]) -> None:
        """Embeds and writes what could be read, and quarantines the rest."""
        contents = {item.content_hash: self._fitted(one) for item, one in loaded if not isinstance(one, Refused)}
        vectors, failed = embed(contents, self.encoder, self.view)
        bad = [(item, one) for item, one in loaded if isinstance(one, Refused)]
        bad += [
            (item, refuse(item.uri, "EncodingError", f"{item.uri}: {failed[item.content_hash]}"))
            for item, one in loaded
            if not isinstance(one, Refused) and item.content_hash in failed
        ]
        self._write(
            [item for item, one in loaded if not isinstance(one, Refused) and item.content_hash in vectors], vectors
        )
        self._refuse(bad)

    def _fitted(self, content: Input) -> Input:
        """What the model reads of it; counted."""
        read = self._splitter.fitted(content)
        self.report.shortened += read is not content
        return read

    def _write(self, items: Sequence[Item], vectors: Mapping[str, Vectors]) -> None:
        if not items:
            return
        count = self.target.upsert(
            replace(item, vector=np.asarray(vectors[item.content_hash], dtype=np.float32)) for item in items
        )
        self.wrote = True
        self.report.embedded += count.added + count.updated
        for item in items:
            self._failed.pop(item.id, None)
        if self._quarantine.count():
            self._quarantine.release([item.uri for item in items])

    def _refuse(self, failed: Sequence[tuple[Item, Refused]]) -> None:
        """Quarantines items, and deletes their earlier content from the target."""
        self._quarantine.record([refused for _, refused in failed])
        for item, refused in failed:
            self._failed[item.id] = (replace(item, thumbnail=None), refused)
        self.report.removed += self.target.delete([item.id for item, _ in failed])

    def _forget_gone(self) -> None:
        """Forgets failures of items deleted from the old collection; and deletes them where the target mirrors it."""
        still = self.old.content_hashes(self._failed)
        self._failed = {item_id: failed for item_id, failed in self._failed.items() if item_id in still}
        if self._mirror:
            gone: list[str] = []
            for items in self.target.scan(thumbnails=False):
                ids = [item.id for item in items]
                there = self.old.content_hashes(ids)
                gone += [item_id for item_id in ids if item_id not in there]
            for start in range(0, len(gone), CHUNK):
                self.report.removed += self.target.delete(gone[start : start + CHUNK])
