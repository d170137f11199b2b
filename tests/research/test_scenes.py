"""Scenes, their words and their changes."""

import random
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneword.engine.views import BUILT_IN
from research.miniature import captions, edits, prompts, questions, sets
from research.miniature.render import render
from research.miniature.scenes import COLOURS, HELD_OUT, SHAPES, Scene, Thing, draw, jittered, swaps

seeds = st.integers(0, 10_000)


@given(seeds)
def test_training_never_meets_what_is_held_out(seed: int) -> None:
    rng = random.Random(seed)
    scene, other = edits.differing(rng)
    for one in (scene, other, draw(rng)):
        assert one.split == "train"
        assert not one.unseen
        assert not any((thing.colour, thing.shape) in HELD_OUT for thing in one.things)


def test_triples_speak_of_training_scenes_only() -> None:
    held_out = {f"{colour} {shape}" for colour, shape in HELD_OUT}
    said = [sentence for triple in islice(edits.triples(0), 300) for sentence in triple]
    assert not [sentence for sentence in said if any(pair in sentence for pair in held_out)]


@given(seeds, st.sampled_from(["validation", "test"]), st.booleans())
def test_splits_are_apart(seed: int, split: str, unseen: bool) -> None:
    scene = draw(random.Random(seed), split, unseen=unseen)
    assert scene.split == split
    assert scene.unseen == unseen
    assert jittered(random.Random(1), scene).key == scene.key, "drawn otherwise it is the same scene"


def test_every_shape_and_colour_is_in_one_held_out_pair() -> None:
    assert sorted(colour for colour, _ in HELD_OUT) == sorted(COLOURS)
    assert sorted(shape for _, shape in HELD_OUT) == sorted(SHAPES)
    with pytest.raises(ValueError, match="held-out"):
        draw(random.Random(0), unseen=True)


@given(seeds)
@settings(max_examples=30)
def test_pictures_are_the_same_each_time_and_show_what_differs(seed: int) -> None:
    scene = draw(random.Random(seed))
    assert render(scene).tobytes() == render(scene).tobytes()
    assert render(scene).size == (64, 64)
    assert render(jittered(random.Random(1), scene)).tobytes() != render(scene).tobytes()
    for other in swaps(scene):
        assert np.abs(np.asarray(render(other), dtype=int) - np.asarray(render(scene), dtype=int)).max() > 30


@given(seeds)
def test_a_swap_keeps_the_words(seed: int) -> None:
    scene = draw(random.Random(seed))
    for other in swaps(scene):
        assert captions.words(other) == captions.words(scene)
        assert other.key != scene.key


@given(seeds)
def test_a_full_caption_says_every_attribute(seed: int) -> None:
    rng = random.Random(seed)
    scene = draw(rng)
    said = captions.caption(rng, scene)
    for word in {scene.background, *(value for thing in scene.things for value in thing.attributes[:4])} - {"plain"}:
        assert any(one in said for one in captions._SYNONYMS.get(word, (word,)))


@given(seeds)
def test_a_thing_without_a_description_has_a_double(seed: int) -> None:
    rng = random.Random(seed)
    scene = draw(rng)
    one = scene.things[0]
    doubled = any(other.attributes[:4] == one.attributes[:4] for other in scene.things[1:])
    assert (captions.description(rng, one, scene) is None) == doubled


def test_edits_by_example() -> None:
    circle = Thing(shape="circle", colour="red", size="large", texture="plain", cell=(0, 0))
    scene = Scene(things=(circle,), background="white")
    made = dict(edits.edit(random.Random(seed), scene, split=None) or ("", scene) for seed in range(300))
    recoloured = next(other for text, other in made.items() if text.startswith("paint") and text.endswith("blue"))
    assert [thing.attributes for thing in recoloured.things] == [("circle", "blue", "large", "plain", (0, 0))]
    darker = next(other for text, other in made.items() if "background" in text and "black" in text)
    assert (darker.background, darker.things) == ("black", (circle,))
    moved = next(other for text, other in made.items() if text.startswith("move") and text.endswith("bottom right"))
    assert moved.things[0].cell == (2, 2)
    assert not [text for text in made if "remove" in text], "the last thing stays"


def test_e5vs_own_prompts_are_no_training_prompts() -> None:
    ours = {
        template.format(what, "x").strip()
        for template in (*prompts.ONE_WORD, *prompts.BASED_ON, *prompts.CHANGE)
        for what in ("image", "sentence")
    }
    for view in BUILT_IN.values():
        for prompt in (*vars(view.query).values(), *vars(view.gallery).values()):
            if view.name != "cirr" or "Describe" not in prompt:  # differs from one of ours in white space alone
                assert prompt.replace("<image>", "").replace("<sent>", "").strip() not in ours


@given(seeds)
def test_questions_have_answers(seed: int) -> None:
    rng = random.Random(seed)
    question, answer = questions.question(rng, draw(rng))
    assert question.endswith("?")
    assert answer


def test_drawn_sets_have_the_form_that_the_tasks_read() -> None:
    data = sets.composed(20, 0)
    assert len(data.names) == len(data.images) == 120
    for entry in data.entries:
        assert len(set(entry.subset)) == 6
        assert {entry.target, entry.reference} < set(entry.subset)
        assert entry.target != entry.reference
    assert len({scene.key for scene in sets.scenes(100, 0)}) == 100
    assert sets.captioned(5, 0).captions == sets.captioned(5, 0).captions, "the same for the same seed"
    assert set(sets.rated(60, 0)["scenes"].scores) == {0.0, 2.0, 3.0, 4.0, 5.0}
