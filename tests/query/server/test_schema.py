"""Every route against its description: requests that schemathesis makes of /openapi.json, sent to a real service.

`ONEWORD_FUZZ=200 pytest tests/query/server/test_schema.py` tries harder; the default is for every day.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oneword.query.server import keys as key_file
from oneword.query.server.keys import make

EXAMPLES = int(os.environ.get("ONEWORD_FUZZ", "3"))
"""Random requests for each route, besides those of the examples and of each bound in the schema."""

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

SETTINGS = """
[parameters]
collection = "c"
timeout = 20  # 5e-324 is one, too, and told 504

[checks]
# What a filter, a cursor, a version, a picture or a name may be is more than JSON Schema can say.
positive_data_acceptance.enabled = false

[[operations]]
include-name = "DELETE /v1/collections/{collection}"
parameters = { collection = "none" }  # the one that the others need stays

[[operations]]
include-name = "POST /v1/jobs/{job_id}:cancel"
# Its path is one of a job, too, of which the name would end in ":cancel": there are none, but they can be asked for.
checks.unsupported_method.enabled = false
checks.allow_header_conformance.enabled = false
"""


@pytest.fixture
def service(start: Any, tmp_path: Path) -> tuple[Any, str]:
    key, text = make("fuzzer", "admin")
    key_file.write(tmp_path / "keys.toml", [key])
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    options = ("--db", tmp_path / "db", "--model", "hash", "--api-keys", tmp_path / "keys.toml", "--job-root", jobs)
    service = start(*options, "--no-fetch")
    service.http.headers["Authorization"] = f"Bearer {text}"
    assert service.post("/collections", {"name": "c"}).status_code == 201
    items = [{"id": "a", "text": "a cat", "metadata": {"year": 2020}}, {"id": "p", "image": DOT}]
    assert service.post("/collections/c/items", {"items": items}).status_code == 200
    return service, text


def test_every_answer_is_as_described(service: tuple[Any, str], tmp_path: Path) -> None:
    running, key = service
    (tmp_path / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "settings.toml"), "run"]
    command += [f"{running.url}/openapi.json", "--header", f"Authorization: Bearer {key}"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--generation-deterministic"]
    command += ["--continue-on-failure", "--request-timeout", "30", "--no-color", "--warnings", "off"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1800)
    assert told.returncode == 0, told.stdout[:20_000] + told.stdout[-2_000:] + told.stderr[-2_000:]
    assert "Tested: " in told.stdout
    assert '"exception"' not in "\n".join(running.log)
    assert running.post("/collections/c/search", {"text": "a cat"}).status_code == 200
