"""The fingerprint, which collections of earlier releases keep; and what is told beside it."""

from dataclasses import replace

from oneword.engine.hashing import HashEncoder
from oneword.engine.space import libraries
from oneword.engine.views import CIRR, DEFAULT

SPACE = HashEncoder().space(DEFAULT)


def test_a_fingerprint_is_as_it_was() -> None:
    assert SPACE.fingerprint == "cafe2778302d6725", "collections of earlier releases have it"


def test_libraries_are_told_and_do_not_tell_spaces_apart() -> None:
    told = SPACE.as_dict()
    assert told["made_with"] == libraries()
    assert {"pillow", "torch"} <= libraries().keys()
    assert replace(SPACE).fingerprint == told["fingerprint"]


def test_symmetric_unless_a_side_has_its_own_prompt() -> None:
    assert SPACE.symmetric
    assert replace(SPACE, view=CIRR).symmetric
    asks = replace(DEFAULT.query, text="Which picture shows <sent>? In one word: ")
    assert not replace(SPACE, view=replace(DEFAULT, query=asks)).symmetric
    assert replace(SPACE, preprocessing={"prompts": {"query": "a: ", "gallery": "a: "}}).symmetric
    assert not replace(SPACE, preprocessing={"prompts": {"query": "a: ", "gallery": None}}).symmetric
    assert not replace(SPACE, preprocessing={"modules": ["Router", "Normalize"]}).symmetric
