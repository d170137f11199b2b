"""Keyword search: LanceDB's full-text index on the `text` column, ranked by BM25."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

from oneword.storage.errors import MissingKeywords
from oneword.storage.ranking import Ranked, order
from oneword.storage.scalar_index import KEPT, MOST_STALE
from oneword.storage.sql import is_unicode
from oneword.storage.table import Table

COLUMN = "text"

# What is a word, in any language. icu/split cuts by Unicode's rules and ICU's dictionaries, which find words in
# Chinese, Japanese and Thai, where "simple" makes one word of a sentence; of Korean, both keep what stands between
# spaces. Case and accents count for nothing. No stemming and no stop words: LanceDB's are those of one language
# for the whole index, and BM25 itself makes little of words that are everywhere. No longest word: LanceDB would
# leave longer ones out (40 characters), and names of files or chemicals are looked for whole.
OPTIONS: dict[str, Any] = {
    "base_tokenizer": "icu/split",
    "lower_case": True,
    "ascii_folding": True,
    "stem": False,
    "remove_stop_words": False,
    "max_token_length": None,
    "with_position": False,
}

# Different words of one question. LanceDB weighs a word given 10,000 times 10,000 times over, in 16 s where 5,000
# texts have it; so each counts once, and those after the first thousand not at all.
MOST_WORDS = 1_000


# Of all rows. LanceDB scores a row that the index does not cover with the frequencies of words as they are now, and
# a covered one with those of its index: a ranking of both is slightly off, and more so the more were added.
MOST_STALE_SHARE = 0.1


def ensure(table: Table) -> bool:
    """Makes the index, or covers new rows if they are many; whether it did anything. Readers go on meanwhile.

    Call it under the writer's lock.
    """
    index = next((one for one in table.indexes() if one.column == COLUMN), None)
    if index is None:
        table.create_index(COLUMN, "FTS", **OPTIONS)
    elif index.stale > min(MOST_STALE, MOST_STALE_SHARE * table.count()):
        table.optimize(KEPT)
    else:
        return False
    return True


def search(table: Table, words: str, *, count: int, where: str | None = None) -> list[Ranked]:
    """The `count` rows whose text has the words, as (BM25, id): score descending, then id.

    One word suffices; more, and rarer ones, score higher. Words are words: there are no operators. Every row of
    the table's version is seen, indexed or not, and only those. Scores compare within one answer only.

    Args:
        table: at any version; the ranking is that version's.
        where: SQL; the ranking is among the rows that it lets through.

    Raises:
        MissingKeywords: there is no index at that version.
    """
    if all(one.column != COLUMN for one in table.indexes()):
        raise MissingKeywords(table.name)
    text = normalize("NFC", words if is_unicode(words) else words.encode(errors="replace").decode())
    tokens = list(dict.fromkeys(table.tokens(text, COLUMN)))[:MOST_WORDS]
    if not tokens or count < 1:
        return []
    fetch = count + max(32, count // 4)
    while True:
        rows = table.matching(" ".join(tokens), COLUMN, limit=fetch, where=where, columns=["id"])
        scores: list[float] = rows.column("_score").to_pylist()
        ranked = sorted(zip(scores, rows.column("id").to_pylist(), strict=True), key=order)
        # Of rows that score equal LanceDB gives any: there are enough when the last one asked for beats the last got.
        if len(ranked) < fetch or ranked[count - 1][0] > ranked[-1][0]:
            return ranked[:count]
        fetch *= 4
