"""The side of the command: imports neither a model nor the table library nor httpx, so that it starts at once."""

import base64
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from oneword.engine.words import Word
from oneword.errors import Error
from oneword.query.query import Composed, Image, Interleaved, Part, Query
from oneword.query.resident.address import Address
from oneword.query.result import Hit, Reranked, SearchResult
from oneword.query.wire import to_json

OneImage = TypeVar("OneImage", bound=Image | Composed)

TIMEOUT = 60.0
"""Seconds to wait for an answer: the process may still be loading the model."""


class _UnixConnection(HTTPConnection):
    def __init__(self, address: Address, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(address.socket)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(address: Address, query: Query, collection: str, *, timeout: float = TIMEOUT) -> SearchResult | None:
    """The answer of the process at an address; None if there is none, or it is not an answer.

    Errors are not taken from it either: the command finds out by itself, and says so in its own words.
    """
    headers = {"Content-Type": "application/json"}
    try:
        if address.unix:
            connection: HTTPConnection = _UnixConnection(address, timeout)
        elif address.info and address.is_held():  # else the port may be anybody's by now
            connection = HTTPConnection("127.0.0.1", address.info["port"], timeout=timeout)
            headers["Authorization"] = f"Bearer {address.info['key']}"
        else:
            return None
        try:
            connection.connect()
            body = json.dumps(to_json(replace(query, parts=tuple(_files(query.parts)))))
            connection.request("POST", f"/v1/collections/{quote(collection, safe='')}/search", body, headers)
            answer = connection.getresponse()
            return _result(json.load(answer)) if answer.status == 200 else None
        finally:
            connection.close()
    except (Error, HTTPException, OSError, LookupError, TypeError, ValueError):
        return None


def _files(parts: Iterable[Part]) -> Iterable[Part]:
    """The parts with their images as files: on a command line, a URL is not an image."""
    for part in parts:
        if isinstance(part, Image | Composed):
            yield _file(part)
        elif isinstance(part, Interleaved):
            yield replace(part, pieces=tuple(_file(one) if isinstance(one, Image) else one for one in part.pieces))
        else:
            yield part


def _file(image: OneImage) -> OneImage:
    return replace(image, image=Path(image.image)) if isinstance(image.image, str) else image


def _result(document: Mapping[str, Any]) -> SearchResult:
    """As `query.client.answers.result_of`, which imports numpy; a command asks for no vectors."""
    hits = tuple(Hit(**_known(Hit, hit)) for hit in document["hits"])
    reranked = document.get("reranked") and Reranked(**document["reranked"])
    return SearchResult(**_known(SearchResult, {**document, **document["timings"], "hits": hits, "reranked": reranked}))


def _known(kind: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    if document.get("thumbnail"):
        document = {**document, "thumbnail": base64.b64decode(document["thumbnail"].partition(",")[2])}
    words = {name: tuple(Word(**one) for one in some) for name, some in (document.get("explain") or {}).items()}
    return {one.name: document[one.name] for one in fields(kind) if one.name in document} | words
