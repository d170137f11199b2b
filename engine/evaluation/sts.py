"""Sentence similarity: STS12 to 16, the STS benchmark and SICK-R, in SentEval's layout."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from oneword.engine.evaluation import paper
from oneword.engine.evaluation.files import BadData
from oneword.engine.evaluation.report import Report
from oneword.engine.evaluation.tables import is_table, read_table
from oneword.engine.evaluation.vectors import VectorCache
from oneword.engine.inputs import Text
from oneword.engine.views import DEFAULT, View

_TEXT = replace(DEFAULT.query, text=" " + DEFAULT.query.text.rstrip(" "))
STS = View(name="sts", query=_TEXT, gallery=_TEXT)
"""The default text prompt with a space before it and none at its end: kongds/E5-V:eval_sts.py."""
YEARS = ("STS12", "STS13", "STS14", "STS15", "STS16")


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Pairs of sentences, with how alike people found them."""

    first: Sequence[str]
    second: Sequence[str]
    scores: Sequence[float]


def read_sts(folder: Path) -> dict[str, Rated]:
    """Whichever of the seven there are, under SentEval's names. Raises BadData if there is none, or malformed."""
    root = folder / "STS" if (folder / "STS").is_dir() else folder
    found = {year: _year(root / f"{year}-en-test") for year in YEARS if (root / f"{year}-en-test").is_dir()}
    if (root / "STSBenchmark" / "sts-test.csv").exists():
        found["STS-B"] = _rows(root / "STSBenchmark" / "sts-test.csv", (5, 6, 4), header=False)
    for sick in (folder / "SICK", root / "SICK"):
        if (sick / "SICK_test_annotated.txt").exists():
            found["SICK-R"] = _rows(sick / "SICK_test_annotated.txt", (1, 2, 3), header=True)
            break
    for name in (*YEARS, "STS-B", "SICK-R"):
        if is_table(folder / name):
            found[name] = _table(folder / name)
    if not found:
        raise BadData(
            f"{folder}: holds no STS data: expected SentEval's layout: STS/STS12-en-test/STS.input.*.txt with "
            "STS.gs.*.txt, STS/STSBenchmark/sts-test.csv, SICK/SICK_test_annotated.txt; or `datasets` folders "
            "STS12 to STS16, STS-B, SICK-R with columns sentence1, sentence2, score"
        )
    return found


def as_reference(sentence: str) -> str:
    """As the reference feeds sentences: single spaces, a full stop at the end, apostrophes for quotation marks."""
    text = " ".join(sentence.split())
    if text and text[-1] not in ".?\"'":
        text += "."
    text = text.replace('"', "'")
    return text[:-1] + "." if text.endswith("?") else text


def sts(data: dict[str, Rated], where: str, vectors: VectorCache) -> Report:
    """Spearman's correlation of cosine similarity with people's scores, a set's parts taken together, times 100."""
    from scipy.stats import spearmanr

    vectors.encoder.space(STS)  # a model that cannot follow the view says so before anything is embedded
    metrics = {}
    for name, rated in data.items():
        sides = ([partial(Text, text=as_reference(text)) for text in side] for side in (rated.first, rated.second))
        one, other = (vectors.embed(side, STS) for side in sides)
        if len(set(rated.scores)) < 2:
            raise BadData(f"{where}: {name} has fewer than two different scores: expected some, to correlate with")
        metrics[name] = 100 * float(spearmanr((one * other).sum(1), np.asarray(rated.scores)).statistic)
    whole = len(data) == 7
    if whole:
        metrics["average"] = float(np.mean(list(metrics.values())))
    return Report.of(
        vectors,
        [STS],
        images=False,
        task="sts",
        data=where,
        counts={f"{name} pairs": len(rated.scores) for name, rated in data.items()},
        metrics=metrics,
        paper=paper.STS,
        notes=() if whole else (f"only {', '.join(data)} were there: no average of all seven",),
    )


def _table(folder: Path) -> Rated:
    table = read_table(folder, "test", "sentence1", "sentence2", "score")
    for row, pair in enumerate(zip(table["sentence1"], table["sentence2"], strict=True)):
        if not all(isinstance(text, str) and text.strip() for text in pair):
            raise BadData(f"{folder}: row {row} has {pair!r}: expected two sentences")
    scores = [_score(str(score), folder, row) for row, score in enumerate(table["score"])]
    return Rated(first=list(table["sentence1"]), second=list(table["sentence2"]), scores=scores)


def _year(folder: Path) -> Rated:
    first, second, scores = [], [], []
    inputs = sorted(folder.glob("STS.input.*.txt"))
    if not inputs:
        raise BadData(f"{folder}: has no STS.input.*.txt: expected SentEval's layout")
    for path in inputs:
        rated = path.with_name(path.name.replace("input", "gs"))
        try:
            pairs = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            golds = rated.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BadData(f"{rated}: cannot be read: {error}") from error
        if len(pairs) != len(golds):
            raise BadData(f"{path}: has {len(pairs)} lines and {rated.name} {len(golds)}: expected as many")
        for number, (pair, gold) in enumerate(zip(pairs, golds, strict=True), start=1):
            if not gold.strip():  # not rated by anyone
                continue
            sentences = pair.split("\t")
            if len(sentences) < 2:
                raise BadData(f"{path}:{number}: {pair!r}: expected two sentences with a tab between")
            first.append(sentences[0])
            second.append(sentences[1])
            scores.append(_score(gold, rated, number))
    return Rated(first=first, second=second, scores=scores)


def _rows(path: Path, columns: tuple[int, int, int], *, header: bool) -> Rated:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path}: cannot be read: {error}") from error
    rows = [row for row in rows[1 if header else 0 :] if row]
    first = 2 if header else 1
    for number, row in enumerate(rows, start=first):
        if len(row) <= max(columns):
            raise BadData(f"{path}:{number}: has {len(row)} columns: expected at least {max(columns) + 1}")
    a, b, score = columns
    scores = [_score(row[score], path, number) for number, row in enumerate(rows, start=first)]
    return Rated(first=[row[a] for row in rows], second=[row[b] for row in rows], scores=scores)


def _score(text: str, path: Path, number: int) -> float:
    try:
        score = float(text)
        if not math.isfinite(score):
            raise ValueError
        return score
    except ValueError:
        raise BadData(f"{path}:{number}: has score {text!r}: expected a number") from None
