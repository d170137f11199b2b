"""`oneword search --server`, in this process, against a service that speaks the contract."""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import oneword.query.client
from oneword import cli
from oneword.query.client.answers import result_of


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command line and checks its exit code; gives stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: str | Path, code: int = 0) -> Any:
        capfd.readouterr()
        assert cli.run([str(one) for one in arguments]) == code
        return capfd.readouterr()

    return command


def test_a_server_is_asked_with_the_same_options(run: Any, service: Any, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    PIL.Image.new("RGB", (2, 2), "red").save(picture)
    asked = [
        "a cat",
        "--image",
        picture,
        "--edit",
        "at night",
        "--like",
        "x",
        "--not",
        "dog",
        "-k",
        "3",
        "--offset",
        "1",
    ]
    asked += ["--where", "year >= 2020", "--modality", "image", "--hybrid", "--fusion", "weighted", "--version", "7"]
    asked += ["--explain", "2", "--diversity", "0.5", "--group-by", "folder", "--collection", "photos"]
    printed = json.loads(run("search", *asked, "--min-score", "0.1", "--json", "--server", service.url).out)
    (request,) = service.asked
    assert request.path == "/v1/collections/photos/search"
    uri = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    assert request.body == {
        "parts": [
            {"text": "a cat"},
            {"composed": {"image": uri, "edit": "at night"}},
            {"like": "x", "weight": 0.75},
            {"text": "dog", "weight": -0.5},
        ],
        "filter": {"field": "year", "range": {"gte": 2020}},
        "modality": "image",
        "limit": 3,
        "offset": 1,
        "min_score": 0.1,
        "explain": 2,
        "diversity": 0.5,
        "group_by": "folder",
        "version": 7,
        "hybrid": {"keywords": "a cat", "fusion": "weighted", "keyword_weight": 0.5},
    }
    assert printed == result_of(service_result(service)).as_dict() | {"collection": "photos"}


def service_result(service: Any) -> Any:
    request = service.asked[-1]
    return json.loads(service.answer(request).body)


def test_hits_are_shown_as_those_found_here_are(run: Any, service: Any) -> None:
    out = run("search", "cat", "--server", service.url).out
    assert "Words of the query: cat 0.50" in out
    assert "the cat sleeps" in out
    assert "1 of 1 items in 'default', model hash; encode 2 ms, search 0 ms" in out


def test_server_and_key_come_from_the_environment(run: Any, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEWORD_SERVER", service.url)
    monkeypatch.setenv("ONEWORD_API_KEY", "secret")
    monkeypatch.setenv("ONEWORD_DB", "elsewhere")  # of no matter to a server, and not given by hand
    run("search", "cat", "--json")
    assert service.asked[0].headers["authorization"] == "Bearer secret"
    monkeypatch.setenv("ONEWORD_API_KEY", "")
    run("search", "cat", "--json")
    assert "authorization" not in service.asked[1].headers


@pytest.mark.parametrize("key", ["", "secret"])
def test_who_is_not_let_in_is_told_where_keys_go(
    run: Any, service: Any, problem_of: Any, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("ONEWORD_API_KEY", key)
    service.scripted.append(problem_of(401, "key_unknown", "no one has this key"))
    told = run("search", "cat", "--server", service.url, code=1)
    assert "ONEWORD_API_KEY" in told.out + told.err


def test_a_picture_may_be_a_url_for_the_server_to_fetch(run: Any, service: Any) -> None:
    run("search", "--image", "https://example.org/cat.jpg", "--server", service.url)
    assert service.asked[0].body == {"parts": [{"image": "https://example.org/cat.jpg"}]}


@pytest.mark.parametrize("option", ["--db", "--model", "--revision", "--device", "--dtype"])
def test_options_of_searches_here_are_refused(run: Any, service: Any, option: str) -> None:
    done = run("search", "cat", option, "auto", "--server", service.url, code=2)
    assert f"{option} auto is not for the server at {service.url}" in done.err
    assert service.asked == []


def test_a_servers_refusal_is_the_commands(run: Any, service: Any, problem_of: Any) -> None:
    service.scripted.append(problem_of(404, "collection_not_found", "collection 'x' does not exist", remedy="Look."))
    done = run("search", "cat", "--collection", "x", "--json", "--server", service.url, code=1)
    assert json.loads(done.out)["error"] == {"type": "NotThere", "message": "collection 'x' does not exist. Look."}
    assert "URL" in run("search", "cat", "--server", "nonsense", code=1).err


def test_without_httpx_it_is_said_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(vars(oneword.query.client), "Client", raising=False)  # from earlier tests
    assert 'pip install "oneword[client]"' in run("search", "cat", "--server", "http://localhost:1", code=1).err
