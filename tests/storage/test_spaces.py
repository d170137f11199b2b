"""Which spaces are one: an older collection knows less of its space than a newer release tells."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oneword.engine.hashing import HashEncoder
from oneword.engine.views import CIRR, DEFAULT
from oneword.storage import SpaceMismatch, Store

OLD = replace(HashEncoder().space(DEFAULT), preprocessing={"version": 1, "sizes": [2, 3]})
NEW = replace(OLD, preprocessing={"version": 1, "sizes": (2, 3), "chat_template": "0123"})


def test_what_an_older_collection_does_not_know_is_not_asked_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create("notes", OLD.as_dict())
    assert OLD.fingerprint != NEW.fingerprint
    assert store.open_or_create("notes", NEW.as_dict()).space["fingerprint"] == OLD.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"preprocessing": {"version": 2, "sizes": [2, 3], "chat_template": "0123"}},
        {"preprocessing": {"sizes": [2, 3]}},
        {"view": CIRR},
        {"revision": "another"},
        {"dimension": 8},
    ],
    ids=lambda other: "".join(other),
)
def test_what_it_knows_is(tmp_path: Path, other: dict[str, Any]) -> None:
    store = Store(tmp_path)
    store.create("notes", OLD.as_dict())
    with pytest.raises(SpaceMismatch):
        store.open_or_create("notes", replace(NEW, **other).as_dict())


def test_a_newer_collection_is_not_an_older_ones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create("notes", NEW.as_dict())
    with pytest.raises(SpaceMismatch):
        store.open_or_create("notes", OLD.as_dict())


def test_a_model_that_changed_upstream_is_said_to_have(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create("notes", OLD.as_dict())
    with pytest.raises(
        SpaceMismatch, match=r"changed since: it was revision 1, and this is 2;.*--revision.*reembed notes"
    ):
        store.open_or_create("notes", replace(OLD, revision="2").as_dict())
