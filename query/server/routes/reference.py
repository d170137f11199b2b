"""/docs: the REST API as a page. Swagger UI comes from the package `fastapi-offline`; no other host is asked."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from oneword.query.server.routes.pages import Page, pages

router = APIRouter(include_in_schema=False)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """Returns the page, under the same Content-Security-Policy as the web page."""
    return pages()["docs.html"].response(request)


@router.api_route("/docs/swagger-ui.css", methods=["GET", "HEAD"])
def style(request: Request) -> Response:  # in a thread, as the next one: compressing takes tens of milliseconds
    """Returns Swagger UI's style sheet."""
    return _asset("swagger-ui.css").response(request)


@router.api_route("/docs/swagger-ui-bundle.js", methods=["GET", "HEAD"])
def script(request: Request) -> Response:
    """Returns Swagger UI itself."""
    return _asset("swagger-ui-bundle.js").response(request)


@cache
def _asset(name: str) -> Page:
    return Page.of(name, files("fastapi_offline").joinpath("static", name).read_bytes())
