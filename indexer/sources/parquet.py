"""Parquet, a few rows at a time: in the memory are the pages that are being read, not row groups.

A page is as large as its writer made it: pyarrow's holds at least 1,024 values unless `write_batch_size` says less or
its row group ends, so that pictures in one large row group are best written anew with smaller ones. Measured on 3,000
pictures of 200 kB: 831 MB with pages of 1,024 in one row group, 89 MB with pages of 8, 103 MB with row groups of 100.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from oneword.indexer.entry import Problem
from oneword.indexer.sources.arrow import BATCH, DAMAGE, named, rows_of, survey_of
from oneword.indexer.sources.place import Place, reason_of
from oneword.indexer.sources.tabular import NotATable, Row, Survey
from oneword.indexer.sources.values import distinct
from oneword.storage.schema import PANDAS

_BUFFER = 2**20  # bytes read ahead in each column; without it, pyarrow reads a row group's whole columns


@dataclass(frozen=True)
class ParquetTable:
    """A .parquet file."""

    place: Place

    @property
    def uri(self) -> str:
        """The file's."""
        return self.place.uri

    @property
    def count(self) -> int | None:
        """As the footer says."""
        return sum(self._footer[1])

    @cached_property
    def _footer(self) -> tuple[pa.Schema, list[int]]:
        """The schema, and the rows of each row group."""
        try:
            with self._opened() as file:
                groups = file.metadata.num_row_groups
                return named(file.schema_arrow), [file.metadata.row_group(at).num_rows for at in range(groups)]
        except DAMAGE as error:
            raise NotATable(f"{self.place.shown}: is no whole Parquet file ({reason_of(error)})") from error

    def columns(self) -> list[str]:
        """Without the labels of rows that pandas writes."""
        return [name for name in distinct(self._footer[0].names) if not name.startswith(PANDAS)]

    def survey(self) -> Survey:
        """By the columns' types."""
        return survey_of(self._footer[0], sum(self._footer[1]))

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:
        """Row group by row group; of a damaged one those rows before the damage, and the next ones."""
        schema, groups = self._footer
        names = distinct(schema.names)
        # A name that comes twice cannot be asked for: then all columns are read.
        asked = [name for name in names if name in wanted] if names == list(schema.names) else None
        number = 0
        for group, count in enumerate(groups):
            end = number + count
            try:
                with self._opened() as file:
                    for batch in file.iter_batches(BATCH, row_groups=[group], columns=asked, use_threads=False):
                        for cells in rows_of(batch, wanted):
                            number += 1
                            yield Row(number=number, cells=cells)
            except DAMAGE as error:
                reason = (
                    f"{self.place.shown}: rows {number + 1:,} to {end:,} cannot be read ({reason_of(error)}); "
                    "write the file again"
                )
                yield Row(number=number + 1, problem=Problem(kind="DamagedFile", reason=reason))
                number = end

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with (
            self.place.open() as raw,
            pa.PythonFile(raw, mode="r") as source,
            pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False) as file,
        ):
            yield file
