"""/docs of a running service, in Chromium: Swagger UI shows the API, from this host alone."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from oneword.query.server.app import application
from oneword.query.server.config import ServerConfig
from oneword.query.server.routes.pages import POLICY


@pytest.mark.web
def test_the_api_is_shown_without_another_host(visit: Any, service: Any) -> None:
    visitor = visit(service, None)
    visitor.expect("MutationObserver")  # what watches the other page does not find its element here
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.page.goto(f"{service.url}/docs")
    visitor.page.get_by_role("heading", name="Oneword").wait_for()
    document = httpx.get(f"{service.url}/openapi.json").json()
    routes = sum(len(methods) for methods in document["paths"].values())
    visitor.until(f"document.querySelectorAll('.opblock').length === {routes}")
    search = visitor.page.locator(".opblock", has_text="/v1/collections/{collection}/search").first
    search.locator(".opblock-summary-control").click()
    search.get_by_role("button", name="Try it out").wait_for()
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith("data:")}
    assert hosts == {urlsplit(service.url).netloc}


def test_it_needs_no_key_and_keeps_the_policy(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text("", encoding="utf-8")
    app, _ = application(ServerConfig(db=str(tmp_path / "db"), keys_file=keys))
    visitor = TestClient(app, base_url="http://localhost")
    for path in ("/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/web/docs.js"):
        answer = visitor.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-security-policy"] == POLICY
    assert visitor.get("/docs/../v1/me").status_code == 401
    assert visitor.get("/docs/other").status_code == 404
