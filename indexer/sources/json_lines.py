"""JSON lines: one object a line."""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from oneword.indexer.entry import Problem
from oneword.indexer.sources.lines import DAMAGE, lines
from oneword.indexer.sources.place import Place, reason_of
from oneword.indexer.sources.tabular import NotATable, Row, Survey
from oneword.indexer.sources.values import kind_of_json

MAX_LINE = 32 * 2**20
"""Longest line in bytes: a picture of 24 MB in base 64."""

MOST_COLUMNS = 1_000
"""Different keys in one file: more are not facts of a kind, but data used as keys."""


@dataclass(frozen=True)
class JsonLinesTable:
    """A .jsonl or .ndjson file, or a .json file that is one; also compressed with gzip."""

    place: Place

    count: int | None = None

    @property
    def uri(self) -> str:
        """The file's."""
        return self.place.uri

    def columns(self) -> list[str]:
        """All keys of all lines, so that this reads the whole file once."""
        return list(self._survey.kinds)

    def survey(self) -> Survey:
        """Reads the whole file: a column is of a kind if all of its values are."""
        return self._survey

    @cached_property
    def _survey(self) -> Survey:
        survey = Survey()
        first_fault = None
        rows = 0
        try:
            for line, found in self._objects():
                rows += 1
                if isinstance(found, str):
                    first_fault = first_fault or f"line {line:,} {found}"
                    continue
                for key, value in found.items():
                    if key not in survey.kinds and len(survey.kinds) >= MOST_COLUMNS:
                        continue
                    kind, unfit = kind_of_json(value)
                    kinds = survey.kinds.setdefault(key, Counter())
                    if kind:
                        kinds[kind] += 1
                    if unfit:
                        survey.unfit.add(key)
        except DAMAGE as error:
            first_fault = first_fault or f"cannot be read ({reason_of(error)})"
            rows += 1
        survey.rows = rows
        if not survey.kinds and first_fault:
            raise NotATable(f"{self.place.shown}: no line holds a JSON object: {first_fault}")
        return survey

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:
        """Values as JSON has them."""
        number = 0
        try:
            for number, (line, found) in enumerate(self._objects(), 1):
                if isinstance(found, str):
                    reason = f"{self.place.shown}, row {number:,} (line {line:,}): {found}"
                    yield Row(number=number, problem=Problem(kind="BadRow", reason=reason))
                else:
                    yield Row(number=number, cells={name: found[name] for name in wanted if name in found})
        except DAMAGE as error:
            reason = f"{self.place.shown}: damaged after row {number:,} ({reason_of(error)}); write it again"
            yield Row(number=None, problem=Problem(kind="DamagedFile", reason=reason))

    def _objects(self) -> Iterator[tuple[int, dict[str, object] | str]]:
        """Each line that is not blank: its number, and its object or what is wrong with it. Raises `DAMAGE`."""
        for number, line in lines(self.place, MAX_LINE):
            if line is None:
                yield number, f"is longer than {MAX_LINE:,} bytes; name the picture's file instead"
            elif number == 1 and line.lstrip()[:1] == b"[":
                raise NotATable(
                    f"{self.place.shown}: is one JSON list, which would have to be read whole, expected one object a "
                    "line; convert it with `jq -c '.[]'`"
                )
            elif line.strip():
                yield number, _parsed(line)


def _parsed(line: bytes) -> dict[str, object] | str:
    try:
        found = json.loads(line.decode())
    except UnicodeDecodeError as error:
        return f"byte 0x{line[error.start]:02x} is not UTF-8; save the file as UTF-8"
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        return f"is no JSON ({said_of_json(error)}), expected one whole object"
    return found if isinstance(found, dict) else f"is a JSON {type(found).__name__}, expected an object"


def said_of_json(error: Exception) -> str:
    """What the parser says, for people who have never seen Python."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return reason_of(error)
    return "a number of thousands of digits"
