"""An indexing job: every input of some sources ends as indexed, unchanged or quarantined."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneword.engine.availability import choose
from oneword.engine.config import MAX_PIXELS, EngineConfig
from oneword.engine.encoder import Encoder
from oneword.engine.models import load as load_model
from oneword.engine.passages import Splitter
from oneword.engine.roots import Roots
from oneword.engine.views import DEFAULT, View
from oneword.engine.views import get as get_view
from oneword.indexer.coverage import Coverage, sort_out
from oneword.indexer.errors import BadCluster, SourceNotFound
from oneword.indexer.inputs import Inputs
from oneword.indexer.journaling import journaled
from oneword.indexer.loading import CAPTION_FILE
from oneword.indexer.local import run_local
from oneword.indexer.report import Report
from oneword.indexer.seen import Seen
from oneword.indexer.sources import check_roots
from oneword.indexer.sources.metadata import SET_ASIDE
from oneword.indexer.sources.options import SourceOptions
from oneword.indexer.sources.place import is_uri
from oneword.indexer.stages import Stages
from oneword.indexer.sync import delete_missing, settle_quarantine
from oneword.storage import Collection, CollectionNotFound, Item, StorageError, Store
from oneword.storage.schema import metadata_kinds

if TYPE_CHECKING:
    from oneword.indexer.distributed.cluster import Cluster
    from oneword.indexer.distributed.config import RayConfig

log = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with (inputs done, inputs in all, if that is known)."""


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """How a job goes about it.

    Args:
        passages: most tokens of a passage of a text; None: the model's own measure; 0: texts are not split.
        delete_missing: remove items of these sources whose input is gone.
        yes: with `delete_missing`, remove also what came from a path that does not exist or from an empty folder.
        take_over: rows replace items of other sources that have their ids; else such rows are quarantined.
        reread: read everything again, also what seems unchanged by its file's time and size, or lies at a URL.
        dry_run: read and compare, but embed and write nothing.
        decoders: processes that decode pictures; None: one fewer than there are cores.
        max_pixels: most pixels of an image that is no JPEG; JPEGs may have `oneword.engine.images.MOST_PIXELS`.
        allow_private: let URLs lead to private addresses, too.
        only: nothing but inputs of these origins, or from these tables, shards and folders.
        roots: folders and URI prefixes outside which nothing is read (`oneword.engine.roots`); none: anything may be.
    """

    passages: int | None = None
    delete_missing: bool = False
    yes: bool = False
    take_over: bool = False
    reread: bool = False
    dry_run: bool = False
    decoders: int | None = None
    max_pixels: int = MAX_PIXELS
    allow_private: bool = False
    only: frozenset[str] | None = None
    roots: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Job:
    """A job that runs: what its engine, local or distributed, needs to know and to fill in.

    Args:
        target: None in a dry run that would make it.
        inputs: what there is to index.
        lookup: what the collection held when the job began.
        version: the collection's version then; None: it was empty.
        stop: set by who wants the job to end after what is in its hands.
        cluster: that does it; None: this machine.
    """

    target: Collection | None
    store: Store
    encoder: Encoder
    view: View
    splitter: Splitter | None
    config: JobConfig
    report: Report
    stages: Stages
    seen: Seen
    inputs: Inputs
    coverage: Coverage
    version: int | None
    source: str
    stop: threading.Event
    tell: Callable[[], None]
    cluster: "Cluster | None" = None

    def lookup(self, ids: list[str]) -> dict[str, Item]:
        """What the collection held of these ids when the job began."""
        if self.version is None or self.target is None:
            return {}
        return self.target.get(ids, thumbnails=False, version=self.version)


def index_paths(
    paths: Sequence[str | Path],
    *,
    db: str = ".oneword",
    collection: str = "default",
    model: str | EngineConfig = "auto",
    view: str | View | None = None,
    options: SourceOptions | None = None,
    config: JobConfig = JobConfig(),
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    command: str = "",
    job_id: str | None = None,
    ray: "RayConfig | None" = None,
) -> Report:
    """Indexes files, folders, tables, shards, data sets and URLs into a collection, made if it does not exist.

    Run it again and only what is new or changed is embedded; kill it, run it again, and nothing is lost.

    Args:
        paths: see `open_sources`.
        db: a folder, or an object-store URI.
        model: a name or a whole configuration; "auto" takes the collection's own model, or for a new one the
            best that can run here.
        view: a built-in view's name, a .toml file's path, or a `View`; None: the collection's own, or "default".
        options: how the paths are to be read.
        progress: called after every group of inputs.
        stop: set it from elsewhere, and the job commits what it has and ends.
        command: what past jobs are listed by.
        job_id: what it is called in the journal, made by `oneword.storage.journal.new_id`; None: a new one.
        ray: the cluster to do it on, whose every node must reach `db` and the inputs; None: this machine alone.

    Raises:
        BadCluster, WorkersFailed: with `ray`, which does not know roots.
        BadRoot: a root is none.
        SourceNotFound, BadSource: a path does not exist, is outside the roots, or cannot be read as it was asked to be.
        ModelError, ViewError: the model cannot be used.
        SpaceMismatch: the collection holds vectors of another model or view.
        Locked: another process writes to this collection.
    """
    options = options or SourceOptions()
    if ray is not None and config.roots:
        raise BadCluster("roots are given, which workers of a cluster do not know; leave them out, or index here")
    roots = Roots.of(config.roots) if config.roots else None
    store = Store(db)
    check_roots(paths, options, roots)
    there, gone = _sorted_out(paths, options, store, collection, config)
    inputs = Inputs(there, options, config.only, roots)
    told = {"paths": [_from_anywhere(path) for path in paths], "passages": config.passages, **options.as_dict()}
    if config.take_over:
        told["take_over"] = True
    if roots is not None:  # so that who tries them again reads no more than this job was let
        told["roots"] = list(roots.texts)
    cluster = None if ray is None else _joined(ray)
    target, encoder, bound = _open(store, collection, EngineConfig.of(model), view, cluster, make=not config.dry_run)
    if target is not None:
        inputs.kinds.update(metadata_kinds(target.schema()))
    report = Report(model=encoder.name, collection=collection, dry_run=config.dry_run)
    with Seen() as seen:
        job = Job(
            target=target,
            store=store,
            encoder=encoder,
            view=bound,
            splitter=None if config.passages == 0 else Splitter.of(encoder, config.passages),
            config=config,
            report=report,
            stages=Stages(),
            seen=seen,
            inputs=inputs,
            coverage=Coverage(there if config.delete_missing else (), options, gone),
            version=None,
            source=json.dumps(told),
            stop=stop or threading.Event(),
            tell=lambda: None,
            cluster=cluster,
        )
        if target is None or config.dry_run:
            job.version = target.version if target else None
            _run(job, progress, lambda: None)
            return report
        with target.writing(), journaled(job, command or "index", job_id) as beat:
            if target.count():
                target.index_metadata()  # so that looking things up costs the same however much there is
                with target.pinned() as job.version:
                    _run(job, progress, beat)
            else:
                _run(job, progress, beat)
            if report.rows or report.deleted:
                target.maintain()
            if report.quarantined:
                store.quarantine(collection).maintain()
    try:
        target.keep_index(aside=False)  # also where an earlier job was killed before it did
    except (OSError, RuntimeError, StorageError) as error:
        log.warning("all is indexed, but the serving index could not be built: %s; try `oneword build`", error)
    return report


def _sorted_out(
    paths: Sequence[str | Path], options: SourceOptions, store: Store, collection: str, config: JobConfig
) -> tuple[Sequence[str | Path], list[str]]:
    """The paths to read, and those that are gone, where all their items may go with them.

    Raises:
        SourceNotFound: a path is gone that the collection has items from, and nobody said that they may go.
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


def _run(job: Job, progress: Progress | None, beat: Callable[[], None]) -> None:
    report, started, began = job.report, time.monotonic(), datetime.now(UTC)

    def tell() -> None:
        report.seconds = time.monotonic() - started
        report.stages = job.stages.as_dict()
        beat()
        if progress:
            progress(report.inputs, job.inputs.total)

    job.tell = tell
    tell()
    if job.cluster is None:
        run_local(job)
    else:
        job.cluster.run(job)
    report.ignored = job.inputs.ignored
    if captions := report.set_aside[CAPTION_FILE]:
        log.warning(
            "caption files that are no text: %s; their images are indexed without them; find them with "
            "--where 'exists(%s)'",
            f"{captions:,}",
            SET_ASIDE,
        )
    report.set_aside.update(job.inputs.set_aside)
    if job.stop.is_set():
        report.interrupted = True
    else:
        if job.config.delete_missing:
            delete_missing(job)
        if not job.config.dry_run and job.config.only is None:
            settle_quarantine(job, began)
    report.measure()
    tell()


def _joined(ray: "RayConfig") -> "Cluster":
    from oneword.indexer.distributed.cluster import Cluster

    return Cluster(ray)


def _open(
    store: Store,
    name: str,
    config: EngineConfig,
    view: str | View | None,
    cluster: "Cluster | None",
    *,
    make: bool,
) -> tuple[Collection | None, Encoder, View]:
    """The collection with the encoder and view that it is bound to."""
    try:
        found = store.open(name)
    except CollectionNotFound:
        found = None
    space: dict[str, Any] | None = found.space if found else None
    if view is None:
        view = View.from_dict(space["prompts"]) if space else DEFAULT
    elif isinstance(view, str):
        view = get_view(view)
    if space:
        config = config.for_space(space["model"], space["revision"])
    elif config.model == "auto" and cluster is None:
        model, reason = choose()
        log.info("model %s, because %s", model, reason)
        config = config.for_space(model)
    encoder = load_model(config) if cluster is None else cluster.describe(config, view)
    if not make and found is None:
        return None, encoder, view
    return store.open_or_create(name, encoder.space(view).as_dict()), encoder, view
