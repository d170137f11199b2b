"""E5-V in miniature: the method shown on a model of a few million parameters and on drawn scenes.

`--model mini` is a real LLaVA-NeXT checkpoint, run by the very class that runs E5-V; `MODEL_CARD.md` says how it was
made and what it can do. `python -m research.miniature.build` makes it again from nothing.
"""

from pathlib import Path

from oneword.engine.catalog import miniature
from oneword.engine.views import View, get

_VIEWS = Path(__file__).parent / "views"


def folder() -> Path:
    """The checkpoint that `--model mini` loads: tuned on text alone, as E5-V is."""
    return miniature()


def base_folder() -> Path:
    """The same before that tuning: what E5-V's base, LLaVA-NeXT, is to E5-V."""
    return miniature("base")


def view_file(name: str) -> Path:
    """Where a view lies that the miniature's claims are shown with: bare, colours, describe, shapes or wrong."""
    return _VIEWS / f"{name}.toml"


def view(name: str) -> View:
    """One of these views."""
    return get(str(view_file(name)))
