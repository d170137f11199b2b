"""E5-V's claims, in miniature: what the prompt does, what tuning on text alone does, and what it costs.

    python -m research.miniature.claims [--steps 100] [--seeds 1] [--plot docs/claims.png] [--quick]

Scenes of the test split, none of whose attributes training saw. About 12 minutes on two cores; `--quick` tunes for
ten steps and looks at 100 scenes, to see that it runs. Prints tables; the last line is one JSON object.

1. Prompts: the same untuned model, asked in E5-V's words, for a description, for something else, for nothing.
2. Tuning for the prompt that asks for no word (`describe`), which the base never learned to answer with a meaning:
   text alone against pictures with captions, at equal steps; and what mere statistics do to the same vectors.
3. The shipped model before and after its own tuning on text alone: all task families.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oneword.engine.e5v import E5VEncoder, load_e5v
from oneword.engine.evaluation.ranking import best_ranks, recalls
from oneword.engine.views import DEFAULT, View
from research.miniature import base_folder, folder, measure, view

Vectors = NDArray[np.float32]
PROMPTS = {"one word (E5-V's)": DEFAULT, "describe": view("describe"), "something else": view("wrong")}
PROMPTS["none"] = view("bare")
SEED = 1  # of the scenes


def retrieval(said: Vectors, seen: Vectors) -> dict[str, float]:
    """R@1 both ways and the gap."""
    own = [[i] for i in range(len(said))]
    both = recalls(best_ranks(said, seen, own), (1,), "text to image R@{}")
    both |= recalls(best_ranks(seen, said, own), (1,), "image to text R@{}")
    return both | measure.gap_of(said, seen)


def looked_at(encoder: E5VEncoder, prompts: View, count: int) -> dict[str, float]:
    """Retrieval, held-out pairs, binding."""
    found = retrieval(*measure.both(encoder, prompts, count, SEED, "test"))
    unseen = retrieval(*measure.both(encoder, prompts, count, SEED, "test", unseen=True))
    found["unseen pairs R@1"] = (unseen["text to image R@1"] + unseen["image to text R@1"]) / 2
    found["binding"] = measure.binding(encoder, prompts, count, SEED, "test")
    return found


def centred(vectors: Vectors) -> Vectors:
    """Less their mean."""
    moved = vectors - vectors.mean(0)
    unit: Vectors = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit


def whitened(vectors: Vectors) -> Vectors:
    """Less their mean, and as wide in every direction (PCA; a little is added to the smallest variances)."""
    moved = vectors - vectors.mean(0)
    _, widths, axes = np.linalg.svd(moved, full_matrices=False)
    flat = moved @ axes.T / (widths + 0.02 * widths.max()) @ axes
    unit: Vectors = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
    return unit


def tuned(kind: str, out: Path, steps: int, seed: int) -> tuple[E5VEncoder, dict[str, float]]:
    """A base tuned for `describe` in a process of its own, and what that cost."""
    command = [sys.executable, "-m", "research.miniature.modalities", kind, str(out), "--view", "describe"]
    done = subprocess.run(
        [*command, "--steps", str(steps), "--seed", str(seed)], stdout=subprocess.PIPE, text=True, check=True
    )
    return load_e5v(str(out / "model"), device="cpu"), json.loads(done.stdout.splitlines()[-1])


def about_tuning(steps: int, seeds: int, count: int) -> dict[str, dict[str, float]]:
    """Before, after, and the controls; means over the seeds."""
    base, describe = load_e5v(str(base_folder()), device="cpu"), view("describe")
    said, seen = measure.both(base, describe, count, SEED, "test")
    rows = {
        "before": looked_at(base, describe, count),
        "before, each kind centred": retrieval(centred(said), centred(seen)),
        "before, each kind whitened": retrieval(whitened(said), whitened(seen)),
    }
    with tempfile.TemporaryDirectory() as folder_:
        for kind, name in (("text", "tuned on text alone"), ("image", "tuned on pictures and captions")):
            found, asked_wrong = [], []
            for seed in range(seeds):
                encoder, cost = tuned(kind, Path(folder_) / f"{kind}-{seed}", steps, seed)
                found.append(looked_at(encoder, describe, count) | cost)
                asked_wrong.append(looked_at(encoder, view("wrong"), count))
            rows[name] = mean(found)
            rows[f"{name}, asked something else"] = mean(asked_wrong)
    return rows


def mean(found: list[dict[str, float]]) -> dict[str, float]:
    """Of each figure."""
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for title, row in rows.items():
        lines.append(f"| {title} | " + " | ".join(_figure(name, row.get(name)) for name in names) + " |")
    return "\n".join(lines)


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if name == "centroid distance" else f"{value:.0f}" if name == "peak_mib" else f"{value:.1f}"


def turned(rows: dict[str, dict[str, float]]) -> str:
    """Markdown with a line for each figure."""
    titles = list(rows)
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(_figure(name, rows[title][name]) for title in titles) + " |"
        for name in rows[titles[0]]
    ]
    return "\n".join(lines)


def plot(path: Path, prompts: dict[str, Any], tuning: dict[str, Any]) -> None:
    """Text to image R@1 by prompt, and before and after tuning."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.4), width_ratios=(2, 3))
    kept = {name: row for name, row in tuning.items() if "asked" not in name}
    for axes, rows, title in ((left, prompts, "by prompt, untuned"), (right, kept, 'prompt "describe"')):
        names = [textwrap.fill(name, 13) for name in rows]
        bars = axes.bar(names, [row["text to image R@1"] for row in rows.values()], color="#4477aa", width=0.6)
        axes.bar_label(bars, fmt="%.0f", padding=2)
        axes.set_title(f"text to image R@1, {title}", fontsize=10)
        axes.set_ylim(0, 112)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="x", labelsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="of each tuning run")
    parser.add_argument("--seeds", type=int, default=1, help="tuning runs of each kind")
    parser.add_argument("--plot", type=Path, help="write a picture there; needs matplotlib")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    steps, count = (10, 100) if given.quick else (given.steps, measure.COUNT)
    base, shipped = (load_e5v(str(one), device="cpu") for one in (base_folder(), folder()))
    prompts = {name: looked_at(base, prompts, count) for name, prompts in PROMPTS.items()}
    print(f"Prompts, the base, untuned ({count} scenes):\n\n{table(prompts)}\n")
    tuning = about_tuning(steps, given.seeds, count)
    print(f'Tuning for "describe" ({steps} steps, {given.seeds} seeds):\n\n{table(tuning)}\n')
    families = {
        "base": measure.measure(base, count=count, seed=SEED),
        "tuned on text alone (mini)": measure.measure(shipped, count=count, seed=SEED),
    }
    print(f"The shipped model ({count} scenes, queries or pairs a line):\n\n{turned(families)}\n")
    if given.plot:
        plot(given.plot, prompts, tuning)
    print(json.dumps({"scenes": count, "steps": steps, "prompts": prompts, "tuning": tuning, "families": families}))


if __name__ == "__main__":
    main()
