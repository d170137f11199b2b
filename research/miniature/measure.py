"""What the miniature can do, on scenes whose attributes it never met.

`python -m research.miniature.measure FOLDER`
"""

import argparse
import json
import random
from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np

from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.encoding import encode
from oneword.engine.evaluation.cirr import cirr
from oneword.engine.evaluation.ranking import best_ranks, recalls
from oneword.engine.evaluation.sts import sts
from oneword.engine.evaluation.text_image import text_image
from oneword.engine.evaluation.vectors import VectorCache
from oneword.engine.inputs import Text
from oneword.engine.views import DEFAULT, View
from oneword.engine.words import best, speaker
from research.miniature import captions, sets, view
from research.miniature.scenes import Scene, Split

COUNT = 500
WORDS = 5  # the most likely ones, that are looked at


def measure(encoder: Encoder, *, split: Split = "test", count: int = COUNT, seed: int = 1) -> dict[str, float]:
    """All figures, in percent but for the gap's distance.

    Args:
        count: scenes, queries or pairs in each set.
    """
    vectors = VectorCache(encoder)
    seen = text_image(sets.captioned(count, seed, split), split, vectors).metrics
    unseen = text_image(sets.captioned(count, seed, split, unseen=True), split, vectors).metrics
    changed = cirr(sets.composed(count, seed, split), split, vectors).metrics
    return {
        **{name: seen[name] for name in seen if not name.endswith("@10")},
        **{f"unseen pairs, {name}": unseen[name] for name in unseen if name.endswith("@1")},
        **{f"composed {name}": value for name, value in changed.items() if "average" not in name and "50" not in name},
        "binding": binding(encoder, DEFAULT, count, seed, split),
        "image to image R@1": image_image(encoder, DEFAULT, count, seed, split),
        "sentence similarity": sts(sets.rated(count, seed, split), split, vectors).metrics["scenes"],
        **{f"colours before shapes, view {one.name}": follows(encoder, one, count, seed, split) for one in _views()},
        **gap(encoder, DEFAULT, count, seed, split),
        **words(encoder, DEFAULT, count, seed, split),
    }


def _views() -> tuple[View, View, View]:
    return view("colours"), DEFAULT, view("shapes")


def binding(encoder: Encoder, view: View, count: int, seed: int, split: Split) -> float:
    """How often a caption is nearer to its picture than to one with two attributes exchanged; chance is 50."""
    drawn = sets.swaps(count, seed, split)
    said = encode(encoder, [Text(text=text) for text, _, _ in drawn], view, Side.QUERY)
    right = encode(encoder, [sets.picture(scene)() for _, scene, _ in drawn], view)
    wrong = encode(encoder, [sets.picture(other)() for _, _, other in drawn], view)
    return 100 * float(((said * right).sum(1) > (said * wrong).sum(1)).mean())


def image_image(encoder: Encoder, view: View, count: int, seed: int, split: Split) -> float:
    """How often a scene drawn in another way is the nearest of all."""
    drawn = sets.scenes(count, seed, split)
    gallery = encode(encoder, [sets.picture(scene)() for scene in drawn], view)
    asked = encode(encoder, [sets.picture(sets.redrawn(scene, seed))() for scene in drawn], view)
    return recalls(best_ranks(asked, gallery, [[i] for i in range(count)]), (1,))["R@1"]


def both(
    encoder: Encoder, view: View, count: int, seed: int, split: Split, *, unseen: bool = False
) -> tuple[Vectors, Vectors]:
    """Vectors of captions and of their pictures."""
    data = sets.captioned(count, seed, split, unseen=unseen)
    said = [partial(Text, text=text) for (text,) in data.captions]
    return VectorCache(encoder).embed(said, view), VectorCache(encoder).embed(data.images, view)


def follows(encoder: Encoder, view: View, count: int, seed: int, split: Split) -> float:
    """How often a view holds colours to matter more than shapes, in percent.

    A picture is compared with one that has its colours and other shapes, and with one that has its shapes and other
    colours, all else equal.
    """
    rng = random.Random(f"follows {split} {seed}")
    asked, colours, shapes = (
        encode(encoder, [sets.picture(scene)() for scene in kind], view, side)
        for kind, side in zip(
            zip(*islice(_altered(rng, seed, split), count), strict=True),
            (Side.QUERY, Side.GALLERY, Side.GALLERY),
            strict=True,
        )
    )
    return 100 * float(((asked * colours).sum(1) > (asked * shapes).sum(1)).mean())


def _altered(rng: random.Random, seed: int, split: Split) -> Iterator[tuple[Scene, Scene, Scene]]:
    for scene in sets.different(seed, split):
        shapes, colours = (sets.altered(rng, scene, kind, split) for kind in ("shape", "colour"))
        if shapes and colours:
            yield scene, shapes, colours


def gap(encoder: Encoder, view: View, count: int, seed: int, split: Split) -> dict[str, float]:
    """How far texts and pictures lie apart as kinds.

    The distance between the two centroids, relative to the mean distance of a vector from its own centroid; and the
    share of vectors whose nearest neighbor is of the other kind.
    """
    said, seen = both(encoder, view, count, seed, split)
    return gap_of(said, seen)


def gap_of(said: Vectors, seen: Vectors) -> dict[str, float]:
    """See `gap`."""
    centres = said.mean(0), seen.mean(0)
    away = [np.linalg.norm(one - centre, axis=1).mean() for one, centre in zip((said, seen), centres, strict=True)]
    together = np.concatenate([said, seen])
    scores = together @ together.T
    np.fill_diagonal(scores, -np.inf)
    other = (scores.argmax(1) >= len(said)) != (np.arange(len(together)) >= len(said))
    return {
        "centroid distance": float(np.linalg.norm(centres[0] - centres[1]) / max(float(np.mean(away)), 1e-9)),
        "cross-modal neighbors": 100 * float(other.mean()),
    }


def words(encoder: Encoder, view: View, count: int, seed: int, split: Split) -> dict[str, float]:
    """How many of the five likeliest words are true of a scene; of another scene, as a control."""
    drawn = sets.scenes(count, seed, split)
    said, seen = both(encoder, view, count, seed, split)
    true = [set(captions.words(scene)) for scene in drawn]
    voice = speaker(encoder)
    found = {}
    for name, vectors, truth in (
        ("picture's words", seen, true),
        ("text's words", said, true),
        ("another picture's words", seen, true[1:] + true[:1]),
    ):
        right = [
            sum(word.text in known for word in best(row, voice.vocabulary, WORDS)) / WORDS
            for row, known in zip(voice.say(vectors), truth, strict=True)
        ]
        found[f"{name}, true of {WORDS}"] = 100 * float(np.mean(right))
    return found


def main() -> None:
    """The command."""
    from oneword.engine.e5v import load_e5v

    parser = argparse.ArgumentParser(prog="python -m research.miniature.measure", description=__doc__)
    parser.add_argument("folder", help="a checkpoint")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--count", type=int, default=COUNT)
    given = parser.parse_args()
    found = measure(load_e5v(given.folder, device="cpu"), split=given.split, count=given.count)
    for name, value in found.items():
        print(f"{name:<40} {value:7.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
