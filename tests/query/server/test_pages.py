"""The files of the web demo: those, as they are, and nothing else."""

import gzip
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from oneword import query
from oneword.query.server.routes.pages import POLICY, pages, router

WEB = Path(query.__file__).parent / "web"


@pytest.fixture
def url(listening: Any) -> str:
    app = FastAPI()
    app.include_router(router)
    return f"http://127.0.0.1:{listening(app)}"


def test_every_file_with_its_media_type(url: str) -> None:
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    names = {path.name for path in WEB.iterdir()}
    assert set(pages()) == names
    with httpx.Client() as http:
        for name in names:
            answer = http.get(f"{url}/web/{name}", headers={"accept-encoding": "identity"})
            assert answer.content == (WEB / name).read_bytes()
            assert answer.headers["content-type"].split(";")[0] == kinds[Path(name).suffix]
            assert answer.headers["content-security-policy"] == POLICY
        assert http.get(f"{url}/").content == (WEB / "index.html").read_bytes()
        head = http.head(f"{url}/")
        assert (head.status_code, head.content) == (200, b"")


def test_kept_and_asked_for_again(url: str) -> None:
    first = httpx.get(f"{url}/web/app.js", headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.content == (WEB / "app.js").read_bytes()
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = httpx.get(f"{url}/web/app.js", headers={"accept-encoding": "gzip", "if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    plain = httpx.get(f"{url}/web/app.js", headers={"accept-encoding": "identity", "if-none-match": tag})
    assert plain.status_code == 200, "the other form has a tag of its own"
    assert "content-encoding" not in plain.headers
    assert len(pages()["app.js"].packed) < len(pages()["app.js"].body)
    assert gzip.decompress(pages()["app.js"].packed) == pages()["app.js"].body


@pytest.mark.parametrize(
    "path",
    [
        "/web/",
        "/web/nothing.js",
        "/web/..%2fpy.typed",
        "/web/%2e%2e/server/app.py",
        "/web/../../query/py.typed",
        "/web//etc/passwd",
    ],
)
def test_nothing_else(url: str, path: str) -> None:
    assert httpx.get(url + path).status_code == 404


def test_the_page_names_only_what_is_there() -> None:
    """Files that pages and modules refer to; and nothing of other hosts."""
    import re

    for path in WEB.iterdir():
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'(?:src|href)="/web/([^"]+)"|from "\./([^"]+)"', text):
            assert (WEB / "".join(name)).is_file(), (path.name, name)
        hosts = set(re.findall(r"https?://([\w.-]+)", text)) - {"www.w3.org"}
        assert not hosts, (path.name, hosts)
        assert "innerHTML" not in text
