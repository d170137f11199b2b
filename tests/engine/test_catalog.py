"""What is said of known models holds, and `auto` is the best of those that are here."""

from pathlib import Path

import pytest

from oneword.engine import EngineConfig, availability, load, views
from oneword.engine.catalog import MINIATURE, Description, _checked, describe, descriptions
from oneword.engine.errors import ModelNotFound

E5V = "royokong/e5-v"


@pytest.mark.parametrize("model", descriptions(), ids=lambda model: model.name)
def test_entries_hold_to_their_schema(model: Description) -> None:
    assert model.summary.endswith(".")
    assert model.license
    assert model.name.count("/") == (0 if model.shipped else 1)
    assert model.aliases or model.shipped


def test_names_and_aliases_are_one_models_alone() -> None:
    names = [name for model in descriptions() for name in (model.name, *model.aliases)]
    assert len(names) == len(set(names))
    assert describe("siglip2") is describe("google/siglip2-base-patch16-224")
    assert describe("nothing") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loader": "magic"}, "wrong loader"),
        ({"figures": "R@1 99"}, "wrong figures without source"),
        ({"extra": "nonesuch", "dimension": 0}, "wrong extra, dimension"),
    ],
)
def test_entries_that_do_not_are_refused(change: dict[str, object], message: str) -> None:
    entry = {
        "name": "a/b",
        "loader": "dual",
        "summary": "s.",
        "dimension": 1,
        "size": 1,
        "license": "MIT",
        "text_tokens": 1,
        "edits": "sum of both",
        "extra": "models",
    }
    assert _checked(entry).name == "a/b"
    with pytest.raises(ValueError, match=message):
        _checked(entry | change)


@pytest.mark.parametrize("name", ["basic", "mini", "hash"])
def test_shipped_models_are_as_described(name: str) -> None:
    model = describe(name)
    assert model is not None
    encoder = load(EngineConfig(model=name, device="cpu"))
    assert encoder.space(views.DEFAULT).dimension == model.dimension
    if name == "mini":
        assert (MINIATURE / "tuned" / "model.safetensors").stat().st_size == pytest.approx(model.size, rel=0.01)
    if name != "mini":
        assert encoder.chunk_tokens == model.text_tokens
    assert availability.missing(model) == ()


def test_mini_wants_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from oneword.engine import catalog

    monkeypatch.setattr(catalog, "MINIATURE", tmp_path)
    monkeypatch.setattr(availability, "MINIATURE", tmp_path / "none")
    with pytest.raises(ModelNotFound, match="model 'mini' is part of the repository and not of the package"):
        load("mini")
    mini = describe("mini")
    assert mini is not None
    assert availability.missing(mini)[0] == "part of the repository: run it in a checkout"


def test_what_is_missing_is_said_with_its_remedy() -> None:
    e5v = describe(E5V)
    assert e5v is not None
    assert "no CUDA GPU" in availability.missing(e5v)[0]
    assert availability.missing(e5v)[1] == "weights not downloaded (oneword models pull e5-v, 16.5 GB)"
    siglip = describe("siglip2")
    assert siglip is not None
    assert availability.missing(siglip) == ("weights not downloaded (oneword models pull siglip2, 1.5 GB)",)


def test_auto_is_the_best_that_is_here_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    name, reason = availability.choose()
    assert name == "basic"
    assert "oneword models pull siglip2 (1.5 GB, Apache-2.0) finds much more" in reason
    monkeypatch.setattr(availability, "is_cached", lambda name: True)
    name, reason = availability.choose()  # without a GPU no large ones
    assert name == "google/siglip2-base-patch16-224"
    assert "its weights are here" in reason
    monkeypatch.setattr(availability, "_missing_room", lambda model: [])
    assert availability.choose()[0] == E5V
    monkeypatch.setenv("ONEWORD_MODEL", "hash")
    assert availability.choose() == ("hash", "ONEWORD_MODEL names it")


def test_auto_with_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from oneword.engine import catalog

    monkeypatch.setattr(catalog, "find_spec", lambda name: None)
    with pytest.raises(ModelNotFound, match=r'pip install "oneword\[basic\]"'):
        availability.choose()


def test_the_page_of_models_is_the_tables() -> None:
    import runpy

    docs = Path(__file__).parents[2] / "docs"
    assert (docs / "models.md").read_text(encoding="utf-8") == runpy.run_path(str(docs / "models.py"))["page"]()
