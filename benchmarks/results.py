"""What benchmarks/search.py found, as figures with goals, and as tables."""

from typing import Any

Part = dict[str, Any]

SAME = "faiss on our index"  # what Oneword adds to FAISS is told by this one
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
GOAL = 0.99  # recall@10
GOALS = {
    "ratio_vs_lancedb": (">=", 12.0),
    "ratio_vs_faiss": ("<=", 1.3),
    "build_ratio_vs_lancedb": (">=", 5.0),
    "ratio_vs_hnswlib": (">=", 2.0),
    "build_ratio_vs_hnswlib": (">=", 4.0),
    "ratio_vs_usearch": (">=", 2.0),
    "build_ratio_vs_usearch": (">=", 4.0),
    "filters_over_unfiltered": ("<=", 2.0),
    "filters_recall": (">=", 0.99),
    "two_callers_over_one": (">=", 1.8),
}


def best_lance(part: Part, share: str = "1.0") -> str | None:
    """Which of LanceDB's indexes is quickest at the goal; None if none was built."""
    rows = {
        name: row["by_share"][share] for name, row in part["rivals"].items() if "lance" in name and "by_share" in row
    }
    reached = {name: row for name, row in rows.items() if row["reached"]} or rows
    return min(reached, key=lambda name: reached[name]["p50_ms"], default=None)


def headline(part: Part) -> dict[str, float | None]:
    """The figures that the goals are about."""
    ours, lance = part["rivals"].get("oneword", {}), best_lance(part)
    if "by_share" not in ours:
        return dict.fromkeys(["recall_at_10", "p50_ms", *GOALS])
    rivals = {"lancedb": lance, "hnswlib": "hnswlib", "usearch": "usearch"}
    ratios, whole = part["ratios"]["1.0"], ours["by_share"]["1.0"]
    filtered = [row for share, row in ours["by_share"].items() if share != "1.0"]
    said: dict[str, float | None] = {
        "recall_at_10": whole["recall"],
        "p50_ms": whole["p50_ms"],
        **{f"ratio_vs_{short}": ratios.get(name) for short, name in rivals.items()},
        "ratio_vs_faiss": 1 / ratios[SAME] if SAME in ratios else None,
        "filters_over_unfiltered": max((row["p50_ms"] / whole["p50_ms"] for row in filtered), default=None),
        "filters_recall": min((row["recall"] for row in filtered), default=None),
        "two_callers_over_one": ours["a_second"]["2"] / ours["a_second"]["1"],
    }
    for short, name in rivals.items():
        built = part["rivals"].get(name, {}).get("build_s")
        said[f"build_ratio_vs_{short}"] = built / ours["build_s"] if built else None
    return {name: None if value is None else round(value, 4) for name, value in said.items()}


def goals(part: Part) -> str:
    """Met or missed."""
    said = headline(part)
    recall = said["recall_at_10"] or 0.0
    lines = [f"- recall@10 {recall:.4f}, goal >= {GOAL}: {'met' if recall >= GOAL else 'missed'}"]
    for name, (sign, goal) in GOALS.items():
        value = said[name]
        met = value is not None and (value >= goal if sign == ">=" else value <= goal)
        shown = "not measured" if value is None else f"{value:.2f}"
        lines.append(f"- {name} {shown}, goal {sign} {goal}: {'met' if met else 'missed'}")
    return "\n".join(lines)


def tables(part: Part) -> str:
    """Markdown: unfiltered, then filtered."""
    head = ["recall@10", "p50 ms", "p99 ms", "a second, 1 caller", "2 callers", "build s", "bytes a vector: index"]
    head += ["table", "MiB serving", "building", "setting"]
    lines = ["| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for name, row in part["rivals"].items():
        if "gave_up" in row:
            lines.append(f"| {name} | {row['gave_up']} |" + " |" * (len(head) - 1))
            continue
        whole = row["by_share"]["1.0"]
        short = "" if whole["reached"] else " (goal not reached)"
        figures = [f"{whole['recall']:.4f}{short}", f"{whole['p50_ms']:.2f}", f"{whole['p99_ms']:.2f}"]
        figures += [f"{row['a_second'][threads]:.0f}" for threads in ("1", "2")]
        figures += [f"{row['build_s']:.1f}"]
        figures += [f"{row[key]:,.0f}" for key in ("index_bytes", "table_bytes", "peak_mib", "build_peak_mib")]
        setting = ", ".join(
            [row["about"].replace("|", "/"), *(f"{key} {value}" for key, value in whole["setting"].items())]
        )
        lines.append(f"| {name} | " + " | ".join([*figures, setting]) + " |")
    shares = [
        str(share)
        for share in SHARES
        if any(str(share) in row.get("by_share", {}) for row in part["rivals"].values()) and share < 1
    ]
    lines += ["", "p50 ms (recall@10) by share of rows let through:", ""]
    lines += [
        "| | " + " | ".join(f"{100 * float(share):g} %" for share in shares) + " |",
        "|---" * (len(shares) + 1) + "|",
    ]
    for name, row in part["rivals"].items():
        if "gave_up" in row:
            continue
        if not row["filters"]:
            lines.append(f"| {name} | cannot filter |" + " |" * (len(shares) - 1))
            continue
        cells = [f"{row['by_share'][share]['p50_ms']:.2f} ({row['by_share'][share]['recall']:.3f})" for share in shares]
        lines.append(f"| {name} ({row['filters']}) | " + " | ".join(cells) + " |")
        if name == "oneword":
            cells = [f"{row['by_share'][share]['cold_ms']:.2f}" for share in shares]
            lines.append("| oneword, a filter's first time | " + " | ".join(cells) + " |")
    return "\n".join(lines)
