"""How often a search that finds nothing says so, and how many right hits that costs.

    python benchmarks/confidence.py

`basic` searches the 18 photographs of benchmarks/basic.py by their captions, by changed copies, and by 200 texts about
what they do not show; the texts were written before anything was measured, and none is one of the phrases that
confidence is measured by. `mini` searches 600 drawn scenes by their captions, by the same scenes drawn a little
differently, by the 200 texts, and by captions and pictures of 200 scenes of shapes and colors that no stored scene has
(near misses). A right hit is a query's own picture in the first place; it is lost where its confidence is below the
least one. The last line is JSON.
"""

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.basic import CAPTIONS, copies, photographs
from oneword.engine import Image, Text, encode, load, views
from oneword.engine.encoder import Encoder, Side
from oneword.engine.inputs import Input
from oneword.engine.unrelated import PHRASES, unrelated
from oneword.storage import Collection, Item, Store
from oneword.storage.confidence import Asked
from research.miniature.captions import caption
from research.miniature.render import render
from research.miniature.scenes import Scene, jittered
from research.miniature.sets import scenes

LEAST = (0.5, 0.8, 0.9, 0.95)
STORED, ABSENT = 600, 200
WITHOUT = {"heart", "star", "cyan"}
"""Shapes and a color that no stored scene has, and every thing of a near miss has one of."""
ELSEWHERE = """
a saxophone|a harp player in an orchestra|a trumpet|a disc jockey at a club|karaoke night
an opera singer|puppets on strings|a juggler in the street|a stand-up comedian with a microphone|a hamburger with fries
tacos with salsa|a bowl of salad|a roast turkey|chocolate ice cream in a cone|a box of donuts
fried eggs and bacon|a basket of oranges|watermelon slices|corn on the cob|a carton of milk
a cocktail with a straw|orange juice in a glass|a cheese platter|spaghetti with tomato sauce|dumplings in a steamer
a lobster on a plate|a pie cooling at the window|popcorn at the movies|a lollipop|a food truck
a hippopotamus yawning|a rhinoceros|a tiger in the grass|a leopard in a tree|a gorilla
an ostrich running|flamingos in a lagoon|a swan with cygnets|pigeons on a square|a seagull stealing food
a woodpecker|a turkey on a farm|a goat on a cliff|a donkey with a load|a llama
a beaver building a dam|an otter on its back|a seal on a rock|a dolphin jumping|an octopus
a starfish|a seahorse|a lizard on a wall|a chameleon|a scorpion
a ladybug|a dragonfly|a mosquito bite|a caterpillar eating a leaf|a poodle at the groomer
a sheepdog herding|a rabbit in a hutch|a guinea pig|a raccoon in the trash|a bear fishing for salmon
a moose|a koala|a sloth|a bamboo forest|cherry trees in blossom
a rose garden|lavender fields|a lily pond|orchids in a pot|an apple orchard
a wheat harvest|a cotton field|a swamp with mangroves|a canyon|a geyser
a hurricane seen from a satellite|a tornado|an avalanche|hail on a car|icicles on a gutter
a muddy road|a river delta from above|stepping stones|a canal with houseboats|a gondola in Venice
a ferry|a surfboard|water skiing|a scuba diver|a jet fighter
a drone with a camera|a parachutist|an airport terminal|a freight train|a cable car
a double-decker bus|a school bus|a garbage truck|a bulldozer|a forklift
a limousine|a convertible|a camper van|a tire being changed|a zebra crossing
a traffic light|a toll booth|a suspension bridge|a tunnel|an igloo
a shopping mall|a supermarket aisle|a flea market|a bakery window|a butcher's shop
a florist|a hotel lobby|a swimming pool with slides|a sauna|a gym with treadmills
a bowling alley|a billiard table|a casino with slot machines|a nightclub|a volleyball game on the beach
a baseball player swinging a bat|a rugby scrum|a cricket match|fencing|archery
table tennis|sumo|a snowboarder|a bobsled|a ski lift
a skydiver|a lifeguard|a firefighter with a hose|a plumber under a sink|an electrician on a pole
a gardener with a rake|a farmer milking a cow|a fisherman mending nets|a potter at the wheel|a glass blower
a violin maker|a chef tossing a pan|a waiter with a tray|a cashier|a postman on his round
a secretary at a keyboard|a teacher at a blackboard|a pregnant woman|a toddler's first steps|twins in a stroller
a job interview|a handcuffed man|a tank|a rifle|a sword
a medieval knight|a pirate ship|a mermaid|a dragon breathing fire|a unicorn
a vampire|a zombie|a superhero in a cape|a snowman|an Easter egg
a menorah|a gift with a ribbon|a bathtub full of foam|a toilet|a toothbrush
a bar of soap|a hair dryer|a vacuum cleaner|an iron on a board|a microwave
a blender|a frying pan|a corkscrew|a sofa with cushions|a bunk bed
a cradle|a rocking chair|a fireplace|a passport|a credit card
a calendar of 1999|how to knit a scarf|the life of Mozart|a guide to investing in stocks|a recipe for curry
"""


def stored(encoder: Encoder, images: Sequence[Image], folder: str) -> Collection:
    """A collection of images, each with its place as id, and its index."""
    vectors = encode(encoder, images, views.DEFAULT)
    made = Store(folder).create("a", encoder.space(views.DEFAULT).as_dict())
    made.upsert(
        Item(id=str(place), modality="image", uri=f"urn:{place}", content_hash=str(place), vector=vector)
        for place, vector in enumerate(vectors)
    )
    made.build_index(unrelated=lambda: unrelated(encoder, views.DEFAULT))
    return made


def best(
    collection: Collection, encoder: Encoder, queries: Sequence[Input], asked: Asked
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Place, confidence and score of each query's best hit, (q,) each."""
    vectors = encode(encoder, queries, views.DEFAULT, Side.QUERY)
    hits = [found[0] for found in collection.search_batch(vectors, limit=1, asked=asked)]
    return (
        np.array([int(hit.item.id) for hit in hits]),
        np.array([hit.confidence for hit in hits], dtype=np.float64),
        np.array([hit.score for hit in hits]),
    )


def told(confidence: NDArray[np.float64]) -> dict[str, float]:
    """By least confidence, the share of queries that get no hit."""
    return {f"{least}": round(float(np.mean(confidence < least)), 3) for least in LEAST}


def lost(found: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]], truth: NDArray[Any]) -> Any:
    """How many of the best hits are right, and by least confidence the share of these that is lost."""
    places, confidence, _ = found
    right = places == truth
    return {"right": int(right.sum()), "of": len(truth), **told(confidence[right])}


def basic(folder: str, elsewhere: Sequence[Text]) -> dict[str, Any]:
    """Photographs."""
    encoder, images = load("basic"), photographs()
    collection = stored(encoder, images, folder)
    texts = [Text(text=text) for said in CAPTIONS.values() for text in said.split("|")]
    changed = [copy for image in images for copy in copies(image.pixels)]
    truth = np.repeat(np.arange(len(images)), 3)
    places, _, scores = found = best(collection, encoder, texts, "text")
    absent = best(collection, encoder, elsewhere, "text")
    return {
        "told_absent": told(absent[1]),
        "lost_captions": lost(found, truth),
        "lost_copies": lost(best(collection, encoder, changed, "image"), np.repeat(np.arange(len(images)), 4)),
        "fixed_0.5": {
            "told_absent": round(float(np.mean(absent[2] < 0.5)), 3),
            "lost_captions": round(float(np.mean(scores[places == truth] < 0.5)), 3),
        },
    }


def mini(folder: str, elsewhere: Sequence[Text]) -> dict[str, Any]:
    """Drawn scenes."""
    encoder, draw = load("mini"), random.Random(3)
    there: list[Scene] = []
    near: list[Scene] = []
    for scene in scenes(3000, 7, "test"):
        without = [bool({thing.shape, thing.colour} & WITHOUT) for thing in scene.things]
        if not any(without):
            there.append(scene)
        elif all(without):
            near.append(scene)
    there, near = there[:STORED], near[:ABSENT]
    truth = np.arange(len(there))
    collection = stored(encoder, [Image(pixels=render(scene)) for scene in there], folder)

    def asked(some: Sequence[Input], kind: Asked) -> Any:
        return best(collection, encoder, some, kind)

    return {
        "told_absent": told(asked(elsewhere, "text")[1]),
        "told_near_misses": told(asked([Text(text=caption(draw, scene)) for scene in near], "text")[1]),
        "told_near_miss_pictures": told(asked([Image(pixels=render(scene)) for scene in near], "image")[1]),
        "lost_captions": lost(asked([Text(text=caption(draw, scene)) for scene in there], "text"), truth),
        "lost_redrawn": lost(asked([Image(pixels=render(jittered(draw, one))) for one in there], "image"), truth),
    }


def main() -> None:
    """Prints a table and one JSON line."""
    texts = ELSEWHERE.strip().replace("\n", "|").split("|")
    assert len(texts) == ABSENT
    assert not {*texts} & {*PHRASES}
    figures: dict[str, Any] = {}
    for name, measure in (("basic", basic), ("mini", mini)):
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = measure(folder, [Text(text=text) for text in texts])
        for figure, values in figures[name].items():
            print(f"{name:6}{figure:26}" + "".join(f"{least:>14} {value}" for least, value in values.items()))
    print(json.dumps({"benchmark": "confidence", "absent": ABSENT, **figures}))


if __name__ == "__main__":
    main()
