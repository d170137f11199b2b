import pytest

from oneword.engine import EngineConfig, load, models
from oneword.engine.errors import DeviceUnavailable, ModelError, ModelNotFound


def test_cards_say_what_is_missing() -> None:
    e5v, basic, mini, hash_ = models.cards()
    assert (e5v.name, e5v.dimension) == ("royokong/e5-v", 4096)
    assert e5v.missing, "no test machine has E5-V's weights and a GPU for them"
    assert basic.missing == ()
    assert hash_.missing == ()
    assert mini.missing == ()
    assert 1e6 < mini.size < 15e6


def test_auto_prefers_e5v_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    name, reason = models.choose()
    assert name == "basic"
    assert "royokong/e5-v cannot be used here" in reason
    monkeypatch.setattr(models, "_missing_for_e5v", lambda: ())
    assert models.choose()[0] == "royokong/e5-v"


def test_auto_with_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(ModelNotFound, match=r'pip install "oneword\[basic\]"'):
        models.choose()


@pytest.mark.parametrize("name", ["bsaic", "./absent", "/absent/folder", "a/b/c", "~/absent"])
def test_unknown_models_list_the_known(name: str) -> None:
    with pytest.raises(ModelNotFound, match="expected auto, royokong/e5-v, basic, mini, hash"):
        load(name)


def test_options_that_make_no_sense() -> None:
    with pytest.raises(DeviceUnavailable, match="cannot be quantised"):
        load(EngineConfig(model="hash", quantise="int8"))
    with pytest.raises(ModelError, match="batch size 0"):
        load(EngineConfig(model="hash", batch_size=0))


def test_a_collections_model_wins_over_auto_only() -> None:
    assert EngineConfig().for_space("hash").model == "hash"
    assert EngineConfig(model="basic").for_space("hash").model == "basic"
