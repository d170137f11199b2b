"""E5-V in miniature: the method shown on a model of a few million parameters and on drawn scenes.

`--model mini` is a real LLaVA-NeXT checkpoint, run by the very class that runs E5-V; `MODEL_CARD.md` says how it was
made and what it can do. `python -m engine.miniature.build` makes it again from nothing.
"""

from pathlib import Path

_WEIGHTS = Path(__file__).parent / "weights"


def folder() -> Path:
    """The checkpoint that `--model mini` loads: tuned on text alone, as E5-V is."""
    return _WEIGHTS / "tuned"


def base_folder() -> Path:
    """The same before that tuning: what E5-V's base, LLaVA-NeXT, is to E5-V."""
    return _WEIGHTS / "base"
