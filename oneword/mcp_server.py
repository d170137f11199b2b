"""Collections as tools of the Model Context Protocol: an assistant searches, looks at hits and, if allowed, writes.

Each tool is a method of `Tools`; the assistant reads its docstring.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent, ToolAnnotations

import oneword
from oneword.database import Collection, Database
from oneword.engine.roots import OUTSIDE, Roots
from oneword.query.result import media_type, plain

MOST = 50
"""Hits of one answer, which an assistant has to read whole."""

CONNECTIONS = 64
"""Keys whose connections are kept: one for each assistant of a team."""

INSTRUCTIONS = (
    "Finds images and texts by meaning. Call `collections` first if you do not know a collection's name, and "
    "`describe` for the fields that `where` may use. `search` takes words, an image, or an image with an edit that "
    "says how hits should differ from it; refine an answer with `like`, `unlike` and `without`. `look` shows one item."
)


class Tools:
    """The tools over one database.

    Args:
        db: a folder, an object store's URI or a service's URL.
        key: for a service; None: each request's own bearer token is used.
        roots: where images and paths to index may lie; None: anywhere that this user may read.
    """

    def __init__(self, db: str, *, key: str | None = None, roots: Roots | None = None) -> None:
        self._db, self._key, self._roots = db, key, roots
        self._connected: Callable[[str | None], Database] = lru_cache(CONNECTIONS)(
            lambda key: oneword.connect(db, key=key)
        )

    def search(
        self,
        ctx: Context,
        text: str = "",
        image: str = "",
        edit: str = "",
        crop: list[float] | None = None,
        like: list[str] | None = None,
        unlike: list[str] | None = None,
        without: list[str] | None = None,
        keywords: str = "",
        where: str = "",
        collection: str = "default",
        limit: int = 8,
        offset: int = 0,
        thumbnails: bool = True,
    ) -> CallToolResult:
        """Find images and texts. Returns hits, best first, with small versions of the images.

        text: words to search by. image: a file's path, an http(s) URL or a data URI to search by. edit: with an image,
        how hits should differ from it ("the same in red"). crop: the region of the image to search by: left, top, width
        and height in shares of it, 0 to 1. like, unlike: ids of items that hits should resemble, or not. without: texts
        that hits should be unlike. keywords: words of which a hit's text has at least one. where: a filter, such as
        "year >= 2020 and format = 'png'"; `describe` names the fields. limit: number of hits, at most 50. offset: hits
        to skip, for the next page. thumbnails: whether to return the images.
        """
        if not 0 <= limit <= MOST:
            raise ToolError(f"limit {limit}: expected 0 to {MOST}; ask for the next page with offset")
        parts: dict[str, Any] = {"like": like or (), "unlike": unlike or (), "without": without or ()}
        parts |= {"limit": limit, "offset": offset, "crop": crop}
        parts |= {name: value for name, value in (("edit", edit), ("keywords", keywords), ("where", where)) if value}
        if image:
            parts["image"] = self._image(image)
        shown = ("payload", "thumbnail") if thumbnails else ("payload",)
        result = _answer(lambda: self._of(ctx, collection).search(text or None, **parts, include=shown))
        hits = [replace(hit, thumbnail=None).as_dict() for hit in result]
        content: list[ContentBlock] = []
        for hit, document in zip(result, hits, strict=True):
            content += [TextContent(text=json.dumps(document, ensure_ascii=False)), *_image_content(hit.thumbnail)]
        if not hits:
            content.append(TextContent(text="nothing found"))
        return CallToolResult(content=content, structured_content={"hits": hits, "total": result.total})

    def look(self, ctx: Context, item_id: str, collection: str = "default") -> CallToolResult:
        """Look at one item: what is known of it, and its image, small."""
        found = _answer(lambda: self._of(ctx, collection).get(item_id, include=("payload", "thumbnail")))
        if item_id not in found:
            raise ToolError(f"there is no item {item_id!r} in {collection!r}; take an id from a hit of `search`")
        item = found[item_id]
        facts = {"id": item_id, "modality": item.modality, "uri": item.uri, "text": item.text}
        facts["metadata"] = plain(item.metadata)
        return CallToolResult(
            content=[TextContent(text=json.dumps(facts, ensure_ascii=False)), *_image_content(item.thumbnail)],
            structured_content=facts,
        )

    def collections(self, ctx: Context) -> list[dict[str, Any]]:
        """List the collections: names, number of items, models."""
        return [asdict(one) for one in _answer(self._database(ctx).collections)]

    def describe(self, ctx: Context, collection: str = "default") -> dict[str, Any]:
        """Describe a collection: its size, its model, and the fields that `where` may use, with their kinds."""
        info = _answer(self._of(ctx, collection).info)
        return {
            "name": info.name,
            "items": info.items,
            "by_modality": info.by_modality,
            "model": info.model,
            "fields": info.metadata_keys,
            "updated": info.updated.isoformat(),
            "quarantined": info.quarantined,
        }

    def index(self, ctx: Context, paths: list[str], collection: str = "default") -> dict[str, Any]:
        """Index files and folders into a collection; again, and only what is new or changed is read."""
        for path in paths:
            self._check(path)
        return asdict(_answer(lambda: self._of(ctx, collection).index(*paths)))

    def add(
        self,
        ctx: Context,
        text: str,
        item_id: str = "",
        metadata: dict[str, str | int | float | bool] | None = None,
        collection: str = "default",
    ) -> dict[str, Any]:
        """Store a text in a collection. item_id: its id; a text of that id is replaced."""
        given = {"text": text, "metadata": metadata or {}} | ({"id": item_id} if item_id else {})
        outcome = _answer(lambda: self._of(ctx, collection).upsert([given])).items[0]
        if outcome.error is not None:
            raise ToolError(str(outcome.error))
        return {"id": outcome.id, "status": outcome.status}

    def delete(self, ctx: Context, ids: list[str], collection: str = "default") -> dict[str, int]:
        """Delete items by id. The files that they were made from stay."""
        return {"deleted": _answer(lambda: self._of(ctx, collection).delete(ids))}

    def _database(self, ctx: Context) -> Database:
        bearer = (ctx.headers or {}).get("authorization", "").removeprefix("Bearer ").strip()
        connected: Database = _answer(lambda: self._connected(self._key or bearer or None))
        return connected

    def _of(self, ctx: Context, collection: str) -> Collection:
        return self._database(ctx).collection(collection)

    def _image(self, given: str) -> Any:
        """The bytes of an image. Raises ToolError."""
        if given.startswith("data:"):
            try:
                return base64.b64decode(given.partition("base64,")[2], validate=True)
            except binascii.Error as error:
                raise ToolError(f"image: a data URI that cannot be read ({error}); expected base64") from None
        if given.startswith(("http://", "https://")):
            from oneword.engine.dependencies import require

            require("httpcore", what="images by URL", extra="remote")
            from oneword.engine.fetching import Fetcher

            return _answer(lambda: Fetcher().fetch(given).data)
        self._check(given)
        return Path(given).expanduser()

    def _check(self, path: str) -> None:
        if self._roots is not None and not self._roots.allow_given(str(Path(path).expanduser())):
            raise ToolError(f"{path} {OUTSIDE}")


def _answer(ask: Callable[[], Any]) -> Any:
    """Returns what a call returns. Raises ToolError, whose message the assistant reads."""
    try:
        return ask()
    except (oneword.Error, OSError) as error:
        raise ToolError(str(error)) from error


def _image_content(thumbnail: bytes | None) -> list[ImageContent]:
    if thumbnail is None:
        return []
    return [ImageContent(data=base64.b64encode(thumbnail).decode(), mime_type=media_type(thumbnail))]


def server(tools: Tools, *, write: bool = False) -> MCPServer:
    """The server of these tools. write: with those that index, add and delete."""
    made = MCPServer("oneword", version=version("oneword"), instructions=INSTRUCTIONS, log_level="WARNING")
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    adding = ToolAnnotations(destructive_hint=False, idempotent_hint=True)
    deleting = ToolAnnotations(destructive_hint=True, idempotent_hint=True)
    offered: list[tuple[Callable[..., Any], ToolAnnotations]] = [
        *((tool, reading) for tool in (tools.search, tools.look, tools.collections, tools.describe)),
        *(((tools.index, adding), (tools.add, adding), (tools.delete, deleting)) if write else ()),
    ]
    for tool, annotations in offered:
        made.add_tool(tool, annotations=annotations)
    return made
