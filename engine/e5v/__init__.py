"""E5-V and its kin: LLaVA-NeXT checkpoints, asked for one word.

Needs the extra `oneword[e5v]`; torch and transformers are imported only when a model is loaded.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.engine.e5v.encoder import E5VEncoder
    from oneword.engine.e5v.loading import load_e5v

__all__ = ["E5VEncoder", "load_e5v"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'oneword.engine.e5v' has no attribute {name!r}")
    from oneword.engine.dependencies import require

    require("torch", "transformers", "tokenizers")
    if name == "load_e5v":
        from oneword.engine.e5v.loading import load_e5v

        return load_e5v
    from oneword.engine.e5v.encoder import E5VEncoder

    return E5VEncoder
