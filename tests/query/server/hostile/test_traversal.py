"""Names that lead elsewhere, and originals that are not what was indexed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from oneword import engine
from oneword.storage import Item, Store

SECRET = "the secret of the house"

PATHS = """.. %2e%2e %2e%2e%2f ..%2f..%2fetc%2fpasswd ..%5c..%5cwindows ..\\..\\windows %2Fetc%2Fpasswd c%00 %00
c%00.lance c.lance c%2f c%2f..%2fc ../c .hidden -c _c C c%20 %20c c%0a c. c~ %63%00 c%e2%80%8b ｃ с ć %c0%ae%c0%ae %ff
con CON c:d c|d $c $(id) `id` ;id {c} c*""".split()


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any]) -> Any:
    return attack()


@pytest.mark.parametrize("name", PATHS)
def test_collections_have_plain_names(target: Any, name: str) -> None:
    for method, rest in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/items/cat"),
        ("GET", "/quarantine"),
        ("POST", "/verify"),
    ):
        target.check(target.call(method, f"/v1/collections/{name}{rest}"), (404, 405, 422))


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc/x", "a/b", "a\\b", "a\0", ".x", "ｃ", "с", "C", "a b", "a\n", "", "x" * 64]
)
def test_none_is_made_elsewhere(target: Any, name: str) -> None:
    before = sorted(target.folder.rglob("*.lance"))
    target.check(target.call("POST", "/v1/collections", json={"name": name}), 422)
    assert sorted(target.folder.rglob("*.lance")) == before


@pytest.mark.parametrize(
    "id_",
    [
        "..%2fcat",
        "%2e%2e/%2e%2e/c",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "cat%00",
        "cat%00.png",
        "cat%20",
        "CAT",
        "%00",
        "c%00at",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("rest", ["", "/original", "/thumbnail"])
def test_ids_are_no_paths(target: Any, id_: str, rest: str) -> None:
    target.check(target.call("GET", f"/v1/collections/c/items/{id_}{rest}"), (404, 422))


@pytest.mark.parametrize(
    "view", ["x.toml", "/etc/passwd", "../../x.toml", "/proc/self/environ", "\0", "https://example.org/x.toml"]
)
def test_views_are_no_files(target: Any, view: str) -> None:
    (target.folder / "x.toml").write_text(f'name = "{SECRET}"', encoding="utf-8")
    target.check(target.call("POST", "/v1/collections", json={"name": "d", "view": view}), 422, "bad_view")
    target.check(target.post("/search", {"text": "a", "view": view}), (409, 422))
    asked = {"model": "hash", "input": "a", "view": view}
    target.check(target.call("POST", "/v1/embeddings", json=asked), 400)


def test_a_view_file_that_is_there_is_not_read(target: Any) -> None:
    file = target.folder / "there.toml"
    file.write_text(f'name = "x"\nsecret = "{SECRET}"', encoding="utf-8")
    answer = target.post("/search", {"text": "a", "view": str(file)})
    assert answer.status_code in (409, 422)
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "model",
    [
        "/etc/passwd",
        "../..",
        ".",
        "file:///etc",
        "https://127.0.0.1/",
        "http://169.254.169.254/v1",
        "hash\0",
        "HASH",
        "someone/model",
        "hash/../basic",
    ],
)
def test_models_are_no_paths(target: Any, model: str) -> None:
    target.check(target.call("POST", "/v1/collections", json={"name": "d", "model": model}), 422, "bad_model")
    target.check(target.call("POST", "/v1/embeddings", json={"model": model, "input": "a"}), 404, "model_not_found")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "fіle:///etc/passwd",
        " file:///x",
        "\tfile:///x",
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.org/x",
    ],
)
def test_no_item_says_that_it_is_a_file_of_ours(target: Any, uri: str) -> None:
    target.check(target.post("/items", {"items": [{"id": "x", "text": "x", "uri": uri}]}), 422, "bad_item")


@pytest.mark.parametrize(
    "uri", ["s3://[", "s3://[::1/x", "gs://a]b/", "urn:[", "s3://x\0y/", "urn:\r\nSet-Cookie: a=b"]
)
def test_uris_that_are_none(target: Any, uri: str, drawn: Callable[..., str]) -> None:
    target.check(target.post("/items", {"items": [{"id": "odd", "image": drawn("blue"), "uri": uri}]}), 200)
    target.check(target.call("GET", "/v1/collections/c/items/odd/original"), 404, "no_original")
    target.check(target.call("GET", "/v1/collections/c/items/odd"), 200)


@pytest.mark.parametrize(
    "uri", ["http://example.org/\r\nSet-Cookie: a=b", "https://example.org/\0", "http://[", "http://ex\u2028x/é"]
)
def test_a_redirect_adds_no_headers(target: Any, uri: str, drawn: Callable[..., str]) -> None:
    target.check(target.post("/items", {"items": [{"id": "away", "image": drawn("blue"), "uri": uri}]}), 200)
    answer = target.call("GET", "/v1/collections/c/items/away/original", follow_redirects=False)
    assert answer.status_code in (302, 404)
    assert "set-cookie" not in answer.headers
    target.alive()


class Planted:
    """Items whose files lie in a folder, put into the store by someone who writes it directly."""

    def __init__(self, target: Any) -> None:
        self.target, self.collection = target, Store(str(target.folder / "db")).open("c")

    def add(self, id_: str, uri: str, pixels: PIL.Image.Image) -> None:
        vector = np.zeros(self.collection.dimension, np.float32)
        vector[0] = 1
        image = engine.Image(pixels=pixels)
        self.collection.upsert(
            [
                Item(
                    id=id_,
                    modality="image",
                    uri=uri,
                    content_hash=image.content_hash,
                    image_hash=image.content_hash,
                    width=8,
                    height=6,
                    vector=vector,
                )
            ]
        )

    def original(self, id_: str) -> Any:
        return self.target.call("GET", f"/v1/collections/c/items/{id_}/original")


@pytest.fixture(scope="module")
def planted(target: Any) -> Planted:
    return Planted(target)


PIXELS = PIL.Image.new("RGB", (8, 6), "red")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "file:///proc/self/environ",
        "file:///dev/zero",
        "file:///dev/stdin",
        "file:///",
        "file:///etc/%00",
        "file://example.org/etc/passwd",
        "file:///etc/passwd#x",
        "file:///proc/self/mem",
    ],
)
def test_no_other_file_is_an_original(planted: Planted, uri: str) -> None:
    planted.add("planted", uri, PIXELS)
    planted.target.check(planted.original("planted"), 404, ("no_original", "original_gone"))


def test_a_file_that_is_swapped_is_not_served(planted: Planted, tmp_path: Path) -> None:
    file, secret = tmp_path / "red.png", tmp_path / "secret.png"
    PIXELS.save(file)
    PIL.Image.new("RGB", (8, 6), "green").save(secret)
    planted.add("mine", file.as_uri(), PIXELS)
    assert planted.original("mine").content == file.read_bytes()
    swaps: dict[str, Callable[[], object]] = {
        "link": lambda: file.symlink_to(secret),
        "link to text": lambda: file.symlink_to("/etc/passwd"),
        "pipe": lambda: os.mkfifo(file),
        "folder": lambda: file.mkdir(),
        "none": lambda: None,
    }
    for swap in swaps.values():
        file.unlink()
        swap()
        planted.target.check(planted.original("mine"), 404, "original_gone")
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
            file.touch()
