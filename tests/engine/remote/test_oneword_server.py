"""Oneword's own server: the same vectors and the same space as where the model runs."""

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine import (
    Composed,
    Document,
    EngineConfig,
    Image,
    Interleaved,
    Side,
    Text,
    encode,
    load,
    truncation,
    views,
)
from oneword.engine.catalog import describe
from oneword.engine.errors import ModelError, ModelNotFound, RemoteUnavailable, ViewError
from oneword.engine.hashing import HashEncoder
from oneword.engine.remote import RemoteConfig, load_remote
from oneword.engine.remote.dialect import grouped

from .conftest import OnewordService


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image(pixels=PIL.Image.fromarray(pixels))


MIXED = [
    Text(text="a dog"),
    noise(64, 48),
    Text(text="<image> and <|eot_id|> Ünïcödé 世界"),
    Document(image=noise(30, 90, 1), text="an empty <image> chair"),
    Composed(image=noise(57, 113, 2), edit="make it red"),
    Interleaved(pieces=[noise(40, 40, 6), "the sofa of this", noise(64, 48, 7), "in the room of this"]),
    *(Text(text=f"text number {i}") for i in range(40)),
]


def test_equals_local(serve, hashing):
    url = serve(hashing)
    remote = load(url)
    for side in Side:
        assert np.array_equal(
            encode(remote, MIXED, views.DEFAULT, side), encode(HashEncoder(), MIXED, views.DEFAULT, side)
        )
    assert {body["input_type"] for body in hashing.bodies} == {"query", "document"}
    space, local = remote.space(views.DEFAULT), HashEncoder().space(views.DEFAULT)
    assert space.fingerprint == local.fingerprint
    assert (space.model, remote.name) == (f"{url}#hash", f"{url}#hash")
    assert remote.dimension == 256
    with pytest.raises(ViewError, match="reads no prompts"):
        remote.space(views.CIRR)


def test_equals_local_e5v_in_every_view(serve, local):
    remote = load(serve(OnewordService(local, "tiny")))
    own = replace(views.DEFAULT, name="own", query=replace(views.DEFAULT.query, image="<image>\nName its colour: "))
    some = MIXED[:6]
    for view in (*views.BUILT_IN.values(), own):
        assert remote.space(view).fingerprint == local.space(view).fingerprint
        for side in Side:
            assert np.abs(encode(remote, some, view, side) - encode(local, some, view, side)).max() <= 1e-6
    long = encode(remote, some, views.DEFAULT, unit=False)
    assert np.abs(long - encode(local, some, views.DEFAULT, unit=False)).max() <= 1e-4
    assert np.linalg.norm(long, axis=1).max() > 1.5


@pytest.mark.parametrize("key", ["fingerprint", "space", "any_view"])
def test_a_card_that_lacks_something(serve, hashing, monkeypatch, key):
    card = hashing.models()
    del card["data"][0]["oneword"][key]
    monkeypatch.setattr(hashing, "models", lambda: card)
    with pytest.raises(RemoteUnavailable, match=rf"card of 'hash' is malformed .*{key}"):
        load(serve(hashing))


def test_a_space_that_is_not_what_it_says(serve, hashing, monkeypatch):
    card = hashing.models()
    card["data"][0]["oneword"]["space"]["revision"] = "2"
    monkeypatch.setattr(hashing, "models", lambda: card)
    with pytest.raises(RemoteUnavailable, match="expected the same; is the server of another version"):
        load(serve(hashing))


def test_a_revision_is_compared(serve, hashing):
    url = serve(hashing)
    assert load(f"{url}#hash@1").space(views.DEFAULT).revision == "1"
    with pytest.raises(ModelNotFound, match="revision '1', expected '2'"):
        load(f"{url}#hash@2")


def test_one_of_several_models(serve, hashing, monkeypatch):
    cards = hashing.models()
    cards["data"].append({"id": "other"})
    monkeypatch.setattr(hashing, "models", lambda: cards)
    url = serve(hashing)
    assert load(f"{url}#hash").name == f"{url}#hash"
    for name in (url, f"{url}#absent"):
        with pytest.raises(ModelNotFound, match=r"has 2 models: expected .*#MODEL, MODEL one of hash, other"):
            load(name)


@pytest.mark.parametrize("models", [{"data": []}, {}, [], None, {"data": [1, {}]}, {"data": "x"}])
def test_no_models(serve, hashing, monkeypatch, models):
    monkeypatch.setattr(hashing, "models", lambda: models)
    with pytest.raises(RemoteUnavailable, match="lists no model"):
        load(serve(hashing))


def test_requests_are_as_large_as_configured(serve, hashing):
    remote = load_remote(serve(hashing), RemoteConfig(batch_size=7, batch_pixels=10_000))
    inputs = [*MIXED, *(noise(80, 50, i) for i in range(5))]
    assert np.array_equal(encode(remote, inputs, views.DEFAULT), encode(HashEncoder(), inputs, views.DEFAULT))
    sizes = [len(body["input"]) for body in hashing.bodies]
    assert max(sizes) == 7
    assert sorted(sizes)[0] < 5  # of pictures fewer


class Fake:
    def __init__(self, lonely, apart):
        self.lonely, self.apart = lonely, apart

    def kind(self, item):
        if isinstance(item, Image) and self.lonely:
            return None
        return type(item).__name__ if self.apart else "any"


_ITEMS = st.lists(st.one_of(st.just(MIXED[0]), st.just(MIXED[1]), st.just(MIXED[3])), max_size=30)


@given(_ITEMS, st.integers(1, 5), st.integers(1, 10_000), st.booleans(), st.booleans())
def test_groups(items, most, pixels, lonely, apart):
    fake = Fake(lonely, apart)
    groups = grouped(items, fake, most, pixels)
    assert [i for group in groups for i in group] == list(range(len(items)))
    for group in groups:
        areas = [0 if isinstance(items[i], Text) else 64 * 48 if items[i] is MIXED[1] else 30 * 90 for i in group]
        assert len(group) == 1 or (len(group) <= most and sum(areas) <= pixels)
        assert len(group) == 1 or None not in {fake.kind(items[i]) for i in group}
        assert len({fake.kind(items[i]) for i in group}) == 1
    # Grouped again, as `prepare` does with a wave of groups, they are the same.
    for start in range(len(groups)):
        flat = [i for group in groups[start:] for i in group]
        again = grouped([items[i] for i in flat], fake, most, pixels)
        assert [[flat[i] for i in group] for group in again] == groups[start:]


def test_a_collection_is_the_same_by_either_way(serve, hashing, album, monkeypatch):
    """Indexed there, found here, and the other way round: one space."""
    from oneword.indexer import index_paths
    from oneword.query import SearchService

    url = serve(hashing)
    monkeypatch.setenv("ONEWORD_REMOTE_MODELS", url)
    report = index_paths([album], db="db", model=url)
    assert (report.indexed, report.quarantined, report.model) == (6, 0, f"{url}#hash")
    asked = len(hashing.bodies)
    assert index_paths([album], db="db", model="hash").unchanged == 6
    assert len(hashing.bodies) == asked
    remote = [(hit.id, hit.score) for hit in SearchService("db").search("an owl")]  # the collection's own: the server
    assert len(hashing.bodies) == asked + 1
    here = [(hit.id, hit.score) for hit in SearchService("db", model="hash").search("an owl")]
    assert here == remote


def test_vectors_are_truncated_here(serve, hashing, monkeypatch):
    """As those of a model that runs here, so the space is the same; its name loads it again."""
    known = describe("hash")
    monkeypatch.setattr(
        truncation, "describe", lambda name: replace(known, truncations=(64,)) if name == "hash" else None
    )
    url = serve(hashing)
    remote, local = (load(EngineConfig(model=model, dimensions=64)) for model in (url, "hash"))
    texts = [Text(text=text) for text in ("a dog sleeps on the sofa", "two small cats run", "the night train waits")]
    assert np.array_equal(encode(remote, texts, views.DEFAULT), encode(local, texts, views.DEFAULT))
    assert remote.space(views.DEFAULT).fingerprint == local.space(views.DEFAULT).fingerprint
    assert remote.space(views.DEFAULT).model == remote.name == f"{url}#hash:64"
    assert load(remote.name).space(views.DEFAULT).fingerprint == local.space(views.DEFAULT).fingerprint
    assert not any("dimensions" in body for body in hashing.bodies)
    with pytest.raises(ModelError, match=r"dimensions 65: .* expected one of 64"):
        load(f"{url}#hash:65")
    with pytest.raises(ModelNotFound, match="MODEL one of hash"):
        load(f"{url}#other:64")
