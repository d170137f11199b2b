"""`oneword serve`: its options are the settings that `ServerConfig` declares, in the units of their help."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oneword import cli
from oneword.engine.config import EngineConfig
from oneword.query.server import app
from oneword.query.server.config import LogFormat, ServerConfig
from oneword.storage import StorageConfig

DEFAULT = ServerConfig(storage=StorageConfig(rebuilds=True))


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ([], {}),
        (["--max-body", "1", "--cache", "2"], {"max_body": 2**20, "cache_bytes": 2 * 2**20}),
        (["--job-root", "a", "--job-root", "s3://b/"], {"job_roots": ("a", "s3://b/")}),
        (["--allow-host", "photos.example", "--cors", "*"], {"hosts": ("photos.example",), "cors": ("*",)}),
        (["--api-keys", "k.toml", "--no-fetch"], {"keys_file": Path("k.toml"), "fetch": False}),
        (["--log-format", "text", "--port", "0"], {"log_format": LogFormat.TEXT, "port": 0}),
        (["--model", "hash", "--device", "cpu"], {"model": EngineConfig(model="hash", device="cpu")}),
    ],
)
def test_options_are_settings(options: list[str], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ServerConfig] = []
    monkeypatch.setattr(app, "serve", lambda config, _: seen.append(config))
    for name in ("ONEWORD_DAEMON", "ONEWORD_DB", "ONEWORD_HOST", "ONEWORD_PORT", "ONEWORD_KEYS"):
        monkeypatch.delenv(name, raising=False)
    assert cli.run(["serve", *options]) == 0
    assert seen == [replace(DEFAULT, **changes)]
