"""Errors of a store.

    StorageError
    ├── BadName             a collection's name breaks the naming rule
    ├── BadSpace            a space lacks its fingerprint, dimension, model or view
    ├── CollectionNotFound  no such collection (the message lists those that exist)
    ├── CollectionExists    create(), rename() or copy() to a name that is taken
    ├── VersionNotFound     no such version or tag (the message lists those that exist)
    ├── DamagedCollection   the newest version cannot be read (the message names one that can)
    ├── SpaceMismatch       vectors of one space for a collection of another
    ├── ItemNotFound        no item with that id
    ├── JobNotFound         no job with that id in the journal
    ├── BadJob              an indexing job that a service may not run
    ├── TooManyJobs         as many jobs run as allowed, or one of the same collection
    ├── NotCancellable      a job that this process cannot end
    ├── BadItem             a vector or metadata that cannot be stored, or a query of the wrong dimension
    ├── BadSearch           a search option is out of range
    ├── FilterError         a filter that cannot be parsed, or does not fit the collection's fields
    ├── Locked              another writer has the collection
    ├── MissingKeywords     a keyword search without a keyword index
    ├── MissingFaiss        an ANN index is to be built, and FAISS is not installed
    ├── MissingGpu          an ANN index is to be held on a GPU that is missing, or that FAISS cannot use
    └── StoreUnavailable    the store itself fails: a file in the way, no permission, an object store out of reach
        └── NoRoom          the disk has too little space for a compaction

Every message has the thing, its value, what was expected and what to do next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from oneword.errors import Error

NAMED = 10  # the newest versions that a message lists


class StorageError(Error):
    """Base of every error that this package raises."""


class BadName(StorageError):
    """A collection name that breaks the naming rule."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"collection name {name!r} is not allowed: expected 1 to 63 of a-z, 0-9, '-' and '_', "
            "starting with a letter or digit; choose another name"
        )


class BadSpace(StorageError):
    """A space without one of its required keys."""


class CollectionNotFound(StorageError):
    """No collection of that name."""

    def __init__(self, name: str, uri: str, existing: Sequence[str] = ()) -> None:
        self.name = name
        listed = f"it has: {', '.join(existing)}" if existing else "it has none yet; index something first"
        super().__init__(f"no collection {name!r} in {uri}; {listed}")


class CollectionExists(StorageError):
    """The name is taken."""

    def __init__(self, name: str, uri: str) -> None:
        super().__init__(f"collection {name!r} already exists in {uri}; open it, drop it first, or choose another name")


class VersionNotFound(StorageError):
    """No version of that number (any more), or no tag of that name."""

    def __init__(self, requested: int | str, collection: str, versions: Sequence[int], tags: Sequence[str]) -> None:
        what = f"version {requested}" if isinstance(requested, int) else f"version or tag {requested!r}"
        listed = (["..."] if len(versions) > NAMED else []) + [str(version) for version in versions[-NAMED:]]
        kept = f"versions {', '.join(listed)}; tags {', '.join(sorted(tags)) or '(none)'}"
        super().__init__(f"collection {collection!r} has no {what}; it has {kept}")


class SpaceMismatch(StorageError):
    """Vectors of different spaces cannot be compared, so they never share a collection."""

    def __init__(self, name: str, holds: Mapping[str, Any], requested: Mapping[str, Any]) -> None:
        remedy = "use the model and view it was indexed with, or index into another collection"
        first, other = (str(space.get("revision", "")) for space in (holds, requested))
        if other and first != other and holds.get("model") == requested.get("model"):
            remedy = (
                f"the model has changed since: it was revision {first}, and this is {other}; give the earlier one "
                f"(--revision, for a model of the hub), or embed it again (oneword reembed {name} --model "
                f"{requested['model']})"
            )
        super().__init__(
            f"collection {name!r} holds vectors of {readable(holds)}, but was asked for {readable(requested)}; {remedy}"
        )


class ItemNotFound(StorageError):
    """No item of that id in the collection."""

    def __init__(self, item_id: str, collection: str) -> None:
        super().__init__(f"no item {item_id!r} in collection {collection!r}; check the id, or index it first")


class JobNotFound(StorageError):
    """No job of that id in the journal (any more)."""

    def __init__(self, job_id: str, uri: str) -> None:
        super().__init__(f"no job {job_id!r} in the journal of {uri}; check the id, or start the job again")


class BadJob(StorageError):
    """An indexing job that a service may not run, or cannot."""


class TooManyJobs(StorageError):
    """No further job can be started now.

    Attributes:
        collection: whose job is in the way; None: the limit is on all jobs.
    """

    def __init__(self, message: str, collection: str | None = None) -> None:
        super().__init__(message)
        self.collection = collection


class NotCancellable(StorageError):
    """A job that runs on another host, was not started by a service, or cannot be identified among processes."""


class BadItem(StorageError):
    """An item that cannot be stored; nothing of its upsert was written."""


class BadSearch(StorageError):
    """A search option that is out of range."""


class FilterError(StorageError):
    """A filter that cannot be used. position: in its text, in characters from 0, if it was text."""

    def __init__(self, message: str, position: int | None = None) -> None:
        self.position = position
        super().__init__(message)


class Locked(StorageError):
    """Another writer has the collection. holder: its process, as far as it is known."""

    def __init__(self, name: str, lock_file: str, holder: Mapping[str, Any]) -> None:
        self.name, self.holder = name, dict(holder)
        who = (
            f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')} ({holder.get('command')})"
            if holder
            else f"another process (see {lock_file})"
        )
        super().__init__(
            f"collection {name!r} is being written by {who}; wait for it to finish, or end it and try again"
        )


class MissingFaiss(StorageError):
    """An ANN index is to be built, and FAISS is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'an ANN index for {name!r} needs FAISS, which is not installed: pip install "oneword[faiss]" '
            "(or faiss-gpu, instead of it)"
        )


class MissingGpu(StorageError):
    """An ANN index is to be held on a GPU that is missing, or that FAISS cannot use."""

    def __init__(self, device: str, there: int | None) -> None:
        """there: number of GPUs that FAISS finds; None: the device's name is malformed."""
        found = 'expected "cpu", "cuda" or "cuda:N"' if there is None else f"FAISS sees {there} GPUs here"
        super().__init__(
            f"index_device {device!r}: {found}; install faiss-gpu instead of faiss-cpu (pip uninstall faiss-cpu; pip "
            'install "oneword[faiss-gpu]"), or use "cpu"'
        )


class MissingKeywords(StorageError):
    """A keyword search in a collection, or a version of it, without a keyword index."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"collection {name!r} has no keyword index, or a damaged one, at the version searched: run "
            f"`oneword build {name}`, and search its newest version"
        )


class DamagedCollection(StorageError):
    """The newest version of a collection cannot be read. sound: the newest version that can, or None."""

    def __init__(self, name: str, uri: str, newest: int, sound: int | None) -> None:
        self.name, self.newest = name, newest
        back = (
            f"the newest sound one is {sound}: oneword restore {name} {sound} --yes"
            if sound is not None
            else f"no sound one is left: restore the files from a backup, or drop it: oneword collections drop {name}"
        )
        super().__init__(f"collection {name!r} in {uri}: version {newest} is damaged, and {back}")


class StoreUnavailable(StorageError):
    """The store cannot be read or written."""

    def __init__(self, uri: str, doing: str, reason: object) -> None:
        super().__init__(f"cannot {doing} in {uri}: {_plain_reason(reason)}")


class NoRoom(StoreUnavailable):
    """The disk has too little space for a compaction; nothing has changed."""

    def __init__(self, uri: str, name: str, *, needed: int, free: int) -> None:
        StorageError.__init__(
            self,
            f"collection {name!r} is not compacted: that rewrites its data in {uri}, for which {needed / 1e6:,.0f} MB "
            f"are needed, and {free / 1e6:,.0f} MB are free; free some space and try again",
        )


# LanceDB appends its own source file (`, /path/src/io/commit.rs:1663:50`) and prepends the types of its errors.
_SOURCE_FILE = re.compile(r",?\s*\S+\.rs:\d+(:\d+)?")
_WRAPPING = re.compile(
    r"\b(lance error|LanceError\(\w+\)|External error|Generic \w+ error|Encountered internal error): ?"
)


def _plain_reason(reason: object) -> str:
    """LanceDB's message without its internals, and what to do."""
    message = _WRAPPING.sub("", _SOURCE_FILE.sub("", str(reason))).strip(" ,;.")
    if "Unable to rename file" in message and "os error" in message:
        return f"{message}; the file system lacks hard links, which a store needs: put the store on another disk"
    if "No space left" in message:
        return f"{message}; free some space and try again: what was acknowledged is kept"
    return f"{message}; check the path or address, its permissions and the network"


def readable(space: Mapping[str, Any]) -> str:
    """A space as text, as far as it is known: `model e5v, view meaning (8 dimensions, fingerprint 1f2e3d)`."""
    fingerprint = str(space.get("fingerprint", "?"))
    names = ", ".join(f"{key} {space[key]}" for key in ("model", "view") if key in space)
    size = f"{space['dimension']} dimensions, " if "dimension" in space else ""
    detail = f"{size}fingerprint {fingerprint[:16]}"
    return f"{names} ({detail})" if names else f"the space with {detail}"
