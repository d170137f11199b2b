"""The picture of benchmarks/search.py: time of a question by number of rows, and by share that a filter allows."""

from pathlib import Path
from typing import Any

COLOURS = {
    "oneword": "#cc3311",
    "lancedb IVF_RQ": "#4477aa",
    "lancedb IVF_SQ": "#88bbdd",
    "faiss": "#222222",
    "hnswlib": "#228833",
    "usearch": "#aaaa00",
    "numpy": "#999999",
}


def plot(path: Path, parts: dict[str, dict[str, Any]]) -> None:
    """For each dimension: unfiltered by rows on the left; filtered, of the fewest rows there are, on the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    dimensions = sorted({part["dimension"] for part in parts.values()}, reverse=True)
    figure, grid = pyplot.subplots(len(dimensions), 2, figsize=(11, 3.6 * len(dimensions)), squeeze=False)
    for (left, right), dimension in zip(grid, dimensions, strict=True):
        mine = sorted((part for part in parts.values() if part["dimension"] == dimension), key=lambda one: one["rows"])
        _bars(left, mine)
        _lines(right, mine[0])
        for axes in (left, right):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_ylabel("ms, median", fontsize=8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _bars(axes: Any, parts: list[dict[str, Any]]) -> None:
    names = [name for name in COLOURS if any("by_share" in part["rivals"].get(name, {}) for part in parts)]
    width = 0.8 / len(parts)
    for number, part in enumerate(parts):
        for place, name in enumerate(names):
            row = part["rivals"].get(name, {})
            if "by_share" in row:
                whole = row["by_share"]["1.0"]
                at = place + (number - (len(parts) - 1) / 2) * width
                bar = axes.bar(at, whole["p50_ms"], width, color=COLOURS[name], alpha=1 - 0.45 * number)
                star = "" if whole["reached"] else "*"
                axes.bar_label(bar, [f"{whole['p50_ms']:.3g}{star}"], fontsize=7, padding=1)
    heights = [bar.get_height() for bar in axes.patches]
    axes.set_ylim(0.3 * min(heights), 2 * max(heights))
    axes.yaxis.set_minor_formatter("")
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    rows = " and ".join(f"{part['rows']:,}" for part in parts)
    axes.set_title(f"{parts[0]['dimension']} numbers, {rows} vectors (paler), recall@10 0.99 (* less)", fontsize=8)


def _lines(axes: Any, part: dict[str, Any]) -> None:
    for name, colour in COLOURS.items():
        cells = part["rivals"].get(name, {}).get("by_share", {})
        if len(cells) > 1:
            shares = [100 * float(share) for share in cells]
            axes.plot(shares, [cell["p50_ms"] for cell in cells.values()], "o-", color=colour, label=name, ms=3)
            cold = {float(share): cell["cold_ms"] for share, cell in cells.items() if "cold_ms" in cell}
            if cold:
                label = f"{name}, a filter's first time"
                axes.plot([100 * share for share in cold], cold.values(), "o:", color=colour, label=label, ms=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_xaxis()
    axes.legend(fontsize=7, frameon=False)
    axes.set_title(f"by percent of {part['rows']:,} vectors that a filter lets through", fontsize=8)
