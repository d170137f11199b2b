"""Labelled queries: what was asked, and which items are right."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneword.query.errors import BadQuery

PARTS = ("text", "image", "edit", "like", "without", "where", "modality")
"""What a query in a file may say; each as in `Query.of`."""
MOST = 100
_GRADES = f"grades from 0 to {MOST}"


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A query and its answers.

    Args:
        id: of the query.
        parts: as `Query.of` takes them.
        relevant: grade by item; 0 is known to be wrong. An item is named by its id or its URI.
    """

    id: str
    parts: Mapping[str, Any]
    relevant: Mapping[str, int]


def read_labelled(queries: Path, qrels: Path | None = None) -> list[Labelled]:
    """Reads JSON lines, or a trec pair: queries as `id<TAB>text`, judgements as `id 0 item grade`.

    A JSON line: {"text": "a red circle", "relevant": ["id", ...]}, or with grades {"relevant": {"id": 2}}; instead of
    `text` any of `PARTS`; `id` is optional.

    Raises:
        BadQuery: a line that is neither, or nothing in it.
    """
    try:
        lines = queries.read_text(encoding="utf-8-sig").split("\n")  # and at no other line end that a text may hold
        judged = qrels.read_text(encoding="utf-8-sig").split("\n") if qrels else []
    except (OSError, UnicodeDecodeError) as error:
        raise BadQuery(f"labelled queries cannot be read: {error}") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if qrels is None:
        found = [_json_line(f"{queries}:{number}", line, str(number)) for number, line in numbered]
    else:
        grades = _judgements(qrels, judged)
        topics = [_topic(f"{queries}:{number}", line) for number, line in numbered]
        texts = dict(topics)
        if len(texts) < len(topics):
            raise BadQuery(f"{queries}: {len(topics) - len(texts)} queries have an id that another one has")
        unknown = sorted(set(grades) - set(texts))
        if unknown:
            raise BadQuery(f"{qrels}: judges query {unknown[0]!r}, which {queries} does not have")
        found = [Labelled(id=id_, parts={"text": texts[id_]}, relevant=grades[id_]) for id_ in texts if id_ in grades]
    if not found:
        raise BadQuery(f"{queries}: no labelled query: expected at least one")
    doubled = len(found) - len({one.id for one in found})
    if doubled:
        raise BadQuery(f"{queries}: {doubled} queries have an id that another one has: expected each once")
    return found


def _json_line(where: str, line: str, number: str) -> Labelled:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise BadQuery(f"{where}: no JSON ({error}): expected an object a line, or trec with --qrels") from error
    relevant = entry.get("relevant") if isinstance(entry, dict) else None
    if isinstance(relevant, list) and all(isinstance(item, str) for item in relevant):
        relevant = dict.fromkeys(relevant, 1)
    if not isinstance(relevant, dict) or not all(_is_grade(grade) for grade in relevant.values()):
        raise BadQuery(f"{where}: relevant is {relevant!r}: expected a list of items, or an object of {_GRADES}")
    if not any(grade > 0 for grade in relevant.values()):
        raise BadQuery(f"{where}: no item is relevant: expected at least one, or leave the query out")
    parts = {name: value for name, value in entry.items() if name not in ("id", "relevant")}
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts:
        raise BadQuery(f"{where}: has {', '.join(unknown) or 'no query'}: expected some of {', '.join(PARTS)}")
    for name, value in parts.items():
        several = isinstance(value, list) and name in ("like", "without") and all(isinstance(one, str) for one in value)
        if not isinstance(value, str) and not several:
            raise BadQuery(f"{where}: {name} is {value!r}: expected a string")
    return Labelled(id=str(entry.get("id", number)), parts=parts, relevant=relevant)


def _is_grade(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _topic(where: str, line: str) -> tuple[str, str]:
    id_, tab, text = line.partition("\t")
    if not tab or not text.strip():
        raise BadQuery(f"{where}: {line!r}: expected a query's id, a tab, and its text")
    return id_.strip(), text.strip()


def _judgements(path: Path, lines: list[str]) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            query, _, rest = line.strip().split(maxsplit=2)
            item, grade = rest.rsplit(maxsplit=1)
            grades.setdefault(query, {})[item] = max(0, int(grade))  # trec writes -1 for "worse than wrong"
        except ValueError:
            raise BadQuery(f"{path}:{number}: {line!r}: expected query, 0, item and grade") from None
        if not _is_grade(grades[query][item]):
            raise BadQuery(f"{path}:{number}: grade {grade}: expected {_GRADES}")
    return {query: items for query, items in grades.items() if any(items.values())}  # trec leaves out the others too
