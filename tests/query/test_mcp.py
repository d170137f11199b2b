"""`oneword mcp` asked by the protocol's own client: in this process, over standard input and output, and over HTTP."""

import asyncio
import base64
import io
import json
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import CallToolResult, ImageContent

import oneword
from oneword.cli import run
from oneword.engine.roots import Roots
from oneword.mcp_server import Tools, server

READING = {"search", "look", "collections", "describe"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images and a text, with `hash`."""
    folder = tmp_path_factory.mktemp("mcp")
    (folder / "pictures").mkdir()
    for color in ("red", "blue"):
        PIL.Image.new("RGB", (64, 48), color).save(folder / "pictures" / f"{color}.png")
    (folder / "pictures" / "note.txt").write_text("a red bicycle leans on the wall")
    with oneword.connect(folder / "db") as db:
        db.collection("default", model="hash").index(folder / "pictures")
    return folder


def ask(db: Path | str, *calls: tuple[str, dict[str, Any]], write: bool = False, **how: Any) -> list[CallToolResult]:
    """The answers to some calls, in one session."""

    async def asking() -> list[CallToolResult]:
        async with Client(server(Tools(str(db), **how), write=write)) as client:
            return [await client.call_tool(name, given) for name, given in calls]

    return asyncio.run(asking())


def error_of(answer: CallToolResult) -> str:
    assert answer.is_error
    return str(answer.content[0].text)  # type: ignore[union-attr]


def test_search_and_look(store: Path) -> None:
    (found,) = ask(store / "db", ("search", {"text": "a red bicycle leans on the wall", "limit": 1}))
    assert not found.is_error
    assert [hit["text"] for hit in found.structured_content["hits"]] == ["a red bicycle leans on the wall"]
    shown, near = ask(
        store / "db",
        ("search", {"image": str(store / "pictures" / "red.png"), "limit": 1}),
        ("search", {"text": "x", "where": "modality = image", "thumbnails": False}),
    )
    hit = shown.structured_content["hits"][0]
    assert hit["metadata"]["name"] == "red.png"
    picture = shown.content[1]
    assert isinstance(picture, ImageContent)
    assert PIL.Image.open(io.BytesIO(base64.b64decode(picture.data))).size == (64, 48)
    assert json.loads(shown.content[0].text)["id"] == hit["id"]  # type: ignore[union-attr]
    assert len(near.content) == 2, "no images were asked for"
    looked, listed, described = ask(
        store / "db", ("look", {"item_id": hit["id"]}), ("collections", {}), ("describe", {})
    )
    assert looked.structured_content["uri"] == (store / "pictures" / "red.png").as_uri()
    assert isinstance(looked.content[1], ImageContent)
    assert [one["name"] for one in listed.structured_content["result"]] == ["default"]
    assert described.structured_content["by_modality"] == {"image": 2, "text": 1}
    assert "name" in described.structured_content["fields"]


def test_regions_and_feedback(store: Path) -> None:
    red = str(store / "pictures" / "red.png")
    part, everything = ask(
        store / "db",
        ("search", {"image": red, "crop": [0, 0, 0.5, 0.5], "limit": 1}),
        ("search", {"text": "a red bicycle"}),
    )
    hit = part.structured_content["hits"][0]
    assert hit["metadata"]["name"] == "red.png"
    (without,) = ask(store / "db", ("search", {"text": "a red bicycle", "unlike": [hit["id"]]}))
    ids = [[one["id"] for one in found.structured_content["hits"]] for found in (everything, without)]
    assert set(ids[0]) - set(ids[1]) == {hit["id"]}


def test_images_come_as_data_too(store: Path) -> None:
    data = base64.b64encode((store / "pictures" / "blue.png").read_bytes()).decode()
    found, like = ask(
        store / "db",
        ("search", {"image": f"data:image/png;base64,{data}", "limit": 1}),
        ("search", {"image": "data:image/png;base64,%%%"}),
    )
    assert found.structured_content["hits"][0]["metadata"]["name"] == "blue.png"
    assert "expected base64" in error_of(like)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("search", {"text": "a", "where": "name ="}, "name ="),
        ("search", {"text": "a", "collection": "nowhere"}, "nowhere"),
        ("search", {"text": "a", "limit": 1000}, "limit 1000: expected 0 to 50"),
        ("search", {}, "expected"),
        ("search", {"image": "/no/such.png"}, "/no/such.png"),
        ("search", {"text": "a", "crop": [0, 0, 1, 1]}, "no image to cut from"),
        ("search", {"image": "http://127.0.0.1/x.png"}, "private"),
        ("look", {"item_id": "nothing"}, "take an id from a hit"),
        ("describe", {"collection": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_error_of(store: Path, name: str, given: dict[str, Any], message: str) -> None:
    assert message in error_of(ask(store / "db", (name, given))[0])


def test_nothing_outside_the_roots_is_read(store: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    roots = Roots.of([str(tmp_path / "in")])
    outside = str(store / "pictures" / "red.png")
    calls = (("search", {"image": outside}), ("index", {"paths": [outside]}))
    for answer in ask(store / "db", *calls, write=True, roots=roots):
        assert "outside the roots" in error_of(answer)


def test_writing(store: Path, tmp_path: Path) -> None:
    with oneword.connect(tmp_path / "db") as db:
        db.collection("default", model="hash").upsert([{"id": "first", "text": "a first note"}])
    calls: list[tuple[str, dict[str, Any]]] = [
        ("add", {"text": "a note", "item_id": "n1", "metadata": {"year": 2026}}),
        ("index", {"paths": [str(store / "pictures")]}),
        ("search", {"text": "a note", "where": "year = 2026"}),
        ("delete", {"ids": ["n1"]}),
        ("add", {"text": " "}),
    ]
    added, indexed, found, deleted, blank = ask(tmp_path / "db", *calls, write=True)
    assert added.structured_content == {"id": "n1", "status": "added"}
    assert indexed.structured_content["indexed"] == 3
    assert [hit["id"] for hit in found.structured_content["hits"]] == ["n1"]
    assert deleted.structured_content == {"deleted": 1}
    assert error_of(blank)


def test_tools_that_write_are_offered_where_that_is_asked_for(store: Path) -> None:
    async def names(write: bool) -> dict[str, bool]:
        async with Client(server(Tools(str(store / "db")), write=write)) as client:
            tools = (await client.list_tools()).tools
            return {tool.name: bool(tool.annotations and tool.annotations.read_only_hint) for tool in tools}

    assert asyncio.run(names(False)) == dict.fromkeys(READING, True)
    assert asyncio.run(names(True)) == {
        **dict.fromkeys(READING, True),
        **dict.fromkeys(("index", "add", "delete"), False),
    }
    (refused,) = ask(store / "db", ("delete", {"ids": ["x"]}))
    assert refused.is_error


def test_over_standard_input_and_output(store: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "oneword", "mcp", "--db", str(store / "db")],
        env={"PYTHONPATH": str(Path(oneword.__file__).parents[1])},
    )

    async def asking() -> CallToolResult:
        async with Client(stdio_client(command)) as client:
            return await client.call_tool("search", {"text": "a red bicycle leans on the wall", "limit": 1})

    assert asyncio.run(asking()).structured_content["hits"][0]["modality"] == "text"


@pytest.fixture(scope="module")
def keyed(
    start: Callable[..., Any], store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str]]:
    """The addresses of the MCP server and of a service that wants keys, and a key that may read."""
    folder = tmp_path_factory.mktemp("keyed")
    made = subprocess.run(
        [sys.executable, "-m", "oneword", "keys", "create", "assistant", "-f", str(folder / "keys.toml")],
        capture_output=True,
        text=True,
        check=True,
    )
    service = start("--db", store / "db", "--api-keys", folder / "keys.toml")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "oneword",
        "mcp",
        "--server",
        service.url,
        "--http",
        f"127.0.0.1:{port}",
        "--write",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().strip()
        yield url, str(service.url), made.stdout.strip()
        process.terminate()


def over_http(url: str, key: str | None, asking: Callable[[Client], Awaitable[Any]]) -> Any:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async def connected() -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with (
            httpx2.AsyncClient(headers=headers, transport=httpx2.AsyncHTTPTransport(retries=20)) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return await asking(client)

    return asyncio.run(connected())


def test_over_http_each_client_has_its_own_key(keyed: tuple[str, str, str]) -> None:
    url, _, key = keyed
    found = over_http(url, key, lambda client: client.call_tool("search", {"text": "a red bicycle", "limit": 1}))
    assert len(found.structured_content["hits"]) == 1
    assert "key" in error_of(over_http(url, None, lambda client: client.call_tool("collections", {})))
    assert "key" in error_of(over_http(url, "ow_wrong", lambda client: client.call_tool("collections", {})))
    assert "scope 'write'" in error_of(over_http(url, key, lambda client: client.call_tool("delete", {"ids": ["x"]})))
    assert "outside the roots" in error_of(
        over_http(url, key, lambda client: client.call_tool("search", {"image": "/etc/hostname"}))
    )


def test_what_nobody_guards_is_not_offered_to_others(
    store: Path, keyed: tuple[str, str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["mcp", "--db", str(store / "db"), "--http", "0.0.0.0:1"]) == 1
    assert "a store has no keys" in capfd.readouterr().err
    assert run(["mcp", "--http", "nowhere:x"]) == 2
    assert "expected HOST:PORT" in capfd.readouterr().err
