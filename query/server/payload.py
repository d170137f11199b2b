"""Bodies of requests: JSON, or JSON with files, to a checked model; or one named problem."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from oneword.query.server.guard.shape import bounded
from oneword.query.server.limits import MAX_NAME, MAX_TEXT, MAX_UPLOADS
from oneword.query.server.problem import Problem
from oneword.query.server.processes import Crashed, Processes

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]


INLINE = 64 * 2**10
"""Bytes of JSON that are read in the event loop: a millisecond or two. Our own choice."""


class Body(BaseModel):
    """A JSON object: kinds are taken as they are, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_ALTERNATIVE = re.compile(r"\(\w+\)|(constrained-\w+|bool|str|int|float|dict|list|datetime)(\[.*\])?|[A-Z]\w+")
"""What Pydantic puts into a path for the alternative that it tried; our fields are in small letters."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Payload(Generic[Model]):
    """A body, and the files that came with it by their field's name."""

    body: Model
    uploads: Mapping[str, bytes]


async def read(request: Request, model: type[Model], field: str | None = None) -> Payload[Model]:
    """The body of a request: `application/json`, or `multipart/form-data` with the JSON in `field`, if any, and files.

    Where the model has a list of that name, the form's field may be the list alone.

    Raises:
        Problem: 400 malformed, 415 another media type, 422 not what was expected, with the field.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data" and field is not None:
        return await _multipart(request, model, field)
    if kind != "application/json":
        files = "" if field is None else " or multipart/form-data"
        raise Problem(
            415,
            "media_type",
            f"the content type is {kind[:100]!r}: expected application/json{files}",
            remedy="Set the header Content-Type.",
        )
    return Payload(body=await _checked(request, model, await request.body()), uploads={})


async def _checked(request: Request, model: type[Model], document: bytes) -> Model:
    """As `checked`; a large body is read in another process, because nothing else runs while it is."""
    if len(document) <= INLINE:
        return checked(model, document)
    try:
        processes: Processes = request.app.state.oneword.processes
        found = await processes.run(checked_or_problem, model, document)
    except (TimeoutError, Crashed):
        detail = f"the body, of {len(document):,} bytes, takes too long to be read"
        raise Problem(413, "body_too_large", detail, remedy="Send less at a time.") from None
    if isinstance(found, Problem):
        raise found
    return found


def checked_or_problem(model: type[Model], document: bytes) -> Model | Problem:
    """As `checked`, but returns the problem."""
    try:
        return checked(model, document)
    except Problem as problem:
        return problem.with_traceback(None)


def checked(model: type[Model], document: bytes | str) -> Model:
    """JSON as a model. Raises Problem."""
    if not document.strip():
        raise Problem(400, "malformed_json", "the body is empty: expected JSON", remedy="Send JSON, {} at the least.")
    try:
        return model.model_validate_json(bounded(document.encode() if isinstance(document, str) else document))
    except ValidationError as error:
        raise problem_of(error.errors(include_url=False), model) from None


def problem_of(errors: Sequence[Any], model: type[BaseModel] | None = None) -> Problem:
    """The most particular of Pydantic's errors, as we say it: of alternatives it lists those not meant, too."""
    # A misspelt name says more than the right one's absence.
    first = max(errors, key=lambda error: (len(error["loc"]), error["type"] == "extra_forbidden"))
    kind, context = first["type"], first.get("ctx", {})
    if kind in ("json_invalid", "value_error.jsondecode"):
        return Problem(
            400, "malformed_json", f"the body is no JSON: {context.get('error', 'unreadable')}", remedy="Send JSON."
        )
    field = path(first["loc"])
    remedy = "Change it as said; all fields are in /openapi.json."
    if kind == "extra_forbidden":
        known = [] if model is None else _fields(model, nested=len(first["loc"]) > 1)
        name = str(first["loc"][-1])[:100]  # comparing takes time and memory
        like = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {like[0]!r}?" if like else ""
        return Problem(422, "unknown_field", f"there is no field {_shown(field)}{hint}", remedy=remedy, field=field)
    said = _kinds([error["msg"] for error in errors if path(error["loc"]) == field])
    said = said or str(first["msg"]).removeprefix("Value error, ")
    shown = f" ({_short(first['input'])})" if isinstance(first.get("input"), str | int | float | bool | None) else ""
    if kind == "missing":
        said, shown = "is missing", ""
    return Problem(
        422, "invalid_field", f"{_shown(field)}{shown}: {said[:1].lower() + said[1:]}", remedy=remedy, field=field
    )


def _kinds(messages: Sequence[str]) -> str:
    """One message of those of several alternatives: all the kinds that would do; empty if there are not several."""
    start = "Input should be a valid "
    kinds = list(dict.fromkeys(one.removeprefix(start) for one in messages if one.startswith(start)))
    return f"{start}{', '.join(kinds[:-1])} or {kinds[-1]}" if len(kinds) > 1 else ""


def path(places: Sequence[str | int]) -> str:
    """`("parts", 1, "image")` as `parts[1].image`; names of alternatives, which are ours, left out."""
    said = ""
    for place in places:
        if isinstance(place, int):
            said += f"[{place}]"
        elif not _ALTERNATIVE.fullmatch(place):
            said += f".{place}" if said else place
    return said[:300]


async def _multipart(request: Request, model: type[Model], field: str) -> Payload[Model]:
    charset = parse_options_header(request.headers["content-type"])[1].get(b"charset", b"utf-8")
    if charset.lower() not in (b"utf-8", b"utf8"):  # Starlette would use any codec; some take time in squares
        raise _malformed(f"its charset is {charset.decode('latin-1')[:40]!r}: expected utf-8")
    uploads: dict[str, bytes] = {}
    document: bytes | None = None
    try:
        async with request.form(max_files=MAX_UPLOADS, max_fields=8, max_part_size=16 * 2**20) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    if name in uploads:
                        raise _malformed(f"two files are called {_shown(name)}: expected another name for each")
                    uploads[name] = await value.read()
                elif name == field and document is None:
                    document = value.encode("utf-8", "surrogatepass")
                else:
                    raise Problem(
                        422,
                        "unknown_field",
                        f"there is no field {_shown(name)}: expected {field!r} once, with JSON, and files",
                        remedy=f"Put it into the JSON of {field!r}.",
                        field=name[:100],
                    )
    except (MultiPartException, ValueError, KeyError) as error:
        raise _malformed(f"the multipart body cannot be read: {error}") from None
    if field in uploads:  # sent as a file: curl -F 'query=@query.json'
        document = uploads.pop(field)
    if document is not None and document.lstrip().startswith(b"[") and field in model.model_fields:
        document = b'{"%s": %s}' % (field.encode(), document)  # the list alone
    return Payload(body=await _checked(request, model, document if document is not None else b"{}"), uploads=uploads)


def _malformed(detail: str) -> Problem:
    return Problem(400, "malformed_body", detail, remedy="Send it as RFC 7578 says; most clients do by themselves.")


@lru_cache
def _fields(model: type[BaseModel], *, nested: bool) -> tuple[str, ...]:
    """Names of the model's fields, as JSON has them; nested: those of the objects in it."""
    schema = model.model_json_schema()
    objects = schema.get("$defs", {}).values() if nested else (schema,)
    return tuple(sorted({name for one in objects for name in one.get("properties", ())}))


def _shown(name: str) -> str:
    return repr(name[:100]) if name else "the body"


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:60]}..."
