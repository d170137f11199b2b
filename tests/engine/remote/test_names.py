"""Names of remote models."""

import pytest

from oneword.engine import EngineConfig, load
from oneword.engine.errors import DeviceUnavailable, ModelNotFound
from oneword.engine.remote.config import RemoteConfig
from oneword.engine.remote.name import is_remote, read


@pytest.mark.parametrize(
    ("name", "base", "model", "revision"),
    [
        ("http://gpu:8000/v1", "http://gpu:8000/v1", None, None),
        ("https://gpu", "https://gpu/v1", None, None),
        ("https://GPU/some/path/", "https://gpu/some/path", None, None),
        ("https://gpu/v1#royokong/e5-v", "https://gpu/v1", "royokong/e5-v", None),
        ("https://gpu/v1#royokong/e5-v@0c1f22", "https://gpu/v1", "royokong/e5-v", "0c1f22"),
        ("https://gpu/v1#@main", "https://gpu/v1", None, "main"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", None, None),
    ],
)
def test_reads(name: str, base: str, model: str | None, revision: str | None) -> None:
    assert is_remote(name)
    found = read(name)
    assert (found.base, found.model, found.revision) == (base, model, revision)
    assert read(str(found)) == found


@pytest.mark.parametrize(
    "name",
    [
        *("http://u:secret@gpu/v1", "http://secret@gpu/v1", "http://gpu/v1?key=secret", "http://", "http:///v1"),
        *("http://[x", "http://gpu:secret/v1", "http://gpu:99999/", "http://gpu/ v1", "http://gpu/v1\n"),
        "http://gpu\\@x/v1",
    ],
)
def test_refuses(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"expected http\(s\)://HOST") as caught:
        load(name)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["royokong/e5-v", "basic", "./http", "httpx", ""])
def test_others_are_local(name: str) -> None:
    assert not is_remote(name)


@pytest.mark.parametrize("options", [{"quantize": "nf4"}, {"device": "cuda"}, {"dtype": "fp16"}])
def test_another_machine_has_its_own_device(options: dict[str, str]) -> None:
    with pytest.raises(DeviceUnavailable, match="drop --device"):
        load(EngineConfig(model="http://127.0.0.1:9/v1", **options))


def test_the_key_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEWORD_REMOTE_KEY", "sesame")
    config = RemoteConfig.of_environment(8)
    assert (config.key, config.batch_size) == ("sesame", 8)
    assert "sesame" not in repr(config)
    monkeypatch.setenv("ONEWORD_REMOTE_KEY", "ses\name")
    with pytest.raises(ValueError, match="ONEWORD_REMOTE_KEY") as caught:
        RemoteConfig.of_environment()
    assert "name" not in str(caught.value)
