"""The web page (the files of `query/web`) and /docs, where Swagger UI shows the REST API. All are read once: no path of
a request is ever looked up on disk, and no other host is asked."""

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from oneword.query.server.response import is_held

router = APIRouter(include_in_schema=False)

METHODS = ["GET", "HEAD"]
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")
"""Files of the package `fastapi-offline`."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy of the pages: only their own scripts, styles and requests; nothing inline."""


class Page:
    """A file to send, also compressed with gzip; its ETag is one of its bytes."""

    def __init__(self, name: str, body: bytes) -> None:
        """name: its ending is one of `MEDIA_TYPES`."""
        self.body, self.packed = body, gzip.compress(body, mtime=0)
        self.media_type = MEDIA_TYPES[name.rpartition(".")[2]]
        self.tag = hashlib.sha256(body).hexdigest()[:32]

    def response(self, request: Request) -> Response:
        """The response: compressed if the client accepts gzip; 304 if the client has it."""
        accepted = request.headers.get("accept-encoding", "").lower().split(",")
        packs = any(one.split(";")[0].strip() == "gzip" for one in accepted)
        tag = f'"{self.tag}-gzip"' if packs else f'"{self.tag}"'
        headers = {
            "ETag": tag,
            "Cache-Control": "no-cache",  # cached, but revalidated: a new version of the service shows at once
            "Content-Security-Policy": POLICY,
            "Vary": "Accept-Encoding",
        }
        if is_held(request, tag):
            return Response(status_code=304, headers=headers)
        if packs:
            headers["Content-Encoding"] = "gzip"
        return Response(self.packed if packs else self.body, headers=headers, media_type=self.media_type)


@cache
def pages() -> dict[str, Page]:
    """The files by name."""
    found = files("oneword.query").joinpath("web").iterdir()
    return {one.name: Page(one.name, one.read_bytes()) for one in found if one.name.rpartition(".")[2] in MEDIA_TYPES}


@cache
def _swagger(name: str) -> Page:
    return Page(name, files("fastapi_offline").joinpath("static", name).read_bytes())


@router.api_route("/", methods=METHODS)
async def index(request: Request) -> Response:
    """The web page."""
    return pages()["index.html"].response(request)


@router.api_route("/web/{name}", methods=METHODS)
async def file(request: Request, name: str) -> Response:
    """A file of the web page."""
    if name not in pages():
        raise HTTPException(404)
    return pages()[name].response(request)


@router.api_route("/docs", methods=METHODS)
async def reference(request: Request) -> Response:
    """The page of the REST API."""
    return pages()["docs.html"].response(request)


@router.api_route("/docs/{name}", methods=METHODS)
def swagger(request: Request, name: str) -> Response:  # in a thread: compressing takes tens of milliseconds
    """A file of Swagger UI."""
    if name not in SWAGGER:
        raise HTTPException(404)
    return _swagger(name).response(request)
