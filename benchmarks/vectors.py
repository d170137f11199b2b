"""Vectors with the structure of real embeddings, drawn in chunks; and how near to real ones they come.

    python benchmarks/vectors.py            # measured figures beside those of what is drawn here
    python benchmarks/vectors.py --real     # measure the real ones again (15 minutes: MiniLM and `mini` on a CPU)

The real ones: 8,000 paragraphs of docstrings (the standard library's and installed packages') in MiniLM's space, as
`basic` embeds them; ImageNet's class names and what the classes look like, which lie to each other as a question to
what it asks for; and captions and pictures of drawn scenes as `mini` embeds them, whose vectors are a language
model's hidden states, as E5-V's are.

A vector is a common mean, plus a topic, plus a sub-topic, plus what is its own, of unit length in the end. Sizes of
topics fall off as Zipf says; all parts share one spectrum of variances, which is MiniLM's own; what is a vector's own
lies mostly in few directions, others in each topic, and is large or small from vector to vector. So nearest
neighbors are as near, as unevenly near, in as many dimensions and as often the same few as measured.

A question is a vector that is not stored, moved away as far as a caption of `mini`'s or a class name lies from its own,
partly by a shift that all questions share (the modality gap), mostly in the directions in which vectors vary.

An index finds them as hard as real ones: the table ends with the recall of FAISS's IVF64,RaBitQfs,Refine(SQfp16) over
7,000 of each kind, asked for others of the kind ("held out") and for questions. Class names are the real questions;
what they ask for is not among docstrings, so they are the hard extreme, others of the kind the easy one.

At 4,096 dimensions nothing could be measured here: E5-V's weights were not at hand. Assumed: the same structure in
twice as many directions, a stronger mean, and four dimensions of very large magnitude, as language models' hidden
states have ("massive activations", arXiv 2402.17762; "rogue dimensions", arXiv 2109.04404).
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

Vectors = NDArray[np.float32]
Halves = NDArray[np.float16]

CHUNK = 4096  # rows drawn at a time, each chunk from a seed of its own
REAL, STORED, DESCRIBED = 8000, 7000, 6000
"""Vectors of each kind; how many of them are stored and asked for the rest; how many the other figures are of."""
HELD_OUT, ASKED = "held out", "questions"
SPECTRUM = {1: 1.0, 2: 0.783, 5: 0.567, 10: 0.405, 20: 0.265, 50: 0.138, 100: 0.076, 200: 0.031, 300: 0.007, 384: 1e-4}
"""Variance in the n-th direction of MiniLM's docstrings over the first's (`--real` prints it)."""

LANGUAGE_MODEL: dict[str, Any] = {"loud": 4, "loudness": (0.5, 5.0), "subtopic": 0.2, "spread": 0.2, "local": 0.05}
"""What is assumed of hidden states of 4,096 dimensions."""
MEASURED: dict[str, dict[str, float]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
"""As `--real` prints it, with the packages that were installed here; others have other docstrings."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is drawn.

    Args:
        dimension: d.
        rank: directions in which vectors vary.
        mean: length of the mean of all vectors.
        loud: dimensions of very large magnitude; `loudness`: share of the mean's energy in them, and how many times
            as far as others they spread.
        topics, subtopics: how many.
        topic, subtopic: share of the variance; the rest is a vector's own.
        spread: standard deviation of the logarithm of how large that is.
        local: shape of the gamma distribution of its directions' variances; small: few directions.
        displaced: length of a question's own displacement, in units of a vector's deviation from the mean.
        gap: length of the shift that questions share, likewise.
    """

    dimension: int
    rank: int
    mean: float
    loud: int = 0
    loudness: tuple[float, float] = (0.0, 1.0)
    topics: int = 150
    subtopics: int = 13_775
    topic: float = 0.142
    subtopic: float = 0.121
    spread: float = 0.307
    local: float = 0.075
    displaced: float = 0.75
    gap: float = 0.35

    @classmethod
    def of(cls, dimension: int) -> "Shape":
        """As measured up to 384 dimensions, as assumed for language models above."""
        if dimension <= 384:
            return cls(dimension=dimension, rank=dimension, mean=0.405)
        return cls(dimension=dimension, rank=min(768, dimension), mean=0.7, **LANGUAGE_MODEL)


class Corpus:
    """Draws vectors and questions; the same for the same seed, however many are asked for."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        draw = np.random.default_rng([seed, 0])
        self.shape, self._seed = shape, seed
        at = np.array(list(SPECTRUM)) * (shape.rank / max(SPECTRUM))
        variances = np.exp(np.interp(np.arange(1, shape.rank + 1), at, np.log(list(SPECTRUM.values()))))
        self._scales = np.sqrt(variances / variances.sum()).astype(np.float32)
        self._away = (self._scales / self._scales.sum()) ** 0.5  # flatter, as differences of pairs were measured to be
        topics = self._normal(draw, shape.topics)
        sizes = 1 / np.arange(1, shape.topics + 1) ** 0.7
        self._topic_of = draw.choice(shape.topics, shape.subtopics, p=sizes / sizes.sum())
        self._centres = shape.topic**0.5 * topics[self._topic_of]
        self._centres += shape.subtopic**0.5 * self._normal(draw, shape.subtopics)
        sizes = draw.permutation(1 / np.arange(5, shape.subtopics + 5) ** 0.8)
        self._sizes = np.cumsum(sizes / sizes.sum())
        local = draw.gamma(shape.local, 1 / shape.local, (shape.topics, shape.rank))
        local *= 1 / (local * self._scales**2).sum(1, keepdims=True)
        self._local = np.sqrt(local).astype(np.float32)
        basis = draw.standard_normal((shape.dimension, shape.rank))
        basis = np.linalg.qr(basis)[0].T
        mean = draw.standard_normal(shape.dimension)
        mean /= np.linalg.norm(mean)
        if shape.loud:
            dimensions = draw.choice(shape.dimension, shape.loud, replace=False)
            energy, times = shape.loudness
            basis[:, dimensions] *= times
            mean *= (1 - energy) ** 0.5
            mean[dimensions] = (energy / shape.loud) ** 0.5 * draw.choice([-1, 1], shape.loud)
        self._basis = basis.astype(np.float32)
        self._mean = (shape.mean / (1 - shape.mean**2) ** 0.5 * mean).astype(np.float32)
        gap = self._normal(draw, 1)[0]
        self._gap = shape.gap * gap / np.linalg.norm(gap)

    def chunks(self, count: int) -> Iterator[Halves]:
        """The first `count` vectors, float16 (at most CHUNK, d) at a time, of unit length."""
        for number, start in enumerate(range(0, count, CHUNK)):
            draw = np.random.default_rng([self._seed, 1, number])
            yield self._placed(self._latent(draw, CHUNK)[: count - start]).astype(np.float16)

    def questions(self, count: int, which: str) -> Vectors:
        """float32 (count, d), of unit length. which: sets of another name have no question in common."""
        draw = np.random.default_rng([self._seed, 2, *which.encode()])
        return self._asked(draw, self._latent(draw, count))

    def pairs(self, count: int) -> tuple[Vectors, Vectors]:
        """Questions, and the vectors that they were made for, which are not stored."""
        draw = np.random.default_rng([self._seed, 3])
        own = self._latent(draw, count)
        return self._asked(draw, own), self._placed(own)

    def _asked(self, draw: np.random.Generator, own: Vectors) -> Vectors:
        away = draw.standard_normal(own.shape, np.float32) * self._away
        far = self.shape.displaced * np.exp(0.4 * draw.standard_normal((len(own), 1), np.float32))
        return self._placed(own + self._gap + far * away)

    def _normal(self, draw: np.random.Generator, count: int) -> Vectors:
        return draw.standard_normal((count, self.shape.rank), np.float32) * self._scales

    def _latent(self, draw: np.random.Generator, count: int) -> Vectors:
        shape = self.shape
        subtopic = np.searchsorted(self._sizes, draw.random(count)).clip(0, shape.subtopics - 1)
        own = self._normal(draw, count) * self._local[self._topic_of[subtopic]]
        size = np.exp(shape.spread * draw.standard_normal((count, 1), np.float32) - shape.spread**2)
        own *= (1 - shape.topic - shape.subtopic) ** 0.5 * size
        return self._centres[subtopic] + own

    def _placed(self, latent: Vectors) -> Vectors:
        vectors = latent @ self._basis + self._mean
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def write(corpus: Corpus, count: int, path: Path) -> None:
    """`count` vectors as a float16 .npy file."""
    file = np.lib.format.open_memmap(path, "w+", np.float16, (count, corpus.shape.dimension))
    start = 0
    for chunk in corpus.chunks(count):
        file[start : start + len(chunk)] = chunk
        start += len(chunk)
    file.flush()


def figures(vectors: Vectors, asked: Vectors | None = None, own: Vectors | None = None) -> dict[str, float]:
    """What makes nearest neighbors easy or hard to find.

    Args:
        vectors: (n, d), of unit length.
        asked, own: questions (m, d) and what each was made for.
    """
    count, dimension = vectors.shape
    spread = np.linalg.eigvalsh(np.cov(vectors.T))[::-1]
    share = np.maximum(spread, 0) / spread.sum()
    scores, rows = _nearest(vectors)
    found = np.bincount(rows.ravel(), minlength=count)
    distance = np.sqrt(np.maximum(2 - 2 * scores, 1e-9))
    apart = distance[:, 0] > 1e-2  # the others are copies
    local = -1 / np.log(distance[apart, :-1] / distance[apart, -1:]).mean(1).clip(None, -1e-3)
    draw = np.random.default_rng(0)
    pairs = (vectors[draw.integers(0, count, 9999)] * vectors[draw.integers(0, count, 9999)]).sum(1)
    mean = vectors.mean(0)
    said = {
        "vectors": count,
        "dimensions": dimension,
        "mean's length": float(np.linalg.norm(mean)),
        "mean, largest over median dimension": float(np.abs(mean).max() / np.median(np.abs(mean))),
        "variance, largest over median dimension": float(vectors.var(0).max() / np.median(vectors.var(0))),
        "directions (participation ratio)": float(1 / (share**2).sum()),
        **{f"variance in the first {n} directions": float(share[:n].sum()) for n in (1, 10, 50, 100)},
        "random pairs' cosine, median": float(np.median(pairs)),
        "random pairs' cosine, standard deviation": float(pairs.std()),
        **{f"nearest's cosine, percentile {p}": float(np.percentile(scores[:, 0], p)) for p in (10, 50, 90)},
        **{f"tenth nearest's cosine, percentile {p}": float(np.percentile(scores[:, -1], p)) for p in (10, 50, 90)},
        "local dimension (maximum likelihood), median": float(np.median(local)),
        "times among others' ten nearest: skewness": float(((found - found.mean()) ** 3).mean() / found.std() ** 3),
        "times among others' ten nearest: most": float(found.max()),
        "never among them, share": float((found == 0).mean()),
    }
    if asked is not None and own is not None:
        pairs = (asked * own).sum(1)
        said |= {f"question and its own, cosine, percentile {p}": float(np.percentile(pairs, p)) for p in (10, 50, 90)}
        said["questions' mean from vectors' mean"] = float(np.linalg.norm(asked.mean(0) - own.mean(0)))
        # Among as many others, as a question's rank depends on how many there are.
        said["its own first of all the others' own"] = float(((asked @ own.T).argmax(1) == np.arange(len(own))).mean())
    return said


def _nearest(vectors: Vectors, count: int = 10) -> tuple[Vectors, NDArray[np.int64]]:
    """Cosines and rows (n, count) of each vector's nearest others, nearest first."""
    scores, rows = [], []
    for start in range(0, len(vectors), 1000):
        part = vectors[start : start + 1000] @ vectors.T
        part[np.arange(len(part)), np.arange(start, start + len(part))] = -2
        nearest = np.argpartition(-part, count, axis=1)[:, :count]
        near = np.take_along_axis(part, nearest, 1)
        order = np.argsort(-near, axis=1)
        scores.append(np.take_along_axis(near, order, 1))
        rows.append(np.take_along_axis(nearest, order, 1))
    return np.concatenate(scores), np.concatenate(rows)


def docstrings(count: int) -> list[str]:
    """Paragraphs of the standard library and of installed packages, in an order of their own."""
    import ast
    import sysconfig

    said: dict[str, None] = {}
    for name, most in (("stdlib", 8000), ("purelib", 16_000)):
        files = sorted(Path(sysconfig.get_paths()[name]).rglob("*.py"))
        random.Random(0).shuffle(files)
        found: dict[str, None] = {}
        for file in files:
            if len(found) >= most or (name == "stdlib" and "site-packages" in file.parts):
                continue
            try:
                nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
            except (SyntaxError, ValueError):
                continue
            kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
            for said_of in (ast.get_docstring(node) for node in nodes if isinstance(node, kinds)):
                paragraphs = (" ".join(part.split()) for part in (said_of or "").split("\n\n")[:6])
                found |= {one: None for one in paragraphs if 25 < len(one) < 300 and ">>>" not in one}
        said |= found
    texts = list(said)
    random.Random(1).shuffle(texts)
    return texts[:count]


def measured() -> dict[str, dict[str, float]]:
    """Figures of real vectors: docstrings, class names and descriptions, captions and pictures."""
    from oneword.engine.basic import classes
    from oneword.engine.encoder import Side
    from oneword.engine.encoding import encode
    from oneword.engine.inputs import Text
    from oneword.engine.models import load
    from oneword.engine.views import DEFAULT
    from research.miniature import measure

    basic = load("basic")

    def embedded(texts: list[str]) -> Vectors:
        return encode(basic, [Text(text=text) for text in texts], DEFAULT, Side.GALLERY)

    vectors = embedded(docstrings(REAL))
    spread = np.linalg.eigvalsh(np.cov(vectors[:DESCRIBED].T))[::-1]
    print("spectrum:", {n: round(float(spread[n - 1] / spread[0]), 4) for n in SPECTRUM})
    names, looks = (embedded([phrases[which] for phrases in classes.phrases()]) for which in (0, 1))
    said, seen = measure.both(load("mini"), DEFAULT, 1500, 1, "test")
    return {
        "MiniLM, docstrings": figures(vectors[:DESCRIBED])
        | found(vectors[:STORED], vectors[STORED:], HELD_OUT)
        | found(vectors[:STORED], names, ASKED),
        "MiniLM, classes": figures(looks, names, looks),
        "mini, scenes": figures(seen, said, seen),
    }


def found(vectors: Vectors, asked: Vectors, what: str) -> dict[str, float]:
    """How hard they are for an index: recall@10 of IVF64,RaBitQfs,Refine(SQfp16) by lists read, k_factor 8."""
    import faiss

    index = faiss.index_factory(vectors.shape[1], "IVF64,RaBitQfs,Refine(SQfp16)", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    truth = np.argsort(-(asked @ vectors.T), axis=1)[:, :10].tolist()
    said = {}
    for probes in (4, 16, 48):
        inner = faiss.SearchParametersIVF(nprobe=probes)
        params = faiss.IndexRefineSearchParameters(k_factor=8, base_index_params=inner)
        rows = index.search(asked, 10, params=params)[1].tolist()
        right = [len(set(one) & set(other)) / 10 for one, other in zip(rows, truth, strict=True)]
        said[f"{what}: recall with {probes} of 64 lists"] = float(np.mean(right))
    return said


def table(columns: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        values = [column.get(name) for column in columns.values()]
        said = ("" if value is None else f"{value:.0f}" if value >= 20 else f"{value:.3g}" for value in values)
        lines.append(f"| {name} | " + " | ".join(said) + " |")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--real", action="store_true", help="embed and measure the real ones again")
    given = parser.parse_args()
    columns: dict[str, Any] = measured() if given.real else dict(MEASURED)
    for dimension in (384, 4096):
        corpus = Corpus(Shape.of(dimension))
        vectors = np.concatenate(list(corpus.chunks(REAL))).astype(np.float32)
        columns[f"drawn, {dimension}"] = (
            figures(vectors[:DESCRIBED], *corpus.pairs(1000))
            | found(vectors[:STORED], vectors[STORED:], HELD_OUT)
            | found(vectors[:STORED], corpus.questions(1000, "test"), ASKED)
        )
    print(table(columns))
    print(json.dumps(columns))


if __name__ == "__main__":
    main()
