"""Shards of samples: tar files, read from one end to the other, also compressed.

What a sample is. Each image is one, whatever its name: `a.b.jpg` and `a.b.mask.png` are two. A text (`.txt` and kin) or
a `.json` is a part of the images that it is named after: those with its name but for the ending (`a.b.txt`,
`a.b.jpg.txt`), else the one whose name it continues (`a.outputs.txt` of `a.jpg`), else those that continue its name
(`k.txt` of `k.left.jpg` and `k.right.jpg`). A text that is named after no image is a sample by itself. Members of other
kinds are counted. Only members with one key are compared: webdataset's, the folder and the name up to its first dot.

Members with one key should stand together, as in any sorted archive. Where they do not, a local archive that is not
compressed is read in the order that it takes; of others, a text that comes after its images is a problem.

The standard library's `tarfile` in streaming mode, not the library `webdataset`: its `tar_file_iterator` reads every
member whole, whatever its size, takes a spoilt header for the end of the shard without a word (as `tarfile` does
unless it is told otherwise, below), stops at a name that comes twice, and importing it imports torch.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from oneword.engine import images
from oneword.indexer.entry import Problem
from oneword.indexer.sources import lines
from oneword.indexer.sources.place import SYSTEM_FOLDERS, LocalPlace, Place, printable

MAX_MEMBER = 2**28
"""Largest file in a shard, in bytes: as large as any that is read (oneword.indexer.sources.reading.MAX_BYTES)."""

TEXTS = ("txt", "caption", "cap", "text")
"""Endings of a sample's text, the one that counts first."""

_IMAGES = frozenset(one.lstrip(".") for one in images.EXTENSIONS)


class Damaged(Exception):
    """A header that is none."""


DAMAGE = (*lines.DAMAGE, tarfile.TarError, Damaged, ValueError)
"""What reading a shard that is cut or spoilt raises."""


class _Header(tarfile.TarInfo):
    """Tells of spoilt headers; `tarfile` takes any but the first for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Header":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # the mark at the end
            raise
        except tarfile.HeaderError as error:
            raise Damaged(str(error)) from error


MOST_TOGETHER = 64
"""Members of one key that are held in memory until the next key comes; more are dealt with a name at a time."""

MOST_APART = 2**26
"""Bytes of texts and JSON that are held in memory of an archive that is not sorted."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file that counts. data: None where there are too many bytes. ending: the last, in lower case."""

    name: str
    size: int
    data: bytes | None

    @property
    def folder(self) -> str:
        """With a slash at its end, or empty."""
        return self.name[: len(self.name) - len(self.base)]

    @property
    def base(self) -> str:
        """The name without its folder."""
        return self.name.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The base without its ending."""
        return self.base.rpartition(".")[0]

    @property
    def ending(self) -> str:
        """The last one, in lower case, without its dot."""
        return self.base.rpartition(".")[2].lower()

    @property
    def key(self) -> str:
        """What webdataset compares: the folder, and the name up to its first dot."""
        return self.folder + self.base.partition(".")[0]

    @property
    def is_image(self) -> bool:
        """Whether it is called as images are."""
        return self.ending in _IMAGES


@dataclass(kw_only=True)
class Sample:
    """One input: an image with its parts, or a text with its JSON.

    key: what it is called in its shard. first: the member that it is named after.
    fault: why it is none.
    """

    key: str
    first: Member
    texts: list[Member] = field(default_factory=list)
    json: list[Member] = field(default_factory=list)
    fault: Problem | None = None

    @property
    def image(self) -> Member | None:
        """The image, if it has one."""
        return self.first if self.first.is_image else None


def samples(shard: Place, ignored: Counter[str]) -> Iterator[Sample]:
    """All samples; members that are none are counted by kind.

    Raises as `members` does, after the last sample that is known to be whole: another one began after it.
    """
    scattered = _scattered(shard)
    apart = _read_apart(shard, scattered) if scattered else {}
    used: set[str] = set()
    group: list[Member] = []
    ended: set[int] = set()
    for member in members(shard, ignored):
        if member is None:  # the mark of the end was met: what came last is whole
            yield from _resolved(group)
            group = []
            for parts in apart.values():
                yield from _resolved([one for one in parts if one.name not in used])
            continue
        if member.key in scattered:
            if member.is_image:
                others = [Member(name=one, size=0, data=None) for one in scattered[member.key] if one != member.name]
                found = _resolved([member, *apart.get(member.key, ())], others)
                used.update(part.name for part in (*found[0].texts, *found[0].json))
                yield found[0]
            continue
        if group and (member.key != group[0].key or (len(group) >= MOST_TOGETHER and not _named_alike(group, member))):
            yield from _resolved(group)
            ended.add(hash(group[0].key))
            group = []
        if not group and not member.is_image and hash(member.key) in ended:
            yield Sample(key=member.name, first=member, fault=LATE)
            continue
        group.append(member)


def _resolved(group: Sequence[Member], others: Sequence[Member] = ()) -> list[Sample]:
    """The samples that members of one key are. others: images of the key that have been, or will be, dealt with."""
    images = [one for one in group if one.is_image]
    owners = [*images, *others]
    taken: dict[str, str] = {}
    found = [
        Sample(
            key=image.key if image.base == f"{image.stem}.{image.ending}" and "." not in image.stem else image.name,
            first=image,
        )
        for image in images
    ]
    free: list[Member] = []
    for part in (one for one in group if not one.is_image):
        after = _owners(part, owners)
        mine = [sample for sample in found if any(sample.first is one for one in after)]
        for sample in mine:
            (sample.json if part.ending == "json" else sample.texts).append(part)
        if not after:
            free.append(part)
    found += [Sample(key=one.key, first=one, texts=[one]) for one in free if one.ending != "json"]
    for facts in [one for one in free if one.ending == "json"]:
        mine = [one for one in found if not one.first.is_image and _owners(facts, [one.first])]
        for sample in mine:
            sample.json.append(facts)
        if not mine:
            found.append(Sample(key=facts.key, first=facts, json=[facts]))
    for sample in found:
        if taken.setdefault(sample.key, sample.first.name) != sample.first.name:  # a name that comes twice stays one
            sample.key = sample.first.name
        for one in (sample.first, *sample.texts, *sample.json):
            if one.data is None:
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


def _named_alike(group: Sequence[Member], member: Member) -> bool:
    return any(one.stem == member.stem or member.stem.startswith(f"{one.stem}.") for one in group)


LATE = Problem(
    kind="UnsortedShard",
    reason="comes apart from the members that it belongs to; write the archive again, sorted (tar --sort=name), or "
    "without compression",
)


def _scattered(shard: Place) -> dict[str, list[str]]:
    """Of keys whose members do not stand together, the names of their images.

    Told of local archives only, whose headers are read without what is between them.
    """
    if not isinstance(shard, LocalPlace):
        return {}
    keys: dict[str, list[str]] = {}
    try:
        with shard.open() as file, tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as archive:
            last, ended = "", set[int]()
            for one in archive:
                archive.members = []  # type: ignore[attr-defined]
                member = Member(name=one.name, size=one.size, data=None)
                if not one.isreg() or not _counts(member):
                    continue
                if member.key != last and hash(member.key) in ended:
                    keys.setdefault(member.key, [])
                ended.add(hash(member.key))
                last = member.key
            if keys:
                file.seek(0)
                with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as again:
                    for one in again:
                        again.members = []  # type: ignore[attr-defined]
                        member = Member(name=one.name, size=one.size, data=None)
                        if one.isreg() and member.is_image and member.key in keys:
                            keys[member.key].append(member.name)
    except DAMAGE:  # reading it as a stream says where
        return {}
    return keys


def _read_apart(shard: Place, keys: Mapping[str, object]) -> dict[str, list[Member]]:
    """Texts and JSON of some keys."""
    found: dict[str, list[Member]] = {}
    size = 0
    for member in members(shard, Counter(), images=False):
        if member and member.key in keys and not member.is_image:
            size += len(member.data or b"")
            kept = member if size <= MOST_APART else Member(name=member.name, size=member.size, data=None)
            found.setdefault(member.key, []).append(kept)
    return found


def members(shard: Place, ignored: Counter[str], *, images: bool = True) -> Iterator[Member | None]:
    """The files that count, in their order, and None at the end; others are counted by kind. images: read them, too.

    Raises:
        DAMAGE: the shard is spoilt from here on.
    """
    with (
        shard.open() as raw,
        closing(lines.unpacked(raw)) as file,
        tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as archive,
    ):
        for one in archive:
            archive.members = []  # type: ignore[attr-defined]  # else all headers stay in the memory
            member = Member(name=one.name, size=one.size, data=None)
            if one.isdir():
                continue
            if not one.isreg() or not _counts(member):
                ignored[_kind(one, member)] += 1
                continue
            if one.size <= MAX_MEMBER and (images or not member.is_image):
                opened = archive.extractfile(one)
                data = opened.read() if opened else b""
                if len(data) < one.size:
                    raise Damaged("unexpected end of data")
                member = replace(member, data=data)
            yield member
        yield None
        while rest := archive.fileobj.read(2**16):
            if rest.strip(b"\0"):
                raise Damaged("more follows after the mark of its end, perhaps another archive")


def _is_hidden(member: Member) -> bool:
    """As in a folder: by a leading dot, or in a folder of the system's."""
    parts = member.name.split("/")
    return any(part.startswith(".") and part.strip(".") for part in parts) or any(
        part.lower() in SYSTEM_FOLDERS for part in parts[:-1]
    )


def _counts(member: Member) -> bool:
    if _is_hidden(member):
        return False
    return bool(member.stem) and (member.is_image or member.ending in TEXTS or member.ending == "json")


def _kind(header: tarfile.TarInfo, member: Member) -> str:
    if header.issym() or header.islnk():
        return "links"
    if not header.isreg():
        return "special files"
    if _is_hidden(member):
        return "hidden files"
    return printable(f".{member.ending}") if member.stem else "(no suffix)"
