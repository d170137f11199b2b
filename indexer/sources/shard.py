"""Shards of samples: tar files, read from one end to the other, also compressed with gzip.

The standard library's `tarfile` in streaming mode, not the library `webdataset`: its `tar_file_iterator` reads every
member whole, whatever its size, takes a spoilt header for the end of the shard without a word (as `tarfile` does
unless it is told otherwise, below), stops at a name that comes twice, and importing it imports torch. What a sample
is, is its rule (webdataset/tariterators.py `base_plus_ext`): names that are equal up to the first dot after the last
slash, one after the other.
"""

import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from engine import images
from indexer.entry import Problem
from indexer.sources import lines
from indexer.sources.place import Place, printable

MAX_MEMBER = 2**28
"""Largest file in a shard, in bytes: as large as any that is read (indexer.sources.reading.MAX_BYTES)."""

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


@dataclass(kw_only=True)
class Sample:
    """Files of one key, as far as they count.

    texts: by their endings.
    fault: why it is no input, if one of its files shows that.
    ignored: endings of other files.
    """

    key: str
    image: bytes | None = None
    image_ending: str = ""
    texts: dict[str, bytes] = field(default_factory=dict)
    json: bytes | None = None
    fault: Problem | None = None
    ignored: list[str] = field(default_factory=list)


def samples(shard: Place) -> Iterator[Sample]:
    """Files with one key, one after the other.

    Raises as `members` does, after the last sample that is known to be whole: another one began after it.
    """
    sample: Sample | None = None
    for key, ending, size, data in members(shard):
        if sample is None or sample.key != key:
            if sample:
                yield sample
            sample = Sample(key=key) if key else None
        if sample is None:
            continue
        if not _is_read(ending):
            sample.ignored.append(f".{printable(ending)}")
        elif data is None:
            reason = f"its {ending} has {size:,} bytes, expected at most {MAX_MEMBER:,}; scale it down first"
            sample.fault = Problem(kind="FileTooLarge", reason=reason)
        elif ending in TEXTS:
            sample.texts.setdefault(ending, data)
        elif ending == "json":
            sample.json = sample.json or data
        elif sample.image is None or ending.count(".") < sample.image_ending.count("."):
            sample.image, sample.image_ending = data, ending  # k.jpg is the picture, and k.mask.jpg is of it
    if sample:
        yield sample


def members(shard: Place) -> Iterator[tuple[str, str, int, bytes | None]]:
    """(key, ending in lower case, size, bytes) of each file; at the end one with an empty key.

    There are no bytes where they are too many, or where the file's ending is none that counts.

    Raises:
        DAMAGE: the shard is spoilt from here on.
    """
    with (
        shard.open() as raw,
        closing(lines.unpacked(raw)) as file,
        tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as archive,
    ):
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # else all headers stay in the memory
            folder, slash, name = member.name.rpartition("/")
            stem, dot, ending = name.partition(".")
            if not member.isreg() or not stem or not dot:
                continue
            data = None
            ending = ending.lower()
            if member.size <= MAX_MEMBER and _is_read(ending):
                opened = archive.extractfile(member)
                data = opened.read() if opened else b""
                if len(data) < member.size:
                    raise Damaged("unexpected end of data")
            yield f"{folder}{slash}{stem}", ending, member.size, data
        yield "", "", 0, None
        while rest := archive.fileobj.read(2**16):
            if rest.strip(b"\0"):
                raise Damaged("more follows after the mark of its end, perhaps another archive")


def _is_read(ending: str) -> bool:
    return ending in TEXTS or ending == "json" or ending.rpartition(".")[2] in _IMAGES
