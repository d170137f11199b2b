import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import pytest
import torch

from oneword.engine import Composed, Document, Image, Text, encode, views
from oneword.engine.basic.encoder import IMAGES
from oneword.engine.basic.sentences import BATCH
from oneword.engine.encoder import Side
from oneword.engine.errors import DeviceOutOfMemory, ViewError
from oneword.engine.unrelated import unrelated

CAPTIONS = {
    "astronaut.png": ["an astronaut in an orange space suit", "a spacewoman with a helmet"],
    "camera.png": ["a man taking pictures with a camera on a tripod", "a photographer in a dark coat"],
    "chelsea.png": ["a cat", "a close-up of a tabby cat's face", "my pet kitten looking at me"],
    "coffee.png": ["a cup of coffee", "an espresso on a wooden table with a spoon", "a hot drink"],
    "horse.png": ["a horse", "the silhouette of a horse"],
    "motorcycle_left.png": ["a motorcycle", "a motorbike parked in a garage", "a red motorcycle"],
    "rocket.jpg": ["a rocket launch", "a rocket on its launch pad at night", "a spaceship lifting off"],
    "page.png": ["a page of text", "a scanned page of a book"],
    "brick.png": ["a brick wall", "red bricks"],
    "gravel.png": ["gravel", "small stones on the ground"],
}


def embed(encoder, *inputs):
    return encode(encoder, inputs, views.DEFAULT)


def blank(size=(64, 64), colour="white"):
    return Image(pixels=PIL.Image.new("RGB", size, colour))


def ranks(scores, truth):
    """How many columns beat the true one, for each row."""
    own = scores[np.arange(len(scores)), truth]
    return (scores > own[:, None]).sum(1)


@pytest.fixture(scope="module")
def pictures(encoder, photo):
    return embed(encoder, *(photo(name) for name in CAPTIONS))


@pytest.fixture(scope="module")
def captions(encoder):
    return embed(encoder, *(Text(text=text) for texts in CAPTIONS.values() for text in texts))


@pytest.fixture(scope="module")
def truth():
    return np.repeat(np.arange(len(CAPTIONS)), [len(texts) for texts in CAPTIONS.values()])


def test_pictures_are_found_by_words(pictures, captions, truth):
    found = ranks(captions @ pictures.T, truth)
    assert np.mean(found < 1) >= 0.5
    assert np.mean(found < 3) >= 0.7


def test_texts_and_pictures_rank_in_one_list(encoder, pictures, captions):
    everything = np.vstack([pictures, captions])
    names = [*CAPTIONS, *(text for texts in CAPTIONS.values() for text in texts)]
    (query,) = embed(encoder, Text(text="a cat"))
    best = [names[i] for i in (everything @ query).argsort()[::-1][:4]]
    assert set(best) == {"chelsea.png", *CAPTIONS["chelsea.png"]}


def test_pictures_are_found_by_their_likes(encoder, photo, pictures):
    changed = []
    for name in CAPTIONS:
        picture = photo(name).pixels
        width, height = picture.size
        changed.append(Image(pixels=PIL.ImageOps.mirror(picture)))
        changed.append(Image(pixels=PIL.ImageEnhance.Brightness(picture).enhance(1.3)))
        inner = (width * 15 // 100, height // 10, width * 85 // 100, height * 9 // 10)
        changed.append(Image(pixels=picture.crop(inner)))
    found = ranks(embed(encoder, *changed) @ pictures.T, np.repeat(np.arange(len(CAPTIONS)), 3))
    assert np.mean(found < 1) >= 0.9


def test_a_document_is_found_by_either_part(encoder, photo, pictures):
    document = Document(image=photo("chelsea.png"), text="the steam engine of my grandfather")
    vector, steam, dog = embed(encoder, document, Text(text="a steam locomotive"), Text(text="a dog"))
    others = np.delete(pictures, list(CAPTIONS).index("chelsea.png"), axis=0)
    assert vector @ steam > (others @ steam).max() + 0.1
    assert vector @ pictures[list(CAPTIONS).index("chelsea.png")] > 0.6 > (others @ vector).max()
    assert vector @ dog < vector @ steam


@pytest.mark.parametrize(
    ("name", "edit", "towards"),
    [
        ("coffee.png", "but a glass of beer", "a glass of beer on a wooden table"),
        ("motorcycle_left.png", "a bicycle", "a bicycle leaning on a wall"),
        ("horse.png", "in a field of grass", "a horse grazing in a meadow"),
        ("rocket.jpg", "the moon", "a rocket flying to the moon"),
        ("chelsea.png", "a dog instead", "a close-up of a dog's face"),
    ],
)
def test_an_edit_pulls_and_the_picture_stays(encoder, photo, pictures, name, edit, towards):
    before, after, target = embed(encoder, photo(name), Composed(image=photo(name), edit=edit), Text(text=towards))
    assert after @ target > before @ target + 0.1
    assert (pictures @ after).argmax() == list(CAPTIONS).index(name)


def mixed(photo):
    cat, rocket = photo("chelsea.png"), photo("rocket.jpg")
    return [
        Text(text="a"),
        cat,
        Text(text="word " * 300),
        Composed(image=cat, edit="but a dog"),
        rocket,
        Text(text="a cat on a sofa"),
        Document(image=rocket, text="lift-off"),
        blank((300, 20)),
        Text(text="🚀"),
    ]


def test_neither_batch_nor_order_matters(encoder, photo):
    inputs = mixed(photo)
    together = embed(encoder, *inputs)
    alone = np.vstack([embed(encoder, each) for each in inputs])
    backwards = embed(encoder, *inputs[::-1])[::-1]
    one_batch = encoder.finish(encoder.forward(encoder.prepare(inputs, views.DEFAULT, Side.QUERY)))
    one_batch /= np.linalg.norm(one_batch, axis=1, keepdims=True)
    for other in (alone, backwards, one_batch):
        np.testing.assert_allclose(other, together, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(embed(encoder, *inputs), together)


def test_sides_are_one(encoder, photo):
    inputs = mixed(photo)[:4]
    query, gallery = (encode(encoder, inputs, views.DEFAULT, side) for side in Side)
    np.testing.assert_array_equal(query, gallery)


@pytest.mark.parametrize(
    "each",
    [
        blank((1, 1)),
        blank((1, 1), "black"),
        blank((20000, 2)),
        blank((2, 20000), "red"),
        blank((500, 500)),
        blank((500, 500), "black"),
        Image(pixels=PIL.Image.effect_noise((300, 200), 80)),
        Text(text="a"),
        Text(text="."),
        Text(text="🐈🐈"),
        Text(text="\u0301"),
        Text(text="x" * 1_000_000),
        Text(text="many words " * 100_000),
        Text(text="[CLS][SEP][PAD]"),
        Composed(image=blank((1, 1)), edit="🐈"),
        Document(image=blank((20000, 2)), text="many words " * 100_000),
    ],
    ids=lambda each: f"{type(each).__name__}-{each.content_hash[:6]}",
)
def test_every_vector_is_finite_and_of_unit_length(encoder, each):
    (vector,) = embed(encoder, each)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_plan_holds_every_position_once(encoder):
    picture = blank()
    inputs = [Text(text="x" * (1 + i % 7)) if i % 3 else picture for i in range(200)]
    plan = encoder.plan(inputs, views.DEFAULT, Side.GALLERY)
    assert sorted(i for batch in plan for i in batch) == list(range(200))
    for batch in plan:
        kinds = {type(inputs[i]) for i in batch}
        assert len(kinds) == 1
        assert len(batch) <= (BATCH if kinds == {Text} else IMAGES)
    assert encoder.plan([], views.DEFAULT, Side.GALLERY) == []


def test_other_views_are_refused(encoder):
    for call in (
        lambda: encoder.space(views.CIRR),
        lambda: encoder.plan([Text(text="a")], views.CIRR, Side.QUERY),
        lambda: encode(encoder, [Text(text="a")], views.FASHIONIQ_DRESS),
    ):
        with pytest.raises(ViewError, match=r"reads no prompts.*leave the view out"):
            call()


def test_a_stored_default_view_is_the_default(encoder):
    stored = views.View.from_dict(views.DEFAULT.as_dict())
    assert encoder.space(stored).fingerprint == encoder.space(views.DEFAULT).fingerprint


def test_the_space_says_what_made_it(encoder):
    space = encoder.space(views.DEFAULT)
    assert (space.model, space.dimension, encoder.dimension) == ("basic", 384, 384)
    assert len(space.revision) == 64
    assert {"temperature", "debias", "top_classes", "wordpieces"} <= set(space.preprocessing)


def test_right_hits_score_higher_than_those_of_unrelated_texts(pictures, captions, truth, encoder):
    nothing = (unrelated(encoder, views.DEFAULT) @ pictures.T).max(1)
    scores = captions @ pictures.T
    confidence = np.array([np.mean(nothing < best) for best in scores.max(1)])
    assert np.median(confidence) >= 0.9
    sure = confidence >= 0.95
    assert (scores.argmax(1) == truth)[sure].mean() >= 0.9


def test_a_full_device_is_named(encoder, monkeypatch):
    def full(pixels):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(encoder, "_seen", full)
    with pytest.raises(DeviceOutOfMemory, match="1 inputs"):
        embed(encoder, blank())


def test_what_all_share_is_taken_out(encoder, pictures, captions, truth):
    unrelated = truth[:, None] != np.arange(len(pictures))
    assert abs((captions @ pictures.T)[unrelated].mean()) < 0.05
    assert (pictures @ pictures.T)[~np.eye(len(pictures), dtype=bool)].mean() < 0.15
    things = embed(encoder, *(Text(text=name) for name in encoder.class_names[::10]))
    assert (things @ things.T).mean() < 0.1
