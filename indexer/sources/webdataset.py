"""Shards of samples (webdataset): tar files, read from one end to the other, also compressed with gzip.

The standard library's `tarfile` in streaming mode, not the library `webdataset`: its `tar_file_iterator` reads every
member whole, whatever its size, takes a spoilt header for the end of the shard without a word (as `tarfile` does
unless it is told otherwise, below), stops at a name that comes twice, and importing it imports torch. What a sample
is, is its rule (webdataset/tariterators.py `base_plus_ext`): names that are equal up to the first dot after the last
slash, one after the other.
"""

import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from engine import images
from engine.errors import InputError
from engine.texts import decode_text
from indexer.entry import Entry, Problem, id_of
from indexer.errors import BadSource
from indexer.sources.layout import MAX_ID, failed
from indexer.sources.lines import DAMAGE, unpacked
from indexer.sources.options import SourceOptions
from indexer.sources.place import Place, printable, reason_of
from indexer.sources.values import as_kind, keys, kind_of_json
from storage import Metadata
from storage.metadata import Kind

MAX_MEMBER = 2**28
"""Largest file in a shard, in bytes: as large as any that is read (indexer.sources.reading.MAX_BYTES)."""

TEXTS = ("txt", "caption", "cap", "text")
"""Endings of a sample's text, the one that counts first."""

_IMAGES = frozenset(one.lstrip(".") for one in images.EXTENSIONS)
_MAX_JSON = 16 * 2**20


class _Damaged(Exception):
    """A header that is none."""


class _Header(tarfile.TarInfo):
    """Tells of spoilt headers; `tarfile` takes any but the first for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # the mark at the end
            raise
        except tarfile.HeaderError as error:
            raise _Damaged(str(error)) from error


@dataclass(kw_only=True)
class _Sample:
    key: str
    image: bytes | None = None
    texts: dict[str, bytes] = field(default_factory=dict)
    json: bytes | None = None
    fault: Problem | None = None
    ignored: list[str] = field(default_factory=list)


class WebDatasetSource:
    """Shards, one after the other; in the memory is one sample.

    Args:
        shards: tar files.
        options: `id_column` is a key of the samples' JSON that holds the id; `metadata_columns` are the keys to keep.

    Raises:
        BadSource: not one of the shards is a tar file.
    """

    total: int | None = None

    def __init__(self, shards: Sequence[Place], options: SourceOptions) -> None:
        self.ignored: Counter[str] = Counter()
        self._shards = shards
        self._options = options
        fault = None
        for shard in shards:
            try:
                next(_members(shard), None)
            except (*DAMAGE, tarfile.TarError, _Damaged, ValueError) as error:
                fault = fault or f"{shard.shown}: is no tar file that can be read ({reason_of(error)})"
            else:
                return
        if fault:
            raise BadSource(fault)

    def entries(self) -> Iterator[Entry]:
        """Samples in the order that they have in the shards; damage is the last of its shard."""
        self.ignored.clear()
        kinds: dict[str, Kind] = {}
        for shard in self._shards:
            count = 0
            try:
                for sample in _samples(shard):
                    count += 1
                    self.ignored.update(sample.ignored)
                    yield self._entry(shard, sample, kinds)
            except (*DAMAGE, tarfile.TarError, _Damaged, ValueError) as error:
                reason = f"{shard.shown}: damaged after {count:,} samples ({reason_of(error)}); write it again"
                yield failed(shard.uri, Problem(kind="DamagedFile", reason=reason))

    def _entry(self, shard: Place, sample: _Sample, kinds: dict[str, Kind]) -> Entry:
        origin = f"{shard.uri}#{quote(sample.key, safe='/', errors='surrogateescape')}"
        name = f"{shard.shown}, sample {printable(sample.key)}"
        try:
            return self._whole(origin, name, sample, kinds)
        except InputError as error:
            return failed(origin, Problem(kind=type(error).__name__, reason=str(error)))
        except _Bad as error:
            return failed(origin, Problem(kind=error.kind, reason=f"{name}: {error}"))

    def _whole(self, origin: str, name: str, sample: _Sample, kinds: dict[str, Kind]) -> Entry:
        if sample.fault:
            raise _Bad(sample.fault.kind, sample.fault.reason)
        facts = _facts(sample.json)
        text = None
        for ending in TEXTS:
            if (data := sample.texts.get(ending)) and data.strip():
                text = decode_text(data, name=f"{name}.{ending}")
                break
        if sample.image is None and text is None:
            wanted = f"{', '.join(TEXTS)}, jpg, png or another picture's"
            raise _Bad("EmptyRow", f"holds neither picture nor text, expected a file that ends in {wanted}")
        key = id_of(origin)
        if self._options.id_column:
            key = _id(facts.get(self._options.id_column), self._options.id_column)
        return Entry(
            id=key,
            uri=origin,
            origin=origin,
            image=sample.image,
            text=text,
            metadata=self._metadata(facts, kinds),
        )

    def _metadata(self, facts: dict[str, Any], kinds: dict[str, Kind]) -> dict[str, Metadata]:
        """Values of the kind that their key had first: shards are read once, and never to see what comes."""
        chosen = self._options.metadata_columns
        wanted = [key for key in facts if key != self._options.id_column and (chosen is None or key in chosen)]
        found: dict[str, Metadata] = {}
        for column, key in keys(wanted).items():
            kind, _ = kind_of_json(facts[column])
            if kind and (value := as_kind(facts[column], kinds.setdefault(key, kind))) is not None:
                found[key] = value
        return found


class _Bad(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def _samples(shard: Place) -> Iterator[_Sample]:
    """Files with one key, one after the other. Raises as `_members` does, after the last whole sample."""
    sample: _Sample | None = None
    for key, ending, size, data in _members(shard):
        if sample is None or sample.key != key:
            if sample:
                yield sample
            sample = _Sample(key=key)
        kind = ending.rpartition(".")[2]
        if data is None:
            reason = f"its {ending} has {size:,} bytes, expected at most {MAX_MEMBER:,}; scale it down first"
            sample.fault = Problem(kind="FileTooLarge", reason=reason)
        elif ending in TEXTS:
            sample.texts.setdefault(ending, data)
        elif ending == "json":
            sample.json = sample.json or data
        elif kind in _IMAGES:
            sample.image = data if sample.image is None else sample.image
        else:
            sample.ignored.append(f".{printable(ending)}")
    if sample:
        yield sample


def _members(shard: Place) -> Iterator[tuple[str, str, int, bytes | None]]:
    """(key, ending in lower case, size, bytes) of each file; no bytes where it is too large.

    Raises:
        OSError, EOFError, zlib.error, tarfile.TarError, _Damaged, ValueError: the shard is spoilt from here on.
    """
    with (
        shard.open() as raw,
        closing(unpacked(raw)) as file,
        tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as archive,
    ):
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # else all headers stay in the memory
            folder, slash, name = member.name.rpartition("/")
            stem, dot, ending = name.partition(".")
            if not member.isreg() or not stem or not dot:
                continue
            data = None
            if member.size <= MAX_MEMBER:
                opened = archive.extractfile(member)
                data = opened.read() if opened else b""
                if len(data) < member.size:
                    raise _Damaged("unexpected end of data")
            yield f"{folder}{slash}{stem}", ending.lower(), member.size, data


def _facts(data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {}
    if len(data) > _MAX_JSON:
        raise _Bad("BadRow", f"its JSON has {len(data):,} bytes, expected at most {_MAX_JSON:,}")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Bad("BadRow", f"its JSON cannot be read ({reason_of(error)}), expected an object") from error
    if not isinstance(found, dict):
        raise _Bad("BadRow", f"its JSON is a {type(found).__name__}, expected an object")
    return found


def _id(value: Any, column: str) -> str:
    right = isinstance(value, str | int) and not isinstance(value, bool)
    key = str(value)
    if not right or not key.strip() or printable(key) != key or len(key) > MAX_ID:
        raise _Bad(
            "BadId", f"the id in {column!r} is {ascii(value)[:60]}, expected 1 to {MAX_ID} characters or a number"
        )
    return key
