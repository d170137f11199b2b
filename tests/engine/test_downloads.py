"""Models of the hub: downloaded, resumed, found again without a network, and chosen by `auto`."""

import hashlib
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oneword.storage import Store
from tests import forkserver
from tests.engine.dual.checkpoints import siglip2

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "google/siglip2-base-patch16-224"


class Hub(ThreadingHTTPServer):
    """As much of a hub as a download asks for, with one model in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder, self.broken, self.asked = folder, "", list[str]()
        self.gated, self.tokens = False, set[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        self.server.tokens.add(self.headers.get("Authorization", ""))
        if self.server.gated and path != "/":
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if path.startswith(f"/api/models/{NAME}/revision/") or path == f"/api/models/{NAME}":
            files = [{"rfilename": file.name} for file in self.server.folder.iterdir()]
            return self.send(json.dumps({"id": NAME, "sha": COMMIT, "siblings": files}).encode(), {}, body=body)
        if path == "/":
            return self.send(b"", {}, body=body)
        if path == f"/api/models/{NAME}/tree/{COMMIT}":
            files = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                for file in self.server.folder.iterdir()
            ]
            return self.send(json.dumps(files).encode(), {}, body=body)
        if path.startswith(f"/{NAME}/resolve/"):
            data = (self.server.folder / path.rpartition("/")[2]).read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            if body and path.endswith(self.server.broken or "\0"):
                return self.send_error(500)
            return self.send(data, headers, body=body)
        return self.send_error(404)

    def send(self, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(data)), "Accept-Ranges": "bytes", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(siglip2(tmp_path / "hub")) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def oneword(tmp_path: Path) -> Any:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """With one argument, that is a program; with several, they are those of `oneword`."""
        command = ["-c"] if len(arguments) == 1 else ["-m", "oneword"]
        environment = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1", **environment}
        return forkserver.run([*command, *arguments], timeout=120, cwd=tmp_path, env=os.environ | environment)

    return run


def test_pulled_once_found_without_a_network_and_chosen(oneword: Any, hub: Hub, tmp_path: Path) -> None:
    done = oneword("models", "pull", "siglip2", "--json", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["revision"] == COMMIT
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "note.txt").write_text("a red bicycle")
    asked = len(hub.asked)
    code = """
import sys
from oneword.cli import run
sys.exit(run(["index", "texts"]) or run(["search", "a red bicycle", "--json"]))
"""
    done = oneword(code, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["hits"][0]["uri"].endswith("note.txt")
    assert Store(str(tmp_path / ".oneword")).open("default").space["revision"] == COMMIT
    assert len(hub.asked) == asked


def test_at_a_terminal_a_better_model_is_offered_once(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a red bicycle")

    def index(url: str, answer: str) -> str:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1", "HF_ENDPOINT": url}
        command = ["-m", "oneword", "index", "note.txt"]
        streams: dict[str, Any] = {"stdin": theirs, "stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        with forkserver.start(command, **streams, cwd=tmp_path, env=environment) as process:
            os.write(ours, f"{answer}\n".encode())
            _, said = process.communicate(timeout=120)
        os.close(ours)
        os.close(theirs)
        assert process.returncode == 0, said
        return said

    assert "Download a better model" not in index("http://127.0.0.1:9", "y")  # where no hub answers
    for answer, model in (("n", "basic"), ("y", NAME)):
        shutil.rmtree(tmp_path / ".oneword")
        assert f"({NAME}, 1.5 GB, Apache-2.0)? [y/N]" in index(hub.url, answer)
        assert Store(str(tmp_path / ".oneword")).open("default").space["model"] == model
        if answer == "n":
            assert "Download a better model" not in index(hub.url, "y")  # the collection has its model now


def test_an_interrupted_download_goes_on(oneword: Any, hub: Hub) -> None:
    hub.broken = "model.safetensors"
    done = oneword("models", "pull", "siglip2", HF_ENDPOINT=hub.url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    hub.broken = ""
    hub.asked.clear()
    assert oneword("models", "pull", "siglip2", HF_ENDPOINT=hub.url).returncode == 0
    assert f"GET /{NAME}/resolve/{COMMIT}/tokenizer.json" not in hub.asked  # complete before


def test_a_hub_that_does_not_have_it(oneword: Any, hub: Hub) -> None:
    done = oneword("models", "pull", "nobody/nothing", HF_ENDPOINT=hub.url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"the hub at {hub.url} has no such model, or a private one: check its name, or set HF_TOKEN" in done.stderr
    hub.gated = True
    done = oneword("models", "pull", "siglip2", HF_ENDPOINT=hub.url)
    assert f"its license is not accepted: accept it at {hub.url}/{NAME}, and set HF_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_private_one_is_asked_for_with_the_token(oneword: Any, hub: Hub) -> None:
    assert oneword("models", "pull", "siglip2", HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret").returncode == 0
    assert "Bearer hf_secret" in hub.tokens


NO_HUB = {
    "no name": ({"HF_ENDPOINT": "https://hub.invalid"}, r"the hub at https://hub\.invalid cannot be reached"),
    "nobody": ({"HF_ENDPOINT": "http://127.0.0.1:9"}, r"cannot be reached \(.*refused\)"),
    "silence": ({}, r"cannot be reached \(no answer within 3 s\)"),
    "no address": ({"HF_ENDPOINT": "nonsense"}, r"the hub at nonsense cannot be reached"),
    "a dead proxy": (
        {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""},
        r"cannot be reached through the proxy http://127\.0\.0\.1:9",
    ),
    "offline": ({"HF_HUB_OFFLINE": "1"}, r"HF_HUB_OFFLINE is set, so that no hub is asked: unset it"),
}


@pytest.mark.parametrize("name", NO_HUB)
def test_without_a_network_one_line_says_so(oneword: Any, name: str) -> None:
    environment, message = NO_HUB[name]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        environment = {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", **environment}
        done = oneword("models", "pull", "siglip2", **environment)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert done.stderr.endswith("; then run: oneword models pull google/siglip2-base-patch16-224\n")


def test_what_is_no_download(oneword: Any) -> None:
    for name, message in (("basic", "there is nothing to download"), ("./folder", "expected an id such as")):
        done = oneword("models", "pull", name)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr
