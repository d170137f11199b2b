"""A model's row in docs/models.md, which `oneword eval` prints with what it has measured."""

from typing import TYPE_CHECKING

from oneword.engine.catalog import Description, describe
from oneword.engine.encoder import Encoder
from oneword.engine.errors import ModelError
from oneword.engine.space import Space
from oneword.engine.truncation import split
from oneword.engine.views import DEFAULT

if TYPE_CHECKING:
    from oneword.engine.evaluation.report import Report

HEAD = """| Model | for | dimensions | size | on a GPU | license | an edit is | published | measured here |
|---|---|---|---|---|---|---|---|---|
"""


def row(model: Description, measured: str = "none") -> str:
    """Returns a known model's row, in Markdown."""
    name = f"`{model.aliases[0]}` ({model.name})" if model.aliases else f"`{model.name}`"
    lengths = f"{model.dimension}" + (f" ({', '.join(map(str, model.truncations))})" if model.truncations else "")
    figures = f"{model.figures} ({model.source})" if model.figures else "none"
    sizes = size(model.size), size(model.memory)
    return _line(name, model.summary, lengths, *sizes, model.license, model.edits, figures, measured)


def row_of(encoder: Encoder, report: "Report") -> str:
    """Returns the row of the model at hand, known or not, with a report's figures."""
    where = ", ".join(f"{count:,} {what}" for what, count in report.counts.items())
    figures = ", ".join(f"{name} {value:.1f}" for name, value in report.metrics.items())
    measured = f"{figures} (`oneword eval {report.task}`, {report.data.rstrip('/').rpartition('/')[2]}, {where})"
    known = describe(split(encoder.name)[0])
    if known is not None:
        return row(known, measured)
    edits = _edits(encoder.space(DEFAULT))
    return _line(f"`{encoder.name}`", "?", str(encoder.dimension), _bytes(encoder.name), "?", "?", edits, "?", measured)


def size(count: int) -> str:
    """Returns a number of bytes as the page has it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _edits(space: Space) -> str:
    settings = space.preprocessing
    return "sum of both" if "image_in_composed" in settings or settings.get("joins") is False else "one forward pass"


def _bytes(name: str) -> str:
    """Of the weights, where they are on this machine."""
    from oneword.engine.checkpoint import ALL, find

    try:
        return size(sum(path.stat().st_size for path in find(split(name)[0], expected=ALL).weights))
    except ModelError:
        return "?"
