"""Turns text, an image, or both into a unit vector, by asking a model to say it in one word.

    >>> from oneword.engine import Text, encode, load, views
    >>> encoder = load("auto")
    >>> encode(encoder, [Text(text="a cat on a sofa")], views.DEFAULT).shape
    (1, 384)

Nothing heavy is imported until a name is used: `import oneword.engine` costs a few milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.engine import views as views
    from oneword.engine.config import EngineConfig
    from oneword.engine.encoder import Encoder, Side
    from oneword.engine.encoding import encode
    from oneword.engine.errors import EngineError, InputError, ModelError
    from oneword.engine.images import decode, decode_file
    from oneword.engine.inputs import Composed, Document, Image, Input, Text
    from oneword.engine.models import load
    from oneword.engine.space import Space
    from oneword.engine.views import View

_HOME = {
    "Composed": "oneword.engine.inputs",
    "Document": "oneword.engine.inputs",
    "Encoder": "oneword.engine.encoder",
    "EngineConfig": "oneword.engine.config",
    "EngineError": "oneword.engine.errors",
    "Image": "oneword.engine.inputs",
    "Input": "oneword.engine.inputs",
    "InputError": "oneword.engine.errors",
    "ModelError": "oneword.engine.errors",
    "Side": "oneword.engine.encoder",
    "Space": "oneword.engine.space",
    "Text": "oneword.engine.inputs",
    "View": "oneword.engine.views",
    "decode": "oneword.engine.images",
    "decode_file": "oneword.engine.images",
    "encode": "oneword.engine.encoding",
    "load": "oneword.engine.models",
}

__all__ = [
    "Composed",
    "Document",
    "Encoder",
    "EngineConfig",
    "EngineError",
    "Image",
    "Input",
    "InputError",
    "ModelError",
    "Side",
    "Space",
    "Text",
    "View",
    "decode",
    "decode_file",
    "encode",
    "load",
    "views",
]


def __getattr__(name: str) -> Any:
    if name == "views":
        return import_module("oneword.engine.views")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'oneword.engine' has no attribute {name!r}")
