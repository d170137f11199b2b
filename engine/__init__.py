"""Turns text, an image, or both into a unit vector, by asking a model to say it in one word.

    >>> from engine import Text, encode, load, views
    >>> encoder = load("auto")
    >>> encode(encoder, [Text(text="a cat on a sofa")], views.DEFAULT).shape
    (1, 384)

Nothing heavy is imported until a name is used: `import engine` costs a few milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine import views as views
    from engine.config import EngineConfig
    from engine.encoder import Encoder, Side
    from engine.encoding import encode
    from engine.errors import EngineError, InputError, ModelError
    from engine.images import decode, decode_file
    from engine.inputs import Composed, Document, Image, Input, Text
    from engine.models import load
    from engine.space import Space
    from engine.views import View

_HOME = {
    "Composed": "engine.inputs",
    "Document": "engine.inputs",
    "Encoder": "engine.encoder",
    "EngineConfig": "engine.config",
    "EngineError": "engine.errors",
    "Image": "engine.inputs",
    "Input": "engine.inputs",
    "InputError": "engine.errors",
    "ModelError": "engine.errors",
    "Side": "engine.encoder",
    "Space": "engine.space",
    "Text": "engine.inputs",
    "View": "engine.views",
    "decode": "engine.images",
    "decode_file": "engine.images",
    "encode": "engine.encoding",
    "load": "engine.models",
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
        return import_module("engine.views")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
