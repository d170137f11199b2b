"""A query as the REST service's JSON."""

import base64
import io
import math
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneword.engine.errors import UnreadableFile
from oneword.query.errors import BadQuery
from oneword.query.query import (
    INCLUDABLE,
    Composed,
    Image,
    ImageSource,
    Interleaved,
    Like,
    OfImage,
    Part,
    Query,
    Text,
    Vector,
    options,
)
from oneword.storage import filter_to_json

if TYPE_CHECKING:
    from oneword.engine.inputs import Image as DecodedImage

UNKNOWN = "application/octet-stream"

# The first bytes of the formats that `oneword.engine.images` decodes and that have a media type of their own.
_SIGNATURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"}


def to_json(query: Query) -> dict[str, Any]:
    """The query object of `POST /v1/collections/NAME/search`. Only what differs from its default is in it.

    Files are read, and images become data URIs; http and https URLs stay what they are, for the server to fetch.

    Raises:
        UnreadableFile: an image's file.
        BadQuery: a vector that is not a list of finite numbers.
        FilterError: a filter that nests too deep.
    """
    document: dict[str, Any] = {}
    if query.parts:
        document["parts"] = [_part(part) for part in query.parts]
    if query.filter is not None:
        document["filter"] = filter_to_json(query.filter)
    values = {one: _plain(getattr(query, one.name)) for one in options()}
    document |= {one.name: value for one, value in values.items() if value != one.default and not one.option.fusion}
    fusion = {one: value for one, value in values.items() if one.option.fusion}
    if query.keywords is not None and any(value != one.default for one, value in fusion.items()):
        how = {one.name: value for one, value in fusion.items()}
        document["hybrid"] = {"keywords": document.pop("keywords"), **how}
    if query.include != Query.include:
        document["with"] = [name for name in INCLUDABLE if name in query.include]
    return document


def image_uri(source: "ImageSource | DecodedImage") -> str:
    """An image as the service takes it: an http or https URL or a data URI as it is, anything else as a data URI.

    A decoded image becomes PNG, which keeps its very pixels.

    Raises:
        UnreadableFile: a file that cannot be read.
    """
    if isinstance(source, str) and source.lower().startswith(("http://", "https://", "data:")):
        return source
    match source:
        case bytes():
            return _data_uri(source)
        case str() | Path():
            path = Path(source).expanduser()
            try:
                return _data_uri(path.read_bytes())
            except OSError as error:
                raise UnreadableFile(f"{path}: cannot be read ({error.strerror or error})") from error
            except ValueError as error:  # a zero byte in its name
                raise UnreadableFile(f"{str(path)!r}: is not a file name ({error})") from error
    import PIL.Image

    from oneword.engine import inputs
    from oneword.engine.images import to_rgb

    source = source.pixels if isinstance(source, inputs.Image) else source
    if not isinstance(source, PIL.Image.Image):
        raise BadQuery(f"an image of type {type(source).__name__}: expected a path, a URL, bytes or a PIL image")
    file = io.BytesIO()
    rgb = source if source.mode == "RGB" else to_rgb(source)
    rgb.save(file, "PNG", compress_level=1)
    return _data_uri(file.getvalue())


def numbers(values: Any) -> list[float]:
    """A vector as JSON takes it.

    Raises:
        BadQuery: something in it is not a finite number.
    """
    try:
        plain = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise BadQuery(f"the vector is not a list of numbers: {error}") from error
    if not all(map(math.isfinite, plain)):
        raise BadQuery("the vector has a number that is not finite: expected finite numbers")
    return plain


def _part(part: Part) -> dict[str, Any]:
    document: dict[str, Any]
    match part:
        case Text():
            document = {"text": part.text}
        case Composed():
            document = {"composed": {**_image(part), "edit": part.edit}}
        case Image():
            document = _image(part)
        case Interleaved():
            document = {"composed": [one if isinstance(one, str) else _image(one) for one in part.pieces]}
        case Like():
            document = {"like": part.id}
        case Vector():
            document = {"vector": numbers(part.values)}
    return document if part.weight == 1 else document | {"weight": _plain(part.weight)}


def _image(part: OfImage) -> dict[str, Any]:
    return {"image": image_uri(part.image)} | ({} if part.crop is None else {"crop": list(part.crop)})


def _plain(value: Any) -> Any:
    """Numbers of numpy, fractions and the like as those that JSON has."""
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _data_uri(data: bytes) -> str:
    return f"data:{_media_type(data)};base64,{base64.b64encode(data).decode()}"


def _media_type(data: bytes) -> str:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], UNKNOWN)
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), UNKNOWN)
