"""The web page: the files of `query/web`, read once; no path is ever looked up on disk."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from oneword.query.server.response import is_held

router = APIRouter(include_in_schema=False)

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy of the page: only its own scripts, styles and requests; nothing inline."""

INDEX = "index.html"


@dataclass(frozen=True, kw_only=True)
class Page:
    """A file to send.

    Args:
        body: its bytes.
        packed: compressed with gzip.
        media_type: as the header has it.
        tag: its ETag, a strong one of the bytes.
    """

    body: bytes
    packed: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, name: str, body: bytes) -> "Page":
        """A file of this name, which ends as one of `MEDIA_TYPES` does."""
        return cls(
            body=body,
            packed=gzip.compress(body, mtime=0),
            media_type=MEDIA_TYPES[_ending(name)],
            tag=hashlib.sha256(body).hexdigest()[:32],
        )

    def response(self, request: Request) -> Response:
        """The response: compressed if the client accepts gzip; 304 if the client has it."""
        packs = any(
            one.split(";")[0].strip() == "gzip" for one in request.headers.get("accept-encoding", "").lower().split(",")
        )
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
    found = sorted(files("oneword.query").joinpath("web").iterdir(), key=lambda one: one.name)
    return {
        one.name: Page.of(one.name, one.read_bytes())
        for one in found
        if one.is_file() and _ending(one.name) in MEDIA_TYPES
    }


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    """The page."""
    return pages()[INDEX].response(request)


@router.api_route("/web/{name}", methods=["GET", "HEAD"])
async def file(request: Request, name: str) -> Response:
    """A file of the page."""
    page = pages().get(name)
    if page is None:
        raise HTTPException(404, f"the page has no file {name[:60]!r}")
    return page.response(request)


def _ending(name: str) -> str:
    return f".{name.rpartition('.')[2]}"
