"""From a remote model's name to an encoder: asks the server what it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import PIL.Image

from oneword.engine.encoder import Side
from oneword.engine.encoding import encode
from oneword.engine.errors import EncodingError, ModelNotFound, RemoteUnavailable
from oneword.engine.inputs import Image, Input, Text
from oneword.engine.remote.client import Absent, Client
from oneword.engine.remote.config import RemoteConfig
from oneword.engine.remote.dialect import Dialect
from oneword.engine.remote.encoder import RemoteEncoder
from oneword.engine.remote.name import RemoteName, read
from oneword.engine.remote.oneword import OnewordDialect
from oneword.engine.views import DEFAULT

if TYPE_CHECKING:
    from oneword.engine.remote.texts import TextsDialect
    from oneword.engine.remote.vllm import VllmDialect


def load_remote(name: str, config: RemoteConfig | None = None) -> RemoteEncoder:
    """Connects to a model on another machine.

    Args:
        name: URL[#MODEL[@REVISION]].

    Raises:
        ModelNotFound: not such a name, or the server has no such model.
        RemoteUnavailable: the server cannot be reached, refuses us, or is of neither kind.
        WrongCheckpoint, MissingDependency: a vLLM server's model is not one whose prompts we know.
    """
    wanted = read(name)
    client = Client(wanted.base, config or RemoteConfig.of_environment())
    try:
        card = _card(wanted, _models(wanted, client))
        known = str(replace(wanted, model=str(card["id"])))
        if isinstance(card.get("oneword"), Mapping):
            return RemoteEncoder(name=known, client=client, dialect=_oneword(wanted, card, known, client))
        dialect = _prompting(wanted, card, known)
        encoder = RemoteEncoder(name=known, client=client, dialect=dialect)
        _try(encoder, PROBES[: 1 + dialect.sees])
        dialect.try_batches(client)
    except BaseException:
        client.close()
        raise
    return encoder


def _card(wanted: RemoteName, answer: Any) -> Mapping[str, Any]:
    """The model's entry in {"data": [{"id", ...}]}."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    cards = [card for card in data if isinstance(card, Mapping) and card.get("id")] if isinstance(data, list) else []
    if not cards:
        raise RemoteUnavailable(f"{wanted.base}/models: lists no model: expected an OpenAI-style API")
    found = [card for card in cards if wanted.model in (None, card["id"])]
    if len(found) != 1:
        listed = ", ".join(str(card["id"]) for card in cards[:20])
        raise ModelNotFound(
            f"model {str(wanted)!r}: the server has {len(cards)} models: expected {wanted.base}#MODEL, "
            f"MODEL one of {listed}"
        )
    return found[0]


def _oneword(wanted: RemoteName, card: Mapping[str, Any], known: str, client: Client) -> Dialect:
    tokenizer = None
    if card["oneword"].get("tokenizer"):
        answer = client.get(f"/models/{quote(str(card['id']), safe='')}/tokenizer")
        if not isinstance(answer, Mapping) or "model" not in answer:
            raise RemoteUnavailable(f"{known}: the server's tokenizer is malformed; is the server of another version?")
        tokenizer = json.dumps(answer)
    dialect = OnewordDialect(card, known, tokenizer)
    if wanted.revision not in (None, dialect.revision):
        raise ModelNotFound(
            f"model {known!r}: the server has revision {dialect.revision!r}, expected {wanted.revision!r}"
        )
    return dialect


def _models(wanted: RemoteName, client: Client) -> Any:
    """The list of models; Text Embeddings Inference has none, and one model, which `/info` at its root describes."""
    try:
        return client.get("/models")
    except Absent:
        root = Client(wanted.base.removesuffix("/v1"), client.config)
        try:
            info = root.get("/info")
        except Absent:
            info = None
        finally:
            root.close()
        if not isinstance(info, Mapping) or not info.get("model_id"):
            raise
    kind = info.get("model_type")
    if not isinstance(kind, Mapping) or not isinstance(kind.get("embedding"), Mapping):
        raise RemoteUnavailable(f"{wanted.base}: serves {info['model_id']} as {kind!r}: expected a model of embeddings")
    pooling = kind["embedding"].get("pooling")
    return {"data": [{"id": info["model_id"], "revision": info.get("model_sha"), "pooling": pooling}]}


def _prompting(wanted: RemoteName, card: Mapping[str, Any], known: str) -> "VllmDialect | TextsDialect":
    """A server that applies no prompts, as vLLM, Infinity and Text Embeddings Inference, by its model's own files.

    vLLM has an id, and as `root` the hub id or folder that it loaded.
    """
    from oneword.engine.checkpoint import ALL, LLAVA_NEXT, MODULAR, find
    from oneword.engine.dependencies import require

    require("torch", "transformers", "tokenizers", what="a model whose prompts are applied here", extra="models")
    source = str(card.get("root") or card["id"])
    # Of a hub model a revision names a commit; of a folder it is whatever the user calls it by.
    of_hub = not Path(source).expanduser().is_dir()
    revision = wanted.revision or card.get("revision") or None
    checkpoint = find(source, revision if of_hub else None, weights=False, expected=ALL)
    about: dict[str, Any] = {"id": str(card["id"]), "name": known, "checkpoint": checkpoint}
    about["revision"] = None if of_hub else revision
    if checkpoint.architecture in MODULAR:
        from oneword.engine.remote.texts import TextsDialect

        return TextsDialect(**about, pooling=card.get("pooling"))
    if checkpoint.architecture not in LLAVA_NEXT:
        raise RemoteUnavailable(
            f"{known}: a {checkpoint.architecture} model on this server: it prepares texts and images otherwise, "
            "so vectors would be of another space; run `oneword serve` there, which serves any model"
        )
    from oneword.engine.remote.vllm import VllmDialect

    return VllmDialect(**about)


PROBES: tuple[Input, ...] = (Text(text="a cat"), Image(pixels=PIL.Image.new("RGB", (64, 48), "grey")))


def _try(encoder: RemoteEncoder, probes: Sequence[Input]) -> None:
    """One text and one image, so that a server set up otherwise is found out now and not input by input."""
    try:
        encode(encoder, probes, DEFAULT, Side.GALLERY)
    except EncodingError as error:
        raise RemoteUnavailable(
            f"{error}; expected a server for its model's inputs, started as docs/remote.md says"
        ) from error
