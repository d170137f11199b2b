"""OpenAI-compatible GET /v1/models and POST /v1/embeddings, with images; docs/remote.md describes them."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import ConfigDict, Discriminator, Field, Tag
from starlette.responses import Response

from oneword import engine
from oneword.engine import views
from oneword.engine.catalog import describe
from oneword.engine.chunks import WORDS
from oneword.engine.encoder import Encoder, InputType, Limited, Side, reads_any_view
from oneword.engine.errors import EngineError, InputError, ViewError
from oneword.engine.truncation import split
from oneword.engine.views import View
from oneword.query.server import requests
from oneword.query.server.batching import Batcher, Vector
from oneword.query.server.images import Named
from oneword.query.server.limits import MAX_INPUTS
from oneword.query.server.listing import Listing, Pieces, listed
from oneword.query.server.problem import Problem
from oneword.query.server.queries import InterleavedIn, shown
from oneword.query.server.registry import State, state_of
from oneword.query.server.requests import Body, Name, Picture, Text
from oneword.query.server.response import answer
from oneword.query.server.schemas import MEANINGS, Out, example, operation
from oneword.query.server.threads import gather

router = APIRouter(prefix="/v1", tags=["embeddings"])


class ImageInput(Body):
    """An image; with a text, a document; with an edit, a composed query."""

    image: Picture
    text: Text | None = None
    edit: Text | None = None


class ComposedInput(Body):
    """Images with words between them, in their order."""

    composed: InterleavedIn


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "(text)"
    if isinstance(value, list | int):
        return "(tokens)"
    composed = isinstance(value, ComposedInput) or (isinstance(value, dict) and "composed" in value)
    return "(composed)" if composed else "(image)"


Tokens = list[int] | int
InputIn = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[ImageInput, Tag("(image)")]
    | Annotated[ComposedInput, Tag("(composed)")]
    | Annotated[Tokens, Tag("(tokens)")],
    Discriminator(_kind),
]


class Url(Body):
    """The address of an image in a message."""

    url: Picture
    detail: str | None = None


class ContentIn(Body):
    """A part of a message."""

    type: Literal["text", "image_url"]
    text: Text | None = None
    image_url: Url | None = None


class MessageIn(Body):
    """A message, as vLLM takes it: its texts and its image are one input."""

    role: Literal["user", "system"] = "user"
    content: Text | Annotated[list[ContentIn], Field(min_length=1, max_length=32, fail_fast=True)]


class EmbeddingsIn(Body):
    """OpenAI's body, plus images, a view, and whether the inputs are queries or documents."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "basic", "input": ["a cat", "a dog"], "encoding_format": "float"}]}
    )

    model: Name
    input: Annotated[
        Text | Annotated[list[InputIn], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)] | None,
        Field(description="A text, or a list of texts and images."),
    ] = None
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int | None, Field(description="Only the model's own dimension.")] = None
    user: Name | None = None
    view: Annotated[Name | dict[str, Any] | None, Field(description="A built-in view, or one in full.")] = None
    input_type: Annotated[
        InputType,
        Field(description="`query`: what is asked. `document`: what is stored. Models may embed them otherwise."),
    ] = "document"


class ModelOut(Out):
    """OpenAI's description of a model, and its space."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    oneword: dict[str, Any]


class ModelsOut(
    Out,
    json_schema_extra=example(
        object="list",
        data=[{"id": "basic", "object": "model", "created": 0, "owned_by": "oneword", "oneword": {"any_view": False}}],
    ),
):
    """OpenAI's list."""

    object: Literal["list"]
    data: list[ModelOut]


class EmbeddingOut(Out):
    """A unit vector: numbers, or float32 (little-endian) in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class UsageOut(Out):
    """Tokens of the texts; prompts and images are not counted."""

    prompt_tokens: int
    total_tokens: int
    shortened: int = Field(0, description="Inputs whose text is longer than the model reads; its end was cut.")


class EmbeddingsOut(
    Out,
    json_schema_extra=example(
        object="list",
        model="basic",
        data=[{"object": "embedding", "index": 0, "embedding": [0.01, -0.03]}],
        usage={"prompt_tokens": 2, "total_tokens": 2},
    ),
):
    """OpenAI's response; `index` is the position in `input`."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingOut]
    usage: UsageOut


class OpenAIError(Out):
    """What went wrong; `param` is the field."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorOut(Out):
    """OpenAI's form of an error."""

    error: OpenAIError


OPENAI_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "model": OpenAIErrorOut} for status, meaning in MEANINGS.items()
}
"""Errors of the OpenAI-compatible routes."""


@router.get("/models", **operation("read", out=ModelsOut, problems=OPENAI_PROBLEMS))
async def models(request: Request) -> Response:
    """The loaded models and their spaces."""
    state = state_of(request)
    _check_loaded(state)
    encoders = [one.encoder for one in state.models.batchers.values()]
    cards = await state.workers.run("decode", lambda: [_card(one) for one in encoders])
    return answer({"object": "list", "data": cards})


@router.get("/models/{model:path}/tokenizer", **operation("read", problems=OPENAI_PROBLEMS))
async def tokenizer(request: Request, model: str) -> Response:
    """The model's tokenizer as JSON (Hugging Face), to split texts as the model does."""
    state = state_of(request)
    encoder = _batcher(state, model).encoder
    document = await state.workers.run("decode", lambda: encoder.tokenizer)  # megabytes; the first call builds it
    if document is None:
        raise Problem("no_tokenizer", f"model {model!r} has no tokenizer: it counts words and punctuation")
    return Response(document, media_type="application/json")


@router.post("/embeddings", **operation("read", EmbeddingsIn, out=EmbeddingsOut, problems=OPENAI_PROBLEMS))
async def embeddings(request: Request) -> Response:
    """Embed texts and images."""
    state = state_of(request)
    try:
        body = await requests.read(request, EmbeddingsIn)
        batcher = _batcher(state, body.model)
        view = _view(body.view, batcher.encoder)
        given = _inputs(body)
        if body.dimensions not in (None, batcher.encoder.dimension):
            raise _malformed(f"dimensions {body.dimensions}: expected {batcher.encoder.dimension}", "dimensions")
    except Problem as problem:
        problem.status = 400 if problem.code in ("invalid_field", "unknown_field") else problem.status
        raise
    side = Side.of(body.input_type)
    name = "input" if body.messages is None else "messages"
    vectors = await gather(
        _embedded(state, batcher, one, f"{name}[{place}]", view, side) for place, one in enumerate(given)
    )

    def written() -> Pieces:
        encoder = batcher.encoder
        counts = [sum(_token_counts(encoder, one.texts)) for one in given]
        limit = encoder.text_tokens if isinstance(encoder, Limited) else None
        data = (
            {"object": "embedding", "index": place, "embedding": _written(vector, body.encoding_format)}
            for place, vector in enumerate(vectors)
        )
        usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
        if cut := sum(limit is not None and count > limit for count in counts):
            usage["shortened"] = cut
        return listed("data", data, {"object": "list", "model": encoder.name, "usage": usage})

    return Listing(await state.workers.run("decode", written))


@dataclass(frozen=True, kw_only=True)
class _Given:
    """One input: its texts, its images with their fields, and what is made of the images once they are decoded."""

    texts: Sequence[str] = ()
    images: Sequence[Named] = ()
    made: Callable[[Sequence[engine.Image]], engine.Input]


def _inputs(body: EmbeddingsIn) -> Sequence[_Given]:
    if (body.input is None) == (body.messages is None):
        raise _malformed("expected either `input` or `messages`", "input")
    if body.messages is not None:
        return [_of_message(body.messages[0])]
    given = [body.input] if isinstance(body.input, str) else body.input or []
    return [_of_input(one, f"input[{place}]") for place, one in enumerate(given)]


def _of_input(one: str | ImageInput | ComposedInput | Tokens, field: str) -> _Given:
    match one:
        case str():
            return _of_parts(one, None, None, field)
        case ImageInput():
            if one.text is not None and one.edit is not None:
                raise _malformed(f"{field} has a text and an edit: expected one of them", field)
            return _of_parts(one.text, one.image, one.edit, field)
        case ComposedInput(composed=given):
            images = shown(given, f"{field}.composed")

            def made(decoded: Sequence[engine.Image]) -> engine.Input:
                left = iter(decoded)
                return engine.Interleaved(pieces=[piece if isinstance(piece, str) else next(left) for piece in given])

            return _Given(texts=[piece for piece in given if isinstance(piece, str)], images=images, made=made)
    raise _malformed(f"{field} is a list of token ids: expected a text, or an object with an image", field)


def _of_parts(text: str | None, image: str | None, edit: str | None, field: str) -> _Given:
    """An input of at most one image, with a text or an edit, or of a text alone."""

    def made(decoded: Sequence[engine.Image]) -> engine.Input:
        if image is None:
            return engine.Text(text=text or "")
        if edit is not None:
            return engine.Composed(image=decoded[0], edit=edit)
        return decoded[0] if text is None else engine.Document(image=decoded[0], text=text)

    texts = [one for one in (text, edit) if one is not None]
    return _Given(texts=texts, images=[] if image is None else [Named(image, f"{field}.image")], made=made)


def _of_message(message: MessageIn) -> _Given:
    field = "messages[0]"
    if isinstance(message.content, str):
        return _of_parts(message.content, None, None, field)
    texts = [one.text for one in message.content if one.text is not None]
    pictures = [one.image_url.url for one in message.content if one.image_url is not None]
    if len(pictures) > 1 or (not texts and not pictures):
        raise _malformed(f"the message has {len(pictures)} images: expected one, or a text", "messages[0].content")
    return _of_parts("\n".join(texts) if texts else None, pictures[0] if pictures else None, None, field)


async def _embedded(state: State, batcher: Batcher, given: _Given, field: str, view: View, side: Side) -> Vector:
    try:
        async with state.images.read(given.images, {}) as decoded:
            return await _vector(batcher, given.made([one.image for one in decoded]), view, side)
    except (InputError, EngineError) as error:
        raise Problem.of(error, field=field) from error


async def _vector(batcher: Batcher, content: engine.Input, view: View, side: Side) -> Vector:
    (vector,) = await batcher.embed([content], view, side)
    if isinstance(vector, EngineError):
        raise vector
    return vector


def _check_loaded(state: State) -> None:
    """Refuses requests while no model is loaded yet."""
    if not state.models.loaded and not state.warm:
        raise Problem("not_ready", f"no model is loaded yet ({state.reason})")


def _batcher(state: State, name: str) -> Batcher:
    _check_loaded(state)
    batcher = state.models.named(name)
    if batcher is None:
        there = ", ".join(sorted(state.models.batchers))
        raise Problem("model_not_found", f"no model is called {name[:100]!r}; there is {there}", field="model")
    return batcher


def _view(given: str | dict[str, Any] | None, encoder: Encoder) -> View:
    try:
        if given is None:
            return views.DEFAULT
        if isinstance(given, str):
            if given not in views.BUILT_IN:  # not the path of a file
                raise ViewError(f"no view is called {given[:60]!r}: expected one of {', '.join(views.BUILT_IN)}")
            view = views.BUILT_IN[given]
        else:
            view = View.from_dict(given)
        encoder.space(view)
    except ViewError as error:
        raise _malformed(str(error), "view") from None
    return view


def _card(encoder: Encoder) -> dict[str, Any]:
    """OpenAI's description of a model, plus its space."""
    space, known = encoder.space(views.DEFAULT), describe(split(encoder.name)[0])
    return {
        "id": encoder.name,
        "object": "model",
        "created": 0,
        "owned_by": "oneword",
        "oneword": {
            "fingerprint": space.fingerprint,
            "space": space.as_dict(),
            "any_view": reads_any_view(encoder),
            "chunk_tokens": encoder.chunk_tokens,
            "text_tokens": encoder.text_tokens if isinstance(encoder, Limited) else None,
            "tokenizer": encoder.tokenizer is not None,
            "description": known.as_dict() if known is not None else None,
        },
    }


def _written(vector: Vector, form: str) -> str | list[float]:
    if form == "float":
        return [float(number) for number in vector]
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def _malformed(detail: str, field: str) -> Problem:
    return Problem("invalid_request", detail, field=field)


def _token_counts(encoder: Encoder, texts: Sequence[str]) -> list[int]:
    """Of each text, by the encoder's tokenizer, else words and punctuation. Prompts and images do not count."""
    if encoder.tokenizer is None:
        return [len(WORDS.findall(text)) for text in texts]
    encoded = _tokenizer(encoder.tokenizer).encode_batch_fast(list(texts), add_special_tokens=False)
    return [len(one.ids) for one in encoded]


@lru_cache(maxsize=4)
def _tokenizer(document: str) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(document)
