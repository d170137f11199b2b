"""Tables as a source: CSV, JSON lines, Parquet and Arrow, one file or many."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oneword.indexer.entry import Entry, Problem
from oneword.indexer.errors import BadSource
from oneword.indexer.sources.columns import Roles, roles
from oneword.indexer.sources.layout import Layout, failed
from oneword.indexer.sources.options import SourceOptions
from oneword.indexer.sources.place import Place, reason_of
from oneword.indexer.sources.tabular import NotATable, Survey, Table
from oneword.indexer.sources.values import has_room, keys
from oneword.storage import Metadata
from oneword.storage.metadata import Kind

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {
        *(".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz", ".tab.gz"),
        *(".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"),
        *(".parquet", ".pq", ".arrow", ".feather", ".ipc", ".arrows"),
    }
)
"""File names that claim to be tables, in lower case."""


def is_table(name: str) -> bool:
    """Whether a file is called as tables are."""
    return _suffix(name) in SUFFIXES


def table_at(place: Place, delimiter: str | None = None) -> Table:
    """The table in a file, by the file's name. Raises BadSource for a name of no known format."""
    match _suffix(place.name).removesuffix(".gz"):
        case ".csv" | ".tsv" | ".tab":
            from oneword.indexer.sources.delimited import DelimitedTable

            return DelimitedTable(place, delimiter)
        case ".jsonl" | ".ndjson" | ".json":
            from oneword.indexer.sources.json_lines import JsonLinesTable

            return JsonLinesTable(place)
        case ".parquet" | ".pq":
            from oneword.indexer.sources.parquet import ParquetTable

            return ParquetTable(place)
        case ".arrow" | ".feather" | ".ipc" | ".arrows":
            from oneword.indexer.sources.arrow import ArrowTable

            return ArrowTable(uri=place.uri, place=place, parts=[place])
    raise BadSource(f"{place.shown} is no table, expected a name that ends in {', '.join(sorted(SUFFIXES))}")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the tables of a source. extra: metadata of all its rows."""

    table: Table
    extra: Mapping[str, Metadata] = field(default_factory=dict)


class TableSource:
    """Tables, one after the other. A metadata key has one kind in all of them.

    Args:
        parts: the tables. One that is not to be read is a problem, and the rest goes on.

    Raises:
        BadSource: none of them can be read as the options say.

    Attributes:
        kinds: of the metadata keys that there were before; those of new ones are added.
    """

    def __init__(self, parts: Sequence[Part], options: SourceOptions) -> None:
        self.ignored: Counter[str] = Counter()
        self._parts = parts
        self._options = options
        self._rows: int | None = None
        self._logged: set[str] = set()
        self.kinds: dict[str, Kind] = {}
        fault: BadSource | None = None
        for part in parts:
            try:
                self._roles(part.table)
            except BadSource as error:
                fault = fault or error
            else:
                return
        if fault:
            raise fault

    @property
    def containers(self) -> frozenset[str]:
        """See `Source`."""
        return frozenset(part.table.uri for part in self._parts)

    @property
    def total(self) -> int | None:
        """By the footers of Parquet files; of other tables once they have been surveyed."""
        if self._rows is not None:
            return self._rows
        try:
            counts = [part.table.count for part in self._parts]
        except (NotATable, OSError):
            return None
        return None if None in counts else sum(count or 0 for count in counts)

    def entries(self) -> Iterator[Entry]:
        """Table by table, row by row. Before the first, all are surveyed: CSV and JSON lines are read twice."""
        whole = Survey()
        columns: dict[str, None] = {}
        extra: set[str] = set()
        for part in self._parts:
            try:
                columns |= dict.fromkeys(self._roles(part.table).metadata)
                whole.add(part.table.survey())
            except (BadSource, NotATable, OSError):
                whole.add(Survey(rows=1))  # the problem that stands for it below
            extra |= part.extra.keys()
        self._rows = whole.rows
        facts = {
            column: (key, self.kinds.setdefault(key, kind) if has_room(key, self.kinds) else kind)
            for column, key in keys(columns).items()
            if key not in extra and (kind := whole.kind(column)) is not None
        }
        self._tell(columns, facts, whole)
        for part in self._parts:
            table = part.table
            try:
                own = self._roles(table)
            except BadSource as error:
                yield failed(table.uri, Problem(kind="NotATable", reason=str(error)))
                continue
            layout = Layout(
                uri=table.uri,
                shown=table.place.shown,
                folder=table.place.parent,
                roles=own,
                facts={column: facts[column] for column in own.metadata if column in facts},
                extra=part.extra,
                schemes=self._options.allow_schemes,
            )
            try:
                for row in table.rows(layout.wanted):
                    yield layout.entry(row)
            except (NotATable, OSError) as error:  # gone since it was surveyed
                yield failed(table.uri, Problem(kind="NotATable", reason=reason_of(error)))

    def _roles(self, table: Table) -> Roles:
        """Raises BadSource, also where the table cannot be read at all."""
        try:
            columns = table.columns()
        except NotATable as error:
            raise BadSource(str(error)) from error
        except OSError as error:
            raise BadSource(f"{table.place.shown}: cannot be read ({reason_of(error)})") from error
        if not columns and _may_be_empty(table):
            return Roles(id=None, text=None, image=None, metadata=())
        found = roles(columns, self._options, table.place.shown)
        if (said := found.shown()) not in self._logged:
            log.info("%s: %s", table.place.shown, said)
            self._logged.add(said)
        return found

    def _tell(self, columns: Mapping[str, None], facts: Mapping[str, tuple[str, object]], whole: Survey) -> None:
        """What is not as the user may expect it, once."""
        if left_out := [repr(one) for one in columns if one in whole.unfit]:
            log.info(
                "not kept as metadata, being neither text, number, bool, time nor list of texts: %s",
                ", ".join(left_out),
            )
        if renamed := [f"{column!r} as {key!r}" for column, (key, _) in facts.items() if column != key]:
            log.info("kept as metadata under other keys: %s", ", ".join(renamed))


def _may_be_empty(table: Table) -> bool:
    """Whether a table without columns is just one without rows."""
    return table.survey().rows == 0


def _suffix(name: str) -> str:
    parts = name.lower().rsplit(".", 2)
    if len(parts) == 3 and parts[2] == "gz":
        return f".{parts[1]}.gz"
    return f".{parts[-1]}" if len(parts) > 1 else ""
