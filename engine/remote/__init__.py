"""Models on other machines, behind an OpenAI-style `/v1/embeddings`.

    --model http://gpu-box:8000/v1                        the one model that is served there
    --model https://gpu-box/v1#royokong/e5-v              the one of that name
    --model https://gpu-box/v1#royokong/e5-v@COMMIT       and of that revision, which we take their word for

Two kinds of server are spoken to, told apart by `GET /v1/models`: Oneword's own, which applies views and prompts and
tells its space, and vLLM and its kin, for which prompts are applied here. `docs/remote.md` has both, byte by byte. The
key, if the server wants one, is in the environment as ONEWORD_REMOTE_KEY. Needs the extra `oneword[remote]`; vLLM also
`oneword[models]`, for the tokenizer and the settings of the model's image processor.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneword.engine.remote.config import RemoteConfig
    from oneword.engine.remote.encoder import RemoteEncoder
    from oneword.engine.remote.loading import load_remote

__all__ = ["RemoteConfig", "RemoteEncoder", "load_remote"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'oneword.engine.remote' has no attribute {name!r}")
    if name == "RemoteConfig":
        from oneword.engine.remote.config import RemoteConfig

        return RemoteConfig
    from oneword.engine.dependencies import require

    require("httpx", "httpcore", what="a model on another machine", extra="remote")
    if name == "load_remote":
        from oneword.engine.remote.loading import load_remote

        return load_remote
    from oneword.engine.remote.encoder import RemoteEncoder

    return RemoteEncoder
