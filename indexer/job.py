"""An indexing job: list, load, compare, embed, write; every input ends as indexed, unchanged or quarantined."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from engine.config import EngineConfig
from engine.encoder import Encoder, Side, Vectors
from engine.encoding import encode
from engine.errors import DeviceOutOfMemory, EncodingError
from engine.models import choose
from engine.models import load as load_model
from engine.views import DEFAULT, View
from engine.views import get as get_view
from indexer.captions import Captions
from indexer.folder import Entry, Listing, find
from indexer.loading import Loaded, load, refuse
from indexer.report import Report
from storage import Collection, CollectionNotFound, Item, Refused, StorageError, Store

log = logging.getLogger(__name__)

CHUNK = 256
"""Most items in one commit: what a killed job repeats at the worst."""

CHUNK_PIXELS = 100_000_000
"""Most decoded pixels in one chunk (300 MB of RGB), so that large photos do not fill the memory."""

READERS = 4
"""Threads that read and decode; Pillow decodes outside the interpreter lock."""

EntryKind = TypeVar("EntryKind", bound=Entry)

Progress = Callable[[int, int], None]
"""Called with (inputs done, inputs in all)."""


def index_paths(
    paths: Sequence[str | Path],
    *,
    db: str = ".oneword",
    collection: str = "default",
    model: str | EngineConfig = "auto",
    view: str | View | None = None,
    captions: Captions | str = Captions.ATTACH,
    progress: Progress | None = None,
) -> Report:
    """Indexes files and folders into a collection, which is made if it does not exist.

    Run it again and only what is new or changed is embedded; kill it, run it again, and nothing is lost.

    Args:
        paths: files and folders (recursive).
        db: a folder, or an object-store URI.
        model: a name or a whole configuration; "auto" takes the collection's own model, or for a new one the
            best that can run here.
        view: a built-in view's name, a .toml file's path, or a `View`; None: the collection's own, or "default".
        captions: what a `.txt` beside a picture of the same stem is.

    Raises:
        SourceNotFound: a path does not exist.
        ModelError, ViewError: the model cannot be used.
        SpaceMismatch: the collection holds vectors of another model or view.
        Locked: another process writes to this collection.
    """
    listing = find(paths, Captions(captions))
    store = Store(db)
    target, encoder, bound = _open(store, collection, EngineConfig.of(model), view)
    report = Report(model=encoder.name, collection=collection, ignored=listing.ignored)
    with target.writing():
        _run(listing, store, target, encoder, bound, report, progress or (lambda *_: None))
        if report.indexed:
            target.maintain()
    try:
        target.keep_index(aside=False)  # also where an earlier job was killed before it did
    except (OSError, RuntimeError, StorageError) as error:
        log.warning("all is indexed, but the serving index could not be built: %s; try `oneword build`", error)
    return report


def _open(store: Store, name: str, config: EngineConfig, view: str | View | None) -> tuple[Collection, Encoder, View]:
    """The collection with the encoder and view that it is bound to; makes it if it is new."""
    try:
        space = store.open(name).space
    except CollectionNotFound:
        space = None
    if view is None:
        view = View.from_dict(space["prompts"]) if space else DEFAULT
    elif isinstance(view, str):
        view = get_view(view)
    if space:
        config = config.for_space(space["model"])
    elif config.model == "auto":
        model, reason = choose()
        log.info("model %s, because %s", model, reason)
        config = config.for_space(model)
    encoder = load_model(config)
    return store.open_or_create(name, encoder.space(view).as_dict()), encoder, view


def _run(
    listing: Listing,
    store: Store,
    target: Collection,
    encoder: Encoder,
    view: View,
    report: Report,
    progress: Progress,
) -> None:
    """The pipeline's loop: load ahead in threads, a chunk at a time through the encoder into the table."""
    started = time.monotonic()
    quarantine = store.quarantine(target.name)
    progress(0, len(listing.entries))
    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="read") as readers:
        for chunk in chunks(load_ahead(listing.entries, readers, load)):
            fresh, refused = _sort_out(chunk, target, report)
            vectors, failed = embed(fresh, target, encoder, view)
            refused += failed
            items = [_item(one, vectors[one.content_hash]) for one in fresh if one.content_hash in vectors]
            if items:
                count = target.upsert(items)
                report.added += count.added
                report.updated += count.updated
            if refused:
                quarantine.record(refused)
                report.refused += refused
            bad = {one.uri for one in refused}
            if quarantine.count():
                quarantine.release(
                    [one.entry.uri for one in chunk if isinstance(one, Loaded) and one.entry.uri not in bad]
                )
            report.seconds = time.monotonic() - started
            progress(report.inputs, len(listing.entries))


def load_ahead(
    entries: Sequence[EntryKind], readers: ThreadPoolExecutor, load: Callable[[EntryKind], Loaded | Refused]
) -> Iterator[Loaded | Refused]:
    """Loaded entries in their order; a few are read ahead while the encoder works."""
    ahead: deque[Future[Loaded | Refused]] = deque()
    for entry in entries:
        ahead.append(readers.submit(load, entry))
        if len(ahead) >= 4 * READERS:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def chunks(loaded: Iterator[Loaded | Refused]) -> Iterator[list[Loaded | Refused]]:
    """Groups bounded in number and in decoded pixels."""
    chunk: list[Loaded | Refused] = []
    pixels = 0
    for one in loaded:
        chunk.append(one)
        pixels += one.pixels if isinstance(one, Loaded) else 0
        if len(chunk) >= CHUNK or pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def _sort_out(
    chunk: Sequence[Loaded | Refused], target: Collection, report: Report
) -> tuple[list[Loaded], list[Refused]]:
    """Those to embed and those refused; what the table already holds, with the same content, is unchanged."""
    loaded = [one for one in chunk if isinstance(one, Loaded)]
    stored = target.content_hashes([one.entry.id for one in loaded])
    fresh = [one for one in loaded if stored.get(one.entry.id) != one.content_hash]
    report.unchanged += len(loaded) - len(fresh)
    return fresh, [one for one in chunk if isinstance(one, Refused)]


def embed(
    fresh: Sequence[Loaded], target: Collection, encoder: Encoder, view: View
) -> tuple[dict[str, Vectors], list[Refused]]:
    """Vectors by content hash; equal content is embedded once, and not at all if the table has its vector."""
    vectors: dict[str, Vectors] = dict(target.vectors_by_hash({one.content_hash for one in fresh}))
    todo = list({one.content_hash: one for one in fresh if one.content_hash not in vectors}.values())
    refused: list[Refused] = []
    while todo:
        try:
            found = encode(encoder, [one.content for one in todo], view, Side.GALLERY)
        except EncodingError as error:
            culprit, reason = todo.pop(error.index), str(error)
        except DeviceOutOfMemory as error:
            if len(todo) > 1:  # not said which one is too large
                halves = (todo[: len(todo) // 2], todo[len(todo) // 2 :])
                for half in halves:
                    more, failed = embed(half, target, encoder, view)
                    vectors |= more
                    refused += failed
                return vectors, refused
            culprit, reason = todo.pop(), str(error)
        else:
            vectors |= {one.content_hash: vector for one, vector in zip(todo, found, strict=True)}
            return vectors, refused
        same = [one for one in fresh if one.content_hash == culprit.content_hash]
        refused += [refuse(one.entry, "EncodingError", f"{one.entry.path}: {reason}") for one in same]
    return vectors, refused


def _item(one: Loaded, vector: Vectors) -> Item:
    size = one.image.size if one.image else (None, None)
    return Item(
        id=one.entry.id,
        modality="image" if one.image else "text",
        uri=one.entry.uri,
        text=one.text,
        content_hash=one.content_hash,
        image_hash=one.image.content_hash if one.image else None,
        width=size[0],
        height=size[1],
        thumbnail=one.thumbnail(),
        metadata=_facts(one.entry.path),
        vector=np.asarray(vector, dtype=np.float32),
    )


def _facts(path: Path) -> dict[str, str]:
    """What the file's place says: filterable metadata, e.g. `folder = holidays` or `format = png`."""
    names = {"name": path.name, "folder": path.parent.name, "format": path.suffix.lower().lstrip(".")}
    return {key: value.encode("utf-8", "backslashreplace").decode() for key, value in names.items() if value}
