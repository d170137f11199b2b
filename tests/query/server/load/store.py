"""What other processes do to the store that is served.

    python store.py seed DB ITEMS            makes the base: items whose nearest text is known, and their ANN index
    python store.py write DB PREFIX SECONDS  writes items of its own: for so long as the only one, then in turn

`write` prints one JSON object, the texts by id of what it has written; run it in the checkout.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path.cwd()))

from words import BASE, base_id, text_of

from oneword.engine import Text, load, views
from oneword.engine.encoder import Side
from oneword.engine.encoding import encode
from oneword.storage import Item, Store

TURNS = 10
PATIENCE = 60.0  # seconds that it waits for the service to let it write


def items_of(texts: dict[str, str], kind: str) -> list[Item]:
    """With their vectors."""
    vectors = encode(load("hash"), [Text(text=text) for text in texts.values()], views.DEFAULT, Side.GALLERY)
    return [
        Item(
            id=item,
            modality="text",
            uri=f"urn:load:{item}",
            content_hash=text,
            text=text,
            metadata={"kind": kind},
            vector=vector,
        )
        for (item, text), vector in zip(texts.items(), vectors, strict=True)
    ]


def seed(db: str, items: int) -> None:
    """The base."""
    collection = Store(db).create("default", load("hash").space(views.DEFAULT).as_dict())
    collection.upsert(items_of({base_id(number): text_of(base_id(number)) for number in range(items)}, BASE))
    collection.build_index()


def write(db: str, prefix: str, seconds: float) -> None:
    """Keeps others from writing for so long; then writes and tidies as one of several."""
    collection = Store(db, lock_timeout=PATIENCE).open("default")
    written: dict[str, str] = {}

    def some(turn: int) -> None:
        texts = {f"{prefix}-{turn}-{n}": text_of(f"{prefix}-{turn}-{n}") for n in range(20)}
        collection.upsert(items_of(texts, prefix))
        written.update(texts)

    with collection.writing():
        some(0)
        time.sleep(seconds)
    for turn in range(1, TURNS):
        some(turn)
        gone = f"{prefix}-{turn}-0"
        collection.delete([gone])
        del written[gone]
    collection.optimize()
    print(json.dumps(written))


if __name__ == "__main__":
    if sys.argv[1] == "seed":
        seed(sys.argv[2], int(sys.argv[3]))
    else:
        write(sys.argv[2], sys.argv[3], float(sys.argv[4]))
