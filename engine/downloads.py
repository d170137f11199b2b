"""Downloads a model into the local cache, where every command finds it."""

import os

from oneword.engine.availability import VARIABLE, choose
from oneword.engine.catalog import Description, describe
from oneword.engine.checkpoint import ALL, LOADED_BY, Checkpoint, find
from oneword.engine.config import runs_code
from oneword.engine.errors import ModelNotFound
from oneword.engine.hub import trouble


def pull(name: str, revision: str | None = None) -> Checkpoint:
    """Downloads the missing files of a model, resumes an earlier download, and checks every file.

    The hub's own settings apply: `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, proxies.

    Args:
        name: of a known model, an alias, or a Hugging Face id.
        revision: a branch, tag or commit; None is the newest.

    Raises:
        ModelNotFound: no such model, no network, or no permission.
        WrongCheckpoint: what came is incomplete, or nothing that can be loaded.
    """
    known = describe(name)
    if known is not None and known.shipped:
        raise ModelNotFound(f"model {name!r} comes with the packages: there is nothing to download")
    model = known.name if known else name
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelNotFound(
            f"no model of the hub is called {name!r}: expected an id such as google/siglip2-base-patch16-224"
        )
    expected = LOADED_BY[known.loader] if known else ALL
    return find(model, revision, expected=expected, fresh=True, code=runs_code(model))


FIRST = "siglip2"
"""The model to begin with: small, quick on a CPU, good at photographs."""

ANSWERS = 2.0
"""Seconds in which a hub must answer to be offered."""


def offered() -> Description | None:
    """Returns the model that is worth a download; None if `auto` is better than `basic`, or no hub answers."""
    model = describe(FIRST)
    assert model is not None
    if os.environ.get(VARIABLE) or model.missing_packages() or choose()[0] != "basic":
        return None
    return None if trouble(ANSWERS) else model
