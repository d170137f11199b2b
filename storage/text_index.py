"""Keyword search: LanceDB's full-text indexes on texts, and on the text that images show, ranked by BM25.

An item that matches in both has the higher of the two scores.
"""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

from oneword.storage.errors import MissingKeywords, StoreUnavailable
from oneword.storage.ranking import Ranked, order
from oneword.storage.scalar_index import KEPT, MOST_STALE
from oneword.storage.schema import IMAGE_TEXT
from oneword.storage.sql import is_unicode
from oneword.storage.table import Table

COLUMN = "text"
COLUMNS = (COLUMN, IMAGE_TEXT)  # the second is not in every table

# icu/split finds words by Unicode's rules and ICU's dictionaries, also in Chinese, Japanese and Thai, where "simple"
# makes one word of a sentence; both split Korean at spaces. Case and accents are ignored. No stemming and no stop
# words: LanceDB has them for one language per index, and BM25 gives words that are everywhere a low weight. No limit
# on the length of a word: LanceDB would drop longer ones (40 characters), and file names are searched for whole.
OPTIONS: dict[str, Any] = {
    "base_tokenizer": "icu/split",
    "lower_case": True,
    "ascii_folding": True,
    "stem": False,
    "remove_stop_words": False,
    "max_token_length": None,
    "with_position": False,
}

# Different words of one query. LanceDB gives a word repeated 10,000 times 10,000 times the weight, in 16 s where 5,000
# texts have it; so each counts once, and those after the first thousand are ignored.
MOST_WORDS = 1_000

# Share of unindexed rows from which they are indexed. LanceDB scores an unindexed row with the current word
# frequencies, and an indexed one with those of its index: a ranking of both is the further off, the more are unindexed.
MOST_STALE_SHARE = 0.1


def create(table: Table) -> bool:
    """Create the indexes that the table lacks, each in one commit. Returns whether it did.

    Only under the writer's lock.

    On an empty table it takes milliseconds; rows that are written later are searched by a scan until `ensure` or a
    compaction indexes them.
    """
    have, names = {one.column for one in table.indexes()}, table.schema().names
    missing = [column for column in COLUMNS if column in names and column not in have]
    for column in missing:
        table.create_index(column, "FTS", **OPTIONS)
    return bool(missing)


def ensure(table: Table) -> bool:
    """Create the indexes, also in place of damaged ones, or index new rows if they are many. Returns whether it did.

    Only under the writer's lock.
    """
    if create(table):
        return True
    indexes = [one for one in table.indexes() if one.column in COLUMNS]
    for column in [one.column for one in indexes]:
        try:
            table.tokens("word", column)
        except (ValueError, StoreUnavailable):
            table.create_index(column, "FTS", **OPTIONS)
            return True
    if max(one.stale for one in indexes) <= min(MOST_STALE, MOST_STALE_SHARE * table.count()):
        return False
    table.optimize(KEPT)
    return True


def search(table: Table, words: str, *, count: int, where: str | None = None) -> list[Ranked]:
    """The `count` rows whose text, or image's text, has the words, as (BM25, id): score descending, then id.

    One word suffices; more, and rarer ones, score higher. There are no operators. Every row of the table's version is
    searched, indexed or not. Scores are comparable within one result only.

    Args:
        table: at any version.
        where: SQL; the ranking is among the rows that pass.

    Raises:
        MissingKeywords: that version has no index, or a damaged one.
    """
    columns = sorted({one.column for one in table.indexes()} & set(COLUMNS), key=COLUMNS.index)
    if COLUMN not in columns:
        raise MissingKeywords(table.name)
    text = normalize("NFC", words if is_unicode(words) else words.encode(errors="replace").decode())
    try:
        tokens = list(dict.fromkeys(table.tokens(text, COLUMN)))[:MOST_WORDS]
    except ValueError as error:  # its files are damaged
        raise MissingKeywords(table.name) from error
    if not tokens or count < 1:
        return []
    fetch = count + max(32, count // 4)
    while True:
        rows = table.match_text(" ".join(tokens), columns, limit=fetch, where=where, columns=["id"])
        scores: list[float] = rows.column("_score").to_pylist()
        ranked = sorted(zip(scores, rows.column("id").to_pylist(), strict=True), key=order)
        # LanceDB returns any of the rows that tie, so fetch on until the last wanted row beats the last fetched one.
        if len(ranked) < fetch or ranked[count - 1][0] > ranked[-1][0]:
            return ranked[:count]
        fetch *= 4
