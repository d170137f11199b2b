"""Tables as a source: CSV, JSON lines, Parquet and Arrow, one file or many."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence

from oneword.indexer.entry import Entry, failed
from oneword.indexer.errors import BadSource
from oneword.indexer.options import SourceOptions
from oneword.indexer.sources.metadata import has_room, keys
from oneword.indexer.sources.place import Place, reason_of
from oneword.indexer.sources.rows import Roles, RowMapping, Survey, Table
from oneword.storage.metadata import Kind

log = logging.getLogger(__name__)

ID_COLUMNS = ("id", "_id", "item_id", "uid", "uuid", "key")
"""Usual names of an id, the likeliest first, in either case."""

TEXT_COLUMNS = ("text", "caption", "description", "sentence", "content", "body", "alt_text", "abstract", "title")
"""Usual names of a text."""

IMAGE_COLUMNS = (
    *("image", "img", "picture", "photo", "jpg", "png", "image_bytes", "image_url", "img_url", "image_uri"),
    *("image_path", "image_file", "image_file_name", "file_name", "filename", "filepath", "file", "path", "url"),
)
"""Usual names of an image: its bytes, or where it is (`file_name` is Hugging Face's, `url` LAION's)."""

_DELIMITED = (".csv", ".tsv", ".tab")
_JSON = (".jsonl", ".ndjson", ".json")
_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather", ".ipc", ".arrows")

SUFFIXES = (*_DELIMITED, *_JSON, *_PARQUET, *_ARROW, *(f"{one}.gz" for one in (*_DELIMITED, *_JSON)))
"""Suffixes of tables, in lower case."""


def is_table(name: str) -> bool:
    """Whether a file has the suffix of a table."""
    return name.lower().endswith(SUFFIXES)


def table_at(place: Place, delimiter: str | None = None) -> Table:
    """The table in a file, by its suffix. Raises BadSource for a suffix of no known format."""
    name = place.name.lower()
    if name.removesuffix(".gz").endswith((*_DELIMITED, *_JSON)):
        from oneword.indexer.sources.text_tables import DelimitedTable, JsonLinesTable

        is_json = name.removesuffix(".gz").endswith(_JSON)
        return JsonLinesTable(place) if is_json else DelimitedTable(place, delimiter)
    if name.endswith((*_PARQUET, *_ARROW)):
        from oneword.indexer.sources.arrow_tables import ArrowTable, ParquetTable

        return ParquetTable(place) if name.endswith(_PARQUET) else ArrowTable(place)
    raise BadSource(f"{place} is no table, expected a name that ends in {', '.join(sorted(SUFFIXES))}")


class TableSource:
    """Tables, one after the other, in all of which a metadata key has one kind.

    Args:
        tables: one that cannot be read is a problem, and the rest goes on.

    Raises:
        BadSource: none of them can be read as the options say.

    Attributes:
        kinds: of the metadata keys that exist already; those of new ones are added.
    """

    def __init__(self, tables: Sequence[Table], options: SourceOptions) -> None:
        self.ignored: Counter[str] = Counter()
        self._tables, self._options = tables, options
        self.containers = frozenset(table.uri for table in tables)
        self._rows: int | None = None
        self._logged: set[str] = set()
        self.kinds: dict[str, Kind] = {}
        fault: BadSource | None = None
        for table in tables:
            try:
                self._roles(table)
            except BadSource as error:
                fault = fault or error
            else:
                return
        if fault:
            raise fault

    @property
    def total(self) -> int | None:
        """The rows that Parquet files count; of other tables, known once they have been surveyed."""
        if self._rows is not None:
            return self._rows
        try:
            counts = [table.count for table in self._tables]
        except (BadSource, OSError):
            return None
        return None if None in counts else sum(count or 0 for count in counts)

    def entries(self) -> Iterator[Entry]:
        """Table by table, row by row. All are surveyed before the first row: CSV and JSON lines are read twice."""
        whole = Survey()
        columns: dict[str, None] = {}
        extra: set[str] = set()
        for table in self._tables:
            try:
                columns |= dict.fromkeys(self._roles(table).metadata)
                whole.add(table.survey())
            except (BadSource, OSError):
                whole.add(Survey(rows=1))  # its one problem below
            extra |= table.extra.keys()
        self._rows = whole.rows
        chosen = {
            column: (key, self.kinds.setdefault(key, kind) if has_room(key, self.kinds) else kind)
            for column, key in keys(columns).items()
            if key not in extra and (kind := whole.kind(column)) is not None
        }
        if unfit := [repr(one) for one in columns if one in whole.unfit]:
            kinds = "neither text, number, bool, time nor list of texts"
            log.info("not kept as metadata, being %s: %s", kinds, ", ".join(unfit))
        if renamed := [f"{column!r} as {key!r}" for column, (key, _) in chosen.items() if column != key]:
            log.info("kept as metadata under other keys: %s", ", ".join(renamed))
        for table in self._tables:
            try:
                roles = self._roles(table)
                own = {column: chosen[column] for column in roles.metadata if column in chosen}
                mapping = RowMapping(table=table, roles=roles, keys=own, schemes=self._options.allow_schemes)
                yield from mapping.entries()
            except (BadSource, OSError) as error:  # the latter where it is gone since it was surveyed
                yield failed(table.uri, "NotATable", reason_of(error))

    def _roles(self, table: Table) -> Roles:
        """Raises BadSource, also where the table cannot be read at all."""
        try:
            columns = table.columns()
        except OSError as error:
            raise BadSource(f"{table.place}: cannot be read ({reason_of(error)})") from error
        if not columns and table.survey().rows == 0:  # an empty table needs no columns
            return Roles(id=None, text=None, image=None, metadata=())
        found = roles_of(columns, self._options, str(table.place))
        if str(found) not in self._logged:
            log.info("%s: %s", table.place, found)
            self._logged.add(str(found))
        return found


def roles_of(columns: Sequence[str], options: SourceOptions, name: str) -> Roles:
    """Takes the columns that the options name, and infers the others from their names.

    Args:
        name: of the table, in errors.

    Raises:
        BadSource: a column of the options is missing, or there is neither a text nor an image. Names all columns.
    """
    given = {"id": options.id_column, "text": options.text_column, "image": options.image_column}
    kept = options.metadata_columns
    for role, column in (*given.items(), *((f"metadata {one!r}", one) for one in kept or ())):
        if column and column not in columns:
            has = f"it has {_listed(columns)}; name one of them"
            raise BadSource(f"{name} has no column {column!r}, which is to be the {role}; {has}")
    taken = {column for column in (*given.values(), *(kept or ())) if column}
    found: dict[str, str | None] = {}
    for role, usual in (("id", ID_COLUMNS), ("text", TEXT_COLUMNS), ("image", IMAGE_COLUMNS)):
        if (column := given[role]) is None:
            by_name = {one.lower(): one for one in reversed(columns) if one not in taken}
            column = next((by_name[one] for one in usual if one in by_name), None)
        found[role] = column or None
        taken.add(column or "")
    if not (found["text"] or found["image"]):
        raise BadSource(
            f"{name} has no column that is called as texts or images usually are; it has {_listed(columns)}; "
            "say which column is the text or the image"
        )
    metadata = tuple(one for one in columns if one not in found.values()) if kept is None else kept
    return Roles(id=found["id"], text=found["text"], image=found["image"], metadata=metadata)


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(repr(one) for one in columns[:50])
    return (f"{shown} and {len(columns) - 50:,} more" if len(columns) > 50 else shown) or "none"
