"""Webdataset shards as a source: tar files of samples, also compressed, read from one end to the other.

A sample. Each image is one, whatever its name: `a.b.jpg` and `a.b.mask.png` are two. A text (`.txt` and the like) or a
`.json` belongs to the images that it is named after: those with its name but for the suffix (`a.b.txt`, `a.b.jpg.txt`),
else the one whose name it continues (`a.outputs.txt` of `a.jpg`), else those that continue its name (`k.txt` of
`k.left.jpg` and `k.right.jpg`). A text that is named after no image is a sample itself. Only members with one key are
compared: webdataset's key, the folder and the name up to its first dot. Members of other kinds are counted.

Members with one key should follow each other, as in any sorted archive. If they do not, a local uncompressed archive is
paired all the same, all samples of the key where its first member is; in any other, a text that comes after its images
is a problem.

The reader is `tarfile` in streaming mode, not the library `webdataset`, which reads every member whole, whatever its
size, silently ends the shard at a corrupt header, stops at a repeated name, and imports torch.
"""

import tarfile
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from oneword.engine import images
from oneword.engine.errors import InputError
from oneword.engine.texts import decode_text, is_blank
from oneword.indexer.entry import Entry, Problem, failed, id_of
from oneword.indexer.errors import BadSource
from oneword.indexer.options import SourceOptions
from oneword.indexer.sources import lines
from oneword.indexer.sources.metadata import as_kind, keys, kind_of_json
from oneword.indexer.sources.place import SYSTEM_FOLDERS, LocalPlace, Place, printable, reason_of
from oneword.indexer.sources.rows import BadCell, id_in
from oneword.indexer.sources.tables import TEXT_COLUMNS
from oneword.indexer.sources.text_tables import json_object
from oneword.storage import Metadata

TEXT_SUFFIXES = ("txt", "caption", "cap", "text")
"""Suffixes of a sample's texts, in the order in which they are joined."""

CAPTION_KEYS = (*TEXT_COLUMNS, "TEXT", "Caption", "alt", "prompt")
"""Keys of a sample's JSON that hold its text where no member does, the likeliest first."""

MAX_MEMBER = 2**28
"""Largest member in bytes: as large as any file that is read (oneword.indexer.sources.reading.MAX_BYTES)."""

MAX_JSON = 16 * 2**20
"""Largest JSON of a sample, in bytes."""

MAX_GROUP = 64
"""Members of one key that are held in memory until the next key; of more, only those that are named alike."""

UNSORTED = Problem(
    kind="UnsortedShard",
    reason="comes apart from the members that it belongs to; write the archive again, sorted (tar --sort=name), or "
    "without compression",
)

_PARTS = (*TEXT_SUFFIXES, "json")
_IMAGE_SUFFIXES = frozenset(one.lstrip(".") for one in images.EXTENSIONS)


class Damaged(Exception):
    """The archive is damaged from here on."""


DAMAGE = (*lines.DAMAGE, tarfile.TarError, Damaged, ValueError)
"""What reading a truncated or corrupt shard raises."""


class WebDatasetSource:
    """Shards, one after the other; one sample is in memory.

    Args:
        shards: tar files.
        options: `id_column` is a key of the samples' JSON that holds the id; `metadata_columns` are the keys to keep.

    Raises:
        BadSource: none of the shards is a tar file.
    """

    total: int | None = None

    def __init__(self, shards: Sequence[Place], options: SourceOptions) -> None:
        self.ignored: Counter[str] = Counter()
        self._shards, self._options = shards, options
        self.containers = frozenset(shard.uri for shard in shards)
        fault = None
        for shard in shards:
            try:
                next(_members(shard, Counter()), None)
            except DAMAGE as error:
                fault = fault or f"{shard}: is not a tar file that can be read ({reason_of(error)})"
            else:
                return
        if fault:
            raise BadSource(fault)

    def entries(self) -> Iterator[Entry]:
        """Samples in the order of the shards; damage is the last entry of its shard."""
        self.ignored.clear()
        for shard in self._shards:
            count = 0
            try:
                for sample in _samples(shard, self.ignored):
                    count += 1
                    yield self._entry(shard, sample)
            except DAMAGE as error:
                reason = f"{shard}: damaged after {count:,} samples ({reason_of(error)}); write it again"
                yield failed(shard.uri, "DamagedFile", reason)

    def _entry(self, shard: Place, sample: "Sample") -> Entry:
        origin = f"{shard.uri}#{_quoted(sample.key)}"
        name = f"{shard}, sample {printable(sample.key)}"
        try:
            return self._whole(shard, origin, name, sample)
        except InputError as error:
            return failed(origin, type(error).__name__, str(error))
        except BadCell as error:
            return failed(origin, error.kind, f"{name}: {error}")

    def _whole(self, shard: Place, origin: str, name: str, sample: "Sample") -> Entry:
        if sample.fault:
            raise BadCell(sample.fault.kind, sample.fault.reason)
        values: dict[str, Any] = {}
        for part in sample.parts:
            if part.suffix == "json":
                values = {**_json(part.data), **values}
        texts = [
            decode_text(one.data, name=f"{name}, {printable(one.base)}")
            for one in sorted(sample.parts, key=lambda one: (_PARTS.index(one.suffix), one.name))
            if one.suffix != "json" and one.data.strip()
        ]
        metadata = self._metadata(values)
        if not texts and (key := next((one for one in CAPTION_KEYS if isinstance(values.get(one), str)), None)):
            texts = [values[key]]
            metadata.pop(key, None)
        text = "\n".join(dict.fromkeys(texts)) or None
        image = sample.first if sample.first.is_image else None
        if image is None and (text is None or is_blank(text)):
            expected = f"{', '.join(TEXT_SUFFIXES)}, jpg, png or another image's"
            raise BadCell("EmptyRow", f"holds neither image nor text, expected a file that ends in {expected}")
        item_id = id_of(origin)
        if self._options.id_column:
            item_id = id_in(values.get(self._options.id_column), self._options.id_column)
            if image is not None and sample.key == image.name:  # one of several images of the JSON that has the id
                item_id = f"{item_id}#{image.base}"
        return Entry(
            id=item_id,
            uri=f"{shard.uri}#{_quoted(sample.first.name)}",
            origin=origin,
            image=None if image is None else image.data,
            text=text,
            metadata=metadata,
        )

    def _metadata(self, values: Mapping[str, Any]) -> dict[str, Metadata]:
        """Values as JSON has them: shards are read once, without a survey of which kind a key's values are."""
        kept = self._options.metadata_columns
        expected = [key for key in values if key != self._options.id_column and (kept is None or key in kept)]
        found: dict[str, Metadata] = {}
        for name, key in keys(expected).items():
            kind, _ = kind_of_json(values[name])
            if kind and (value := as_kind(values[name], "string" if kind == "time" else kind)) is not None:
                found[key] = value
        return found


def _quoted(name: str) -> str:
    return quote(name, safe="/", errors="surrogateescape")


def _json(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_JSON:
        raise BadCell("BadRow", f"its JSON has {len(data):,} bytes, expected at most {MAX_JSON:,}")
    found = json_object(data)
    if isinstance(found, str):
        raise BadCell("BadRow", f"its JSON {found}")
    return found


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file in a shard. offset: of its content, in bytes. suffix: in lower case, without its dot."""

    name: str
    size: int
    offset: int
    data: bytes = b""

    @property
    def base(self) -> str:
        """The name without its folder."""
        return self.name.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The base without its suffix."""
        return self.base.rpartition(".")[0]

    @property
    def suffix(self) -> str:
        return self.base.rpartition(".")[2].lower()

    @property
    def key(self) -> str:
        """What webdataset compares: the folder, and the name up to its first dot."""
        return self.name[: len(self.name) - len(self.base)] + self.base.partition(".")[0]

    @property
    def is_image(self) -> bool:
        return self.suffix in _IMAGE_SUFFIXES

    @property
    def is_hidden(self) -> bool:
        """As in a folder: by a leading dot, or in a system folder."""
        parts = self.name.split("/")
        dotted = any(part.startswith(".") and part.strip(".") for part in parts)
        return dotted or any(part.lower() in SYSTEM_FOLDERS for part in parts[:-1])

    @property
    def counts(self) -> bool:
        """Whether it can be part of a sample."""
        return (self.is_image or self.suffix in _PARTS) and bool(self.stem) and not self.is_hidden


@dataclass(kw_only=True)
class Sample:
    """One input: an image or a text, with the texts and JSON that belong to it.

    key: what it is called in its shard. first: the member that it is named after. fault: why it cannot be used.
    """

    key: str
    first: Member
    parts: list[Member] = field(default_factory=list)
    fault: Problem | None = None


def _samples(shard: Place, ignored: Counter[str]) -> Iterator[Sample]:
    """All samples. Raises `DAMAGE`, after the last sample that is known to be whole: another one began after it."""
    scattered = _scattered(shard)
    group: list[Member] = []
    ended: set[int] = set()
    for member in _members(shard, ignored, unread=scattered):
        if member is None:  # the end mark: the last group is whole
            yield from _resolve(group)
        elif member.key in scattered:
            yield from (_loaded(shard, sample) for sample in _resolve(scattered[member.key]))
            scattered[member.key] = []
        else:
            full = len(group) >= MAX_GROUP and not any(
                member.stem == one.stem or member.stem.startswith(f"{one.stem}.") for one in group
            )
            if group and (full or member.key != group[0].key):
                yield from _resolve(group)
                ended.add(hash(group[0].key))
                group = []
            if not group and not member.is_image and hash(member.key) in ended:
                yield Sample(key=member.name, first=member, fault=UNSORTED)
            else:
                group.append(member)


def _resolve(group: Sequence[Member]) -> list[Sample]:
    """The samples of members with one key."""
    found = []
    for image in (one for one in group if one.is_image):
        plain = image.base == f"{image.stem}.{image.suffix}" and "." not in image.stem
        found.append(Sample(key=image.key if plain else image.name, first=image))
    owners = [sample.first for sample in found]
    for part in sorted((one for one in group if not one.is_image), key=lambda one: one.suffix == "json"):
        owned = _owners(part, owners)
        if not owned and part.suffix == "json":  # of a text that is a sample itself
            owned = [one.first for one in found if not one.first.is_image and _owners(part, [one.first])]
        for sample in found:
            if any(sample.first is one for one in owned):
                sample.parts.append(part)
        if not owned:
            found.append(Sample(key=part.key, first=part, parts=[part]))
    named: dict[str, Sample] = {}
    for sample in found:
        if named.setdefault(sample.key, sample).first.name != sample.first.name:  # a repeated name stays one
            sample.key = sample.first.name
        for one in (sample.first, *sample.parts):
            if one.size > MAX_MEMBER:
                reason = f"{printable(one.base)} has {one.size:,} bytes, expected at most {MAX_MEMBER:,}; scale it down"
                sample.fault = Problem(kind="FileTooLarge", reason=reason)
    return found


def _owners(part: Member, images: Sequence[Member]) -> list[Member]:
    """The images that a text or JSON is named after."""
    stem = part.stem
    if same := [one for one in images if stem in (one.stem, one.base)]:
        return same
    if continued := [one for one in images if stem.startswith(f"{one.stem}.")]:
        return [max(continued, key=lambda one: len(one.stem))]
    return [one for one in images if one.stem.startswith(f"{stem}.")]


def _scattered(shard: Place) -> dict[str, list[Member]]:
    """The members, without their content, of each key whose members do not follow each other.

    They are found in local uncompressed archives, whose headers can be read alone.
    """
    found: dict[str, list[Member]] = {}
    if not isinstance(shard, LocalPlace):
        return found
    try:
        last, ended = "", set[int]()
        for member in filter(None, _members(shard, Counter(), unread=None)):
            if member.key != last and hash(member.key) in ended:
                found[member.key] = []
            ended.add(hash(member.key))
            last = member.key
        for member in filter(None, _members(shard, Counter(), unread=None)) if found else ():
            if member.key in found:
                found[member.key].append(member)
    except DAMAGE:  # reading it as a stream says where
        return {}
    return found


def _loaded(shard: Place, sample: Sample) -> Sample:
    """The sample with the content of its members, which may be anywhere in an uncompressed archive."""

    def load(member: Member) -> Member:
        file.seek(member.offset)
        return replace(member, data=file.read(member.size))

    if sample.fault:
        return sample
    with shard.open() as file:
        return replace(sample, first=load(sample.first), parts=[load(one) for one in sample.parts])


class _Header(tarfile.TarInfo):
    """Raises for corrupt headers; `tarfile` takes any but the first for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # the mark at the end
            raise
        except tarfile.HeaderError as error:
            raise Damaged(str(error)) from error


def _members(
    shard: Place, ignored: Counter[str], *, unread: Container[str] | None = frozenset()
) -> Iterator[Member | None]:
    """The members that count, in order, and None at the end mark; others are counted by kind. Raises `DAMAGE`.

    unread: keys of members whose content is not read; None: nothing but headers is read, of an uncompressed archive.
    """
    with (
        shard.open() as raw,
        closing(raw if unread is None else lines.unpacked(raw)) as file,
        tarfile.open(fileobj=file, mode="r:" if unread is None else "r|", tarinfo=_Header) as archive,
    ):
        for header in archive:
            archive.members = []  # type: ignore[attr-defined]  # else all headers stay in memory
            member = Member(name=header.name, size=header.size, offset=header.offset_data)
            if header.isdir():
                continue
            if not header.isreg() or not member.counts:
                ignored[_kind(header, member)] += 1
                continue
            if unread is not None and member.key not in unread and member.size <= MAX_MEMBER:
                content = archive.extractfile(header)
                member = replace(member, data=content.read() if content else b"")
                if len(member.data) < member.size:
                    raise Damaged("unexpected end of data")
            yield member
        yield None
        while unread is not None and (rest := archive.fileobj.read(2**16)):
            if rest.strip(b"\0"):
                raise Damaged("more follows after the mark of its end, perhaps another archive")


def _kind(header: tarfile.TarInfo, member: Member) -> str:
    if header.issym() or header.islnk():
        return "links"
    if not header.isreg():
        return "special files"
    if member.is_hidden:
        return "hidden files"
    return printable(f".{member.suffix}") if member.stem else "(no suffix)"
