"""OpenAI's bodies and answers as JSON, with pictures; docs/remote.md describes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from oneword.query.server.limits import MAX_INPUTS
from oneword.query.server.parts import Picture
from oneword.query.server.payload import Body, Name, Text


class PictureIn(Body):
    """A picture; with a text, a document; with an edit, a composed query."""

    image: Picture
    text: Text | None = None
    edit: Text | None = None


def _kind(value: Any) -> str:
    return "(text)" if isinstance(value, str) else "(tokens)" if isinstance(value, list | int) else "(picture)"


Tokens = list[int] | int
InputIn = Annotated[
    Annotated[Text, Tag("(text)")] | Annotated[PictureIn, Tag("(picture)")] | Annotated[Tokens, Tag("(tokens)")],
    Discriminator(_kind),
]


class Url(Body):
    """Where a picture of a message is."""

    url: Picture
    detail: str | None = None


class ContentIn(Body):
    """A piece of a message."""

    type: Literal["text", "image_url"]
    text: Text | None = None
    image_url: Url | None = None


class MessageIn(Body):
    """A message, as vLLM takes it: its texts and its picture are one input."""

    role: Literal["user", "system"] = "user"
    content: Text | Annotated[list[ContentIn], Field(min_length=1, max_length=32, fail_fast=True)]


class EmbeddingsIn(Body):
    """OpenAI's body and more: pictures, a view, and which side of it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "basic", "input": ["a cat", "a dog"], "encoding_format": "float"}]}
    )

    model: Name
    input: Annotated[
        Text | Annotated[list[InputIn], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)] | None,
        Field(description="A text, or a list of texts and pictures."),
    ] = None
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int | None, Field(description="Only the model's own number.")] = None
    user: Name | None = None
    view: Annotated[Name | dict[str, Any] | None, Field(description="A built-in view, or one in full.")] = None
    side: Literal["query", "gallery"] = "gallery"


class ModelOut(BaseModel):
    """OpenAI's card of a model, and its space."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    oneword: dict[str, Any]


class ModelsOut(BaseModel):
    """OpenAI's list."""

    object: Literal["list"]
    data: list[ModelOut]


class EmbeddingOut(BaseModel):
    """One vector of unit length: numbers, or float32 (little-endian) in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class UsageOut(BaseModel):
    """Tokens of the texts; prompts and pictures are not counted."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsOut(BaseModel):
    """OpenAI's answer; `index` is the place in `input`."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingOut]
    usage: UsageOut


class OpenAIError(BaseModel):
    """What went wrong; `param` is the field."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorOut(BaseModel):
    """OpenAI's form of an error."""

    error: OpenAIError
