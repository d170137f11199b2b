"""Turns text, an image, or both into a unit vector.

    >>> from oneword.engine import Text, encode, load, views
    >>> encoder = load("auto")
    >>> encode(encoder, [Text(text="a cat on a sofa")], views.DEFAULT).shape
    (1, 384)

The public names are imported when they are first used: torch takes seconds to load. `__init__.pyi` has their types.
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "config": ("EngineConfig",),
    "encoder": ("Encoder", "Side"),
    "encoding": ("encode",),
    "errors": ("EngineError", "InputError", "ModelError"),
    "images": ("decode", "decode_file"),
    "inputs": ("Composed", "Document", "Image", "Input", "Interleaved", "Text"),
    "models": ("load",),
    "space": ("Space",),
    "views": ("View",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["views", *_HOME]


def __getattr__(name: str) -> Any:  # not lazy_loader: the GPU benchmark runs where only torch and transformers are
    if name == "views":
        return import_module("oneword.engine.views")
    if name not in _HOME:
        raise AttributeError(f"module 'oneword.engine' has no attribute {name!r}")
    return getattr(import_module(f"oneword.engine.{_HOME[name]}"), name)
