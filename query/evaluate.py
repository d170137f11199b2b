"""`oneword eval live`: labelled queries against the index that is in use."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oneword.engine.options import Revision
from oneword.storage.config import MOST
from oneword.storage.terminal import print_json, say

if TYPE_CHECKING:
    from oneword.query.labels import Labelled
    from oneword.query.service import SearchService

METRICS = ("nDCG@10", "RR@10", "Success@1", "Success@5", "Success@10", "R@10", "R@100", "AP@100")
"""As `ir_measures` calls them; RR is the reciprocal rank, AP average precision, R recall."""


@dataclass(frozen=True, kw_only=True)
class LiveReport:
    """How an index answers.

    Args:
        metrics: means over the queries, 0 to 1.
        misses: ids of queries without a relevant item among the first 10.
        unknown: relevant items that the collection does not have.
        median_ms, p95_ms: of a query, encoding and search.
    """

    collection: str
    model: str
    queries: int
    metrics: dict[str, float]
    misses: tuple[str, ...]
    unknown: tuple[str, ...]
    median_ms: float
    p95_ms: float


def evaluate(service: "SearchService", labelled: "Sequence[Labelled]", *, depth: int = 100) -> LiveReport:
    """Asks every query and compares the hits with its labels.

    Args:
        depth: hits that are looked at; at least 100 for R@100 and AP@100 to mean what they say.

    Raises:
        As `SearchService.search`.
    """
    import ir_measures
    import numpy as np

    from oneword.query.query import Query

    run, grades, times = {}, {}, []
    unknown: set[str] = set()
    model = collection = ""
    for one in labelled:
        result = service.search(Query.of(**one.parts, limit=depth))
        scores: dict[str, float] = {}
        relevant = dict(one.relevant)
        for rank, hit in enumerate(result):  # of several items with one URI the best counts
            if hit.id in relevant and hit.uri in relevant:  # named twice
                relevant[hit.uri] = max(relevant[hit.uri], relevant.pop(hit.id))
            # Ranks, not scores: the measures break ties each in its own way, and the index has broken them already.
            scores.setdefault(hit.uri if hit.uri in relevant else hit.id, -float(rank))
        run[one.id], grades[one.id] = scores, relevant
        unknown |= service.unknown(set(relevant) - set(scores))
        times.append(result.encode_ms + result.search_ms)
        model, collection = result.model, result.collection
    measures = [ir_measures.parse_measure(name) for name in METRICS]
    found = ir_measures.calc_aggregate(measures, grades, run)
    answered = {one.query_id for one in ir_measures.iter_calc([measures[4]], grades, run) if one.value > 0}
    return LiveReport(
        collection=collection,
        model=model,
        queries=len(labelled),
        metrics={name: float(found[measure]) for name, measure in zip(METRICS, measures, strict=True)},
        misses=tuple(one.id for one in labelled if one.id not in answered),
        unknown=tuple(sorted(unknown)),
        median_ms=float(np.median(times)),
        p95_ms=float(np.percentile(times, 95)),
    )


def live(
    queries: Annotated[Path, typer.Option(help='JSON lines {"text", "relevant": [ids]}, or trec topics.')],
    qrels: Annotated[Path | None, typer.Option(help="trec judgements, if the queries are trec topics.")] = None,
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    collection: Annotated[str, typer.Option("--collection", "-c", help="The collection to measure.")] = "default",
    depth: Annotated[int, typer.Option(min=10, max=MOST, help="Hits that are looked at.")] = 100,
    model: Annotated[str, typer.Option(help="Only to insist on one, or to say where its folder is now.")] = "auto",
    revision: Revision = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Also write the report there, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Labelled queries against a collection that is in use: how good are its answers, and how fast?"""
    from oneword.engine.config import EngineConfig
    from oneword.engine.dependencies import require
    from oneword.query.labels import read_labelled
    from oneword.query.service import SearchService

    require("ir_measures", what="eval live", extra="eval")
    labelled = read_labelled(queries, qrels)
    report = evaluate(
        SearchService(db, collection, EngineConfig(model=model, device=device, revision=revision)),
        labelled,
        depth=depth,
    )
    document = json.dumps(asdict(report), ensure_ascii=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(document + "\n", encoding="utf-8")
    if as_json:
        print_json(asdict(report), indent=None)
        return
    say(f"{report.queries} queries, {report.collection}, {report.model}")
    for name, value in report.metrics.items():
        say(f"  {name:<10} {value:.3f}")
    say(f"  median {report.median_ms:.0f} ms, 95th percentile {report.p95_ms:.0f} ms")
    if report.misses:
        say(f"Nothing relevant in the first 10: {', '.join(report.misses[:20])}")
    if report.unknown:
        say(f"Not in the collection: {', '.join(report.unknown[:20])}")
