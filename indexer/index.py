"""Indexing: every input of some sources ends as indexed, unchanged or quarantined."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from oneword.engine.chunks import Splitter
from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.roots import Roots
from oneword.engine.unrelated import unrelated
from oneword.engine.views import DEFAULT, View
from oneword.engine.views import get as get_view
from oneword.indexer.changes import Seen
from oneword.indexer.coverage import claims, sort_out
from oneword.indexer.errors import SourceNotFound
from oneword.indexer.inputs import Inputs
from oneword.indexer.job import Job, Runner
from oneword.indexer.load import CAPTION_FILE
from oneword.indexer.missing import delete_missing, settle_quarantine
from oneword.indexer.options import JobConfig, SourceOptions
from oneword.indexer.pipeline import Local
from oneword.indexer.report import Report
from oneword.indexer.sources import check_roots
from oneword.indexer.sources.metadata import SET_ASIDE
from oneword.indexer.sources.place import is_uri
from oneword.indexer.stages import Stages
from oneword.storage import Collection, CollectionNotFound, StorageError, Store
from oneword.storage.schema import metadata_kinds

log = logging.getLogger(__name__)

BEAT = 10.0
"""Seconds between two notes of progress in the journal."""

Progress = Callable[[int, int | None], None]
"""Called with (inputs done, inputs in all, if that is known)."""


def index_paths(
    paths: Sequence[str | Path],
    *,
    db: str = ".oneword",
    collection: str = "default",
    model: str | EngineConfig | Encoder = "auto",
    view: str | View | None = None,
    options: SourceOptions | None = None,
    config: JobConfig = JobConfig(),  # noqa: B008 - it is frozen
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    command: str = "",
    job_id: str | None = None,
    runner: Runner = Local(),  # noqa: B008 - it is frozen
) -> Report:
    """Indexes files, folders, tables, shards, data sets and URLs into a collection, made if it does not exist.

    Run it again and only what is new or changed is embedded; kill it, run it again, and nothing is lost.

    Args:
        paths: see `open_sources`.
        db: a folder, or an object-store URI.
        model: a name, a whole configuration, or an encoder; "auto" takes the collection's own model, or for a new one
            the best that can run here.
        view: a built-in view's name, a .toml file's path, or a `View`; None: the collection's own, or "default".
        options: how the paths are read.
        progress: called after every group of inputs.
        stop: set it from another thread, and the job commits what it has and ends.
        command: what past jobs are listed by.
        job_id: its id in the journal, made by `oneword.storage.journal.new_id`; None: a new one.
        runner: what runs the job: this machine, or a cluster (`RayRunner`) whose every node must reach `db` and the
            inputs.

    Raises:
        BadCluster, WorkersFailed: raised by `RayRunner`.
        BadRoot: a root is none.
        SourceNotFound, BadSource: a path does not exist, is outside the roots, or cannot be read as the options say.
        ModelError, ViewError: the model cannot be used.
        SpaceMismatch: the collection holds vectors of another model or view.
        Locked: another process writes to this collection.
    """
    stages = Stages()
    options = options or SourceOptions()
    runner.check(config)
    roots = Roots.of(config.roots) if config.roots else None
    store = Store(db)
    check_roots(paths, options, roots)
    there, gone = _sorted_out(paths, options, store, collection, config)
    inputs = Inputs(there, options, config.only, roots, config.decoders)
    source = {"paths": [_from_anywhere(path) for path in paths], "chunks": config.chunks, **options.as_dict()}
    if config.take_over:
        source["take_over"] = True
    if roots is not None:  # so that a retry reads no more than this job was allowed to
        source["roots"] = list(roots.texts)
    target, encoder, bound = _open(store, collection, model, view, runner, make=not config.dry_run)
    if target is not None:
        inputs.kinds.update(metadata_kinds(target.schema()))
    report = Report(model=encoder.name, collection=collection, dry_run=config.dry_run)
    with Seen() as seen:
        job = Job(
            target=target,
            store=store,
            encoder=encoder,
            view=bound,
            splitter=Splitter.of(encoder, config.chunks),
            config=config,
            report=report,
            seen=seen,
            inputs=inputs,
            divided=inputs.kinds.get("document") == "string",
            claims=claims(there if config.delete_missing else (), options, gone),
            source=json.dumps(source),
            stages=stages,
            stop=stop or threading.Event(),
        )
        inputs.stored = None if config.reread else job.of_document
        if target is None or config.dry_run:
            job.version = target.version if target else None
            _run(job, runner, progress, lambda: None)
            return report
        with target.writing(), _journaled(job, command or "index", job_id) as beat:
            if target.count():
                target.index_metadata()  # so that looking things up costs the same however much there is
                with target.pinned() as job.version:
                    _run(job, runner, progress, beat)
            else:
                _run(job, runner, progress, beat)
            if report.rows or report.deleted:
                stages.enter("compact")
                target.optimize()
                stages.enter("index")
                target.index_metadata()
                target.index_keywords()
            if report.quarantined:
                store.quarantine(collection).maintain()
    stages.enter("build")
    try:
        texts = partial(unrelated, encoder, bound) if isinstance(runner, Local) else None
        target.keep_index(aside=False, unrelated=texts)  # also where an earlier job was killed before it did
    except (OSError, RuntimeError, StorageError) as error:
        log.warning("all is indexed, but the ANN index could not be built: %s; try `oneword build`", error)
    report.time(stages)
    return report


def _sorted_out(
    paths: Sequence[str | Path], options: SourceOptions, store: Store, collection: str, config: JobConfig
) -> tuple[Sequence[str | Path], list[str]]:
    """The paths to read, and those that are gone whose items may be deleted.

    Raises:
        SourceNotFound: a path is gone that the collection has items from, without `JobConfig.yes`.
        BadSource: a path cannot be reached.
    """
    if not config.delete_missing:
        return paths, []
    try:
        found = store.open(collection)
    except CollectionNotFound:
        return paths, []
    there, gone = sort_out(paths, options, lambda: found.scan(thumbnails=False))
    if gone and not config.yes:
        path, count = next(iter(gone.items()))
        raise SourceNotFound(
            f"path {path!r} does not exist, and {count:,} items of collection {collection!r} came from it; "
            "connect or mount it; or pass --yes to delete them"
        )
    return there, list(gone)


def _from_anywhere(path: str | Path) -> str:
    """A path or URI as it can be opened from another working folder, too."""
    text = str(path)
    return text if is_uri(text) else os.path.abspath(Path(text).expanduser())  # noqa: PTH100 (links are kept)


def _run(job: Job, runner: Runner, progress: Progress | None, beat: Callable[[], None]) -> None:
    report, began = job.report, datetime.now(UTC)

    def tell() -> None:
        report.time(job.stages)
        beat()
        if progress:
            progress(report.inputs, job.inputs.total)

    job.tell = tell
    tell()
    runner.run(job)
    report.ignored = job.inputs.ignored
    if captions := report.set_aside[CAPTION_FILE]:
        log.warning(
            "caption files that are not text: %s; their images are indexed without them; find them with "
            "--where 'exists(%s)'",
            f"{captions:,}",
            SET_ASIDE,
        )
    if report.shortened:
        log.warning(
            "texts longer than the %s tokens that model %s reads: %s; each was cut at a sentence's end, or a word's",
            job.splitter.limit if job.splitter else None,
            report.model,
            f"{report.shortened:,}",
        )
    report.set_aside.update(job.inputs.set_aside)
    if job.stop.is_set():
        report.interrupted = True
    else:
        job.stages.enter("delete")
        if job.config.delete_missing:
            delete_missing(job)
        if not job.config.dry_run and job.config.only is None:
            settle_quarantine(job, began)
    report.measure()
    tell()


def _open(
    store: Store,
    name: str,
    model: str | EngineConfig | Encoder,
    view: str | View | None,
    runner: Runner,
    *,
    make: bool,
) -> tuple[Collection | None, Encoder, View]:
    """The collection, with the encoder and view of its space."""
    try:
        found = store.open(name)
    except CollectionNotFound:
        found = None
    space: dict[str, Any] | None = found.space if found else None
    if view is None:
        view = View.from_dict(space["prompts"]) if space else DEFAULT
    elif isinstance(view, str):
        view = get_view(view)
    if isinstance(model, str | EngineConfig):
        config = EngineConfig.of(model)
        encoder = runner.encoder(config.for_space(space["model"], space["revision"]) if space else config, view)
    else:
        encoder = model
    if not make and found is None:
        return None, encoder, view
    return store.open_or_create(name, encoder.space(view).as_dict()), encoder, view


@contextmanager
def _journaled(job: Job, command: str, job_id: str | None = None) -> Iterator[Callable[[], None]]:
    """Keeps a journal entry during the block; yields a function that notes progress, at most every `BEAT` seconds.

    A journal that cannot be written is only warned about.
    """
    journal, report = job.store.journal(), job.report
    entry: str | None = None
    noted = time.monotonic()
    try:
        entry = journal.start(collection=report.collection, command=command, id=job_id)
    except StorageError as error:
        log.warning("this job will not be among `oneword jobs`: %s", error)

    def beat() -> None:
        nonlocal noted
        if entry is not None and time.monotonic() - noted >= BEAT:
            noted = time.monotonic()
            with suppress(StorageError):
                journal.beat(entry, report.counts())

    def finish(state: Literal["done", "interrupted", "failed"], message: str) -> None:
        if entry is not None:
            with suppress(StorageError):
                journal.finish(entry, state, report.counts(), message)

    try:
        yield beat
    except BaseException as error:
        finish("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", str(error) or type(error).__name__)
        raise
    finish("interrupted" if report.interrupted else "done", report.kept or "")
