"""Request bodies, JSON or JSON with files, validated into models; bounds of their structure; and page cursors."""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json, to_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from oneword.query.query import suggestion
from oneword.query.server.limits import MAX_DIMENSION, MAX_NAME, MAX_TEXT, MAX_UPLOADS
from oneword.query.server.problem import Problem
from oneword.query.server.processes import Crashed, Processes

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Picture = Annotated[
    str,
    Field(
        min_length=1,
        description="A data URI, base64, an http(s) URL, or `upload:NAME`, a file of the same multipart request.",
        examples=["https://example.org/cat.jpg"],
    ),
]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=MAX_DIMENSION, fail_fast=True)]


INLINE = 64 * 2**10
"""Bytes of JSON that are parsed in the event loop: a millisecond or two."""

MAX_MARKS = 500_000
"""Colons and opening brackets in a body. 1,000 items with 200 metadata values each have 202,000."""

MAX_COMMAS = 5_000_000
"""Commas in a body. 1,000 vectors of 4,096 numbers have 4,096,000."""

FEW_MARKS = 5_000
"""Bodies with fewer are not checked further."""

MAX_KEYS = 1_000
"""Names in one object: five times as many as an item may have."""

MAX_OFFSET = 2**32
"""LanceDB (0.40) takes offsets of 32 bits."""


class Body(BaseModel):
    """A JSON object: types are not converted, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_ALTERNATIVE = re.compile(r"\(\w+\)|(constrained-\w+|bool|str|int|float|dict|list|datetime)(\[.*\])?|[A-Z]\w+")
"""What Pydantic puts into a path for an alternative of a union; our fields are in small letters."""

Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request, model: type[Model]) -> Model:
    """The body of a request, `application/json`. Raises as `read_with_files`."""
    return (await read_with_files(request, model, None))[0]


async def read_with_files(request: Request, model: type[Model], field: str | None) -> tuple[Model, Mapping[str, bytes]]:
    """The body of a request: `application/json`, or `multipart/form-data` with the JSON in `field`, if any, and files.

    If the model has a list of that name, the form's field may be the list alone. Returns also the files by field name.

    Raises:
        Problem: 400 malformed, 415 unsupported media type, 422 invalid, with the field.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data" and field is not None:
        return await _multipart(request, model, field)
    if kind != "application/json":
        files = "" if field is None else " or multipart/form-data"
        raise Problem("media_type", f"the content type is {kind[:100]!r}: expected application/json{files}")
    return await _validated(request, model, await request.body()), {}


async def _validated(request: Request, model: type[Model], document: bytes) -> Model:
    """As `checked`; a large body is parsed in another process, as parsing blocks the event loop."""
    if len(document) <= INLINE:
        return checked(model, document)
    try:
        processes: Processes = request.app.state.oneword.processes
        found = await processes.run(checked_or_problem, model, document)
    except (TimeoutError, Crashed):
        detail = f"the body of {len(document):,} bytes takes too long to parse"
        raise Problem("body_too_large", detail) from None
    if isinstance(found, Problem):
        raise found
    return found


def checked_or_problem(model: type[Model], document: bytes) -> Model | Problem:
    """As `checked`, but returns the Problem."""
    try:
        return checked(model, document)
    except Problem as problem:
        return problem.with_traceback(None)


def checked(model: type[Model], document: bytes | str) -> Model:
    """Validates JSON into a model. Raises Problem."""
    if not document.strip():
        raise Problem("malformed_json", "the body is empty: expected JSON")
    try:
        return model.model_validate_json(bounded(document.encode() if isinstance(document, str) else document))
    except ValidationError as error:
        raise problem_of(error.errors(include_url=False), model) from None


def problem_of(errors: Sequence[Any], model: type[BaseModel] | None = None) -> Problem:
    """The most specific of Pydantic's errors: for unions it also lists the alternatives that were not meant."""
    # A misspelled name says more than the absence of the right one.
    first = max(errors, key=lambda error: (len(error["loc"]), error["type"] == "extra_forbidden"))
    kind, context = first["type"], first.get("ctx", {})
    if kind in ("json_invalid", "value_error.jsondecode"):
        return Problem("malformed_json", f"the body is not valid JSON: {context.get('error', 'unreadable')}")
    field = path(first["loc"])
    if kind == "extra_forbidden":
        known = [] if model is None else _field_names(model, nested=len(first["loc"]) > 1)
        name = str(first["loc"][-1])[:100]  # comparing takes time
        return Problem("unknown_field", f"there is no field {_shown(field)}{suggestion(name, known)}", field=field)
    message = _alternatives([error["msg"] for error in errors if path(error["loc"]) == field])
    message = message or str(first["msg"]).removeprefix("Value error, ")
    shown = f" ({_short(first['input'])})" if isinstance(first.get("input"), str | int | float | bool | None) else ""
    if kind == "missing":
        message, shown = "is missing", ""
    return Problem("invalid_field", f"{_shown(field)}{shown}: {message[:1].lower() + message[1:]}", field=field)


def _alternatives(messages: Sequence[str]) -> str:
    """One message for several alternatives, which lists the accepted types; empty if there is one alternative."""
    start = "Input should be a valid "
    kinds = list(dict.fromkeys(one.removeprefix(start) for one in messages if one.startswith(start)))
    return f"{start}{', '.join(kinds[:-1])} or {kinds[-1]}" if len(kinds) > 1 else ""


def path(places: Sequence[str | int]) -> str:
    """`("parts", 1, "image")` as `parts[1].image`; names of alternatives are left out."""
    text = ""
    for place in places:
        if isinstance(place, int):
            text += f"[{place}]"
        elif not _ALTERNATIVE.fullmatch(place):
            text += f".{place}" if text else place
    return text[:300]


async def _multipart(request: Request, model: type[Model], field: str) -> tuple[Model, Mapping[str, bytes]]:
    charset = parse_options_header(request.headers["content-type"])[1].get(b"charset", b"utf-8")
    if charset.lower() not in (b"utf-8", b"utf8"):  # Starlette would use any codec; some are quadratic
        raise _malformed(f"its charset is {charset.decode('latin-1')[:40]!r}: expected utf-8")
    uploads: dict[str, bytes] = {}
    document: bytes | None = None
    try:
        async with request.form(max_files=MAX_UPLOADS, max_fields=8, max_part_size=16 * 2**20) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    if name in uploads:
                        raise _malformed(f"two files are called {_shown(name)}: expected distinct names")
                    uploads[name] = await value.read()
                elif name == field and document is None:
                    document = value.encode("utf-8", "surrogatepass")
                else:
                    raise Problem(
                        "unknown_field",
                        f"there is no field {_shown(name)}: expected {field!r} once, with JSON, and files",
                        field=name[:100],
                    )
    except (MultiPartException, ValueError, KeyError) as error:
        raise _malformed(f"the multipart body cannot be read: {error}") from None
    if field in uploads:  # sent as a file: curl -F 'query=@query.json'
        document = uploads.pop(field)
    if document is not None and document.lstrip().startswith(b"[") and field in model.model_fields:
        document = b'{"%s": %s}' % (field.encode(), document)  # the list alone
    return await _validated(request, model, document if document is not None else b"{}"), uploads


def _malformed(detail: str) -> Problem:
    return Problem("malformed_body", detail)


@lru_cache
def _field_names(model: type[BaseModel], *, nested: bool) -> tuple[str, ...]:
    """JSON names of the model's fields; nested: those of the objects in it."""
    schema = model.model_json_schema()
    objects = schema.get("$defs", {}).values() if nested else (schema,)
    return tuple(sorted({name for one in objects for name in one.get("properties", ())}))


def _shown(name: str) -> str:
    return repr(name[:100]) if name else "the body"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def bounded(document: bytes) -> bytes:
    """A body that is safe to validate: the same, or an equivalent one without duplicate names.

    A parsed body is much larger than its bytes: 32 MiB of "[],[],[]" or of unknown names take 10 GB and a minute.
    Names (each has a colon) and brackets are counted in the bytes; those inside texts count too, so the bounds are
    generous.

    Raises:
        Problem: 413 too much structure, 422 too many names in an object.
    """
    if len(document) > MAX_COMMAS and (values := document.count(b",")) > MAX_COMMAS:
        raise _too_large(f"{values:,} commas", MAX_COMMAS)
    if len(document) <= FEW_MARKS or (marks := sum(map(document.count, (b":", b"[", b"{")))) <= FEW_MARKS:
        return document
    if marks > MAX_MARKS:
        raise _too_large(f"{marks:,} colons and brackets", MAX_MARKS)
    try:
        tree = from_json(document)
    except ValueError:
        return document  # the parser reports what is wrong
    _check_keys(tree)
    return to_json(tree, inf_nan_mode="constants")


def _too_large(what: str, most: int) -> Problem:
    detail = f"the body has {what}: expected at most {most:,}"
    return Problem("body_too_large", detail)


def _check_keys(tree: Any) -> None:
    left = [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict) and len(one) > MAX_KEYS:
            raise Problem(
                "invalid_field", f"an object in the body has {len(one):,} names: expected at most {MAX_KEYS:,}"
            )
        left += (inner for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, dict | list))


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """A position in one version of a collection, opaque to clients.

    Args:
        created: of the collection: a recreated one counts its versions from 1 again.
        filter: a digest of the filter: positions depend on it.
    """

    version: int
    offset: int
    created: str
    filter: str

    def encoded(self) -> str:
        """As clients get it."""
        fields = json.dumps([self.version, self.offset, self.created, self.filter]).encode()
        return base64.urlsafe_b64encode(fields).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, created: str, filter_: str) -> "Cursor":
        """Decodes and checks what a client sent.

        Raises:
            Problem: 422 invalid, or of another filter; 410 the collection was recreated.
        """
        try:
            fields = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            version, offset, created_then, filter_then = fields
            fits = type(version) is int and type(offset) is int and 0 < version < 2**63 and 0 <= offset < MAX_OFFSET
        except (binascii.Error, ValueError, TypeError):
            fits = False
        if not fits:
            raise Problem("bad_cursor", f"invalid cursor {text[:60]!r}", field="cursor")
        if created_then != created:
            raise Problem("cursor_gone", "the collection was recreated since", field="cursor")
        if filter_then != filter_:
            raise Problem("bad_cursor", "the cursor belongs to another filter", field="cursor")
        return cls(version=version, offset=offset, created=created, filter=filter_)


def digest(condition: Any) -> str:
    """A digest of a filter as it was sent, for cursors."""
    return sha256(json.dumps(condition, sort_keys=True).encode()).hexdigest()[:16]
