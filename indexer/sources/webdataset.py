"""Shards of samples (webdataset) as a source: a sample's picture, its text, and its JSON as metadata."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from oneword.engine.errors import InputError
from oneword.engine.texts import decode_text, is_blank
from oneword.indexer.entry import Entry, Problem, id_of
from oneword.indexer.errors import BadSource
from oneword.indexer.sources.metadata import as_kind, keys, kind_of_json
from oneword.indexer.sources.options import SourceOptions
from oneword.indexer.sources.place import Place, printable, reason_of
from oneword.indexer.sources.rows import BadCell, failed, id_in
from oneword.indexer.sources.shard import DAMAGE, TEXTS, Sample, members, samples
from oneword.indexer.sources.tables import TEXT_COLUMNS
from oneword.indexer.sources.text_tables import json_object
from oneword.storage import Metadata

CAPTIONS = (*TEXT_COLUMNS, "TEXT", "Caption", "alt", "prompt")
"""Keys of a sample's JSON that hold its text where no member does, the likeliest first."""

_MAX_JSON = 16 * 2**20


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
                next(members(shard, Counter()), None)
            except DAMAGE as error:
                fault = fault or f"{shard.shown}: is no tar file that can be read ({reason_of(error)})"
            else:
                return
        if fault:
            raise BadSource(fault)

    @property
    def containers(self) -> frozenset[str]:
        """See `Source`."""
        return frozenset(shard.uri for shard in self._shards)

    def entries(self) -> Iterator[Entry]:
        """Samples in the order that they have in the shards; damage is the last of its shard."""
        self.ignored.clear()
        for shard in self._shards:
            count = 0
            try:
                for sample in samples(shard, self.ignored):
                    count += 1
                    yield self._entry(shard, sample)
            except DAMAGE as error:
                reason = f"{shard.shown}: damaged after {count:,} samples ({reason_of(error)}); write it again"
                yield failed(shard.uri, Problem(kind="DamagedFile", reason=reason))

    def _entry(self, shard: Place, sample: Sample) -> Entry:
        origin = f"{shard.uri}#{_quoted(sample.key)}"
        name = f"{shard.shown}, sample {printable(sample.key)}"
        try:
            return self._whole(origin, name, sample)
        except InputError as error:
            return failed(origin, Problem(kind=type(error).__name__, reason=str(error)))
        except BadCell as error:
            return failed(origin, Problem(kind=error.kind, reason=f"{name}: {error}"))

    def _whole(self, origin: str, name: str, sample: Sample) -> Entry:
        if sample.fault:
            raise BadCell(sample.fault.kind, sample.fault.reason)
        facts: dict[str, Any] = {}
        for one in sample.json:
            facts = {**_facts(one.data), **facts}
        ordered = sorted(sample.texts, key=lambda one: (TEXTS.index(one.ending), one.name))
        texts = [
            decode_text(data, name=f"{name}, {printable(one.base)}")
            for one in ordered
            if (data := one.data or b"").strip()
        ]
        metadata = self._metadata(facts)
        if not texts and (column := next((one for one in CAPTIONS if isinstance(facts.get(one), str)), None)):
            texts = [facts[column]]
            metadata.pop(column, None)
        text = "\n".join(dict.fromkeys(texts)) or None
        image = sample.image
        if image is None and (text is None or is_blank(text)):
            wanted = f"{', '.join(TEXTS)}, jpg, png or another image's"
            raise BadCell("EmptyRow", f"holds neither image nor text, expected a file that ends in {wanted}")
        key = id_of(origin)
        if self._options.id_column:
            key = id_in(facts.get(self._options.id_column), self._options.id_column)
            if image is not None and sample.key == image.name:  # one of several images of the JSON that has the id
                key = f"{key}#{image.base}"
        place = f"{origin.partition('#')[0]}#{_quoted(sample.first.name)}"
        return Entry(
            id=key,
            uri=place,
            origin=origin,
            image=None if image is None else image.data,
            text=text,
            metadata=metadata,
        )

    def _metadata(self, facts: dict[str, Any]) -> dict[str, Metadata]:
        """Values as JSON has them: shards are read once, and never to see which kind a key's values are of."""
        chosen = self._options.metadata_columns
        wanted = [key for key in facts if key != self._options.id_column and (chosen is None or key in chosen)]
        found: dict[str, Metadata] = {}
        for column, key in keys(wanted).items():
            kind, _ = kind_of_json(facts[column])
            if kind and (value := as_kind(facts[column], "string" if kind == "time" else kind)) is not None:
                found[key] = value
        return found


def _quoted(name: str) -> str:
    return quote(name, safe="/", errors="surrogateescape")


def _facts(data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {}
    if len(data) > _MAX_JSON:
        raise BadCell("BadRow", f"its JSON has {len(data):,} bytes, expected at most {_MAX_JSON:,}")
    found = json_object(data)
    if isinstance(found, str):
        raise BadCell("BadRow", f"its JSON {found}")
    return found
