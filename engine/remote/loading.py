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
from oneword.engine.truncation import Truncated, split
from oneword.engine.views import DEFAULT

if TYPE_CHECKING:
    from oneword.engine.remote.texts import TextsDialect
    from oneword.engine.remote.vllm import VllmDialect


def load_remote(
    name: str, config: RemoteConfig | None = None, *, dimensions: int | None = None
) -> RemoteEncoder | Truncated:
    """Connects to a model on another machine.

    Whole vectors are asked for, and cut here, as those of a model that runs here: so they are the same, whatever the
    server makes of OpenAI's `dimensions`.

    Args:
        name: URL[#MODEL[:DIMENSIONS][@REVISION]].
        dimensions: length to truncate vectors to, for models trained for that.

    Raises:
        ModelNotFound: not such a name, or the server has no such model.
        ModelError: the model was not trained for so few dimensions.
        RemoteUnavailable: the server cannot be reached, refuses us, or is of neither kind.
        WrongCheckpoint, MissingDependency: a vLLM server's model is not one whose prompts we know.
    """
    wanted = read(name)
    client = Client(wanted.base, config or RemoteConfig.of_environment())
    try:
        card, of_name = _card(wanted, _models(wanted, client))
        dimensions, called = dimensions or of_name, str(card["id"])
        encoder = _connected(wanted, card, str(replace(wanted, model=called)), client)
        if dimensions is None:
            return encoder
        name = str(replace(wanted, model=f"{called}:{dimensions}"))
        return Truncated(encoder, dimensions, model=str(card.get("root") or called), name=name)
    except BaseException:
        client.close()
        raise


def _connected(wanted: RemoteName, card: Mapping[str, Any], known: str, client: Client) -> RemoteEncoder:
    if isinstance(card.get("oneword"), Mapping):
        return RemoteEncoder(name=known, client=client, dialect=_oneword(wanted, card, known, client))
    dialect = _prompting(wanted, card, known)
    encoder = RemoteEncoder(name=known, client=client, dialect=dialect)
    _try(encoder, PROBES[: 1 + dialect.sees])
    dialect.try_batches(client)
    return encoder


def _card(wanted: RemoteName, answer: Any) -> tuple[Mapping[str, Any], int | None]:
    """The model's entry in {"data": [{"id", ...}]}, and the dimensions that the name asks for."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    cards = [card for card in data if isinstance(card, Mapping) and card.get("id")] if isinstance(data, list) else []
    if not cards:
        raise RemoteUnavailable(f"{wanted.base}/models: lists no model: expected an OpenAI-style API")
    found, dimensions = [card for card in cards if wanted.model in (None, card["id"])], None
    if not found and wanted.model is not None:
        model, dimensions = split(wanted.model)
        found = [card for card in cards if card["id"] == model]
    if len(found) != 1:
        listed = ", ".join(str(card["id"]) for card in cards[:20])
        raise ModelNotFound(
            f"model {str(wanted)!r}: the server has {len(cards)} models: expected {wanted.base}#MODEL, "
            f"MODEL one of {listed}"
        )
    return found[0], dimensions


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
    from oneword.engine.catalog import describe
    from oneword.engine.checkpoint import ALL, LOADED_BY, MODULAR, find
    from oneword.engine.dependencies import require

    require("torch", "transformers", "tokenizers", what="a model whose prompts are applied here", extra="models")
    source = str(card.get("root") or card["id"])
    # Of a hub model a revision names a commit; of a folder it is whatever the user calls it by.
    of_hub = not Path(source).expanduser().is_dir()
    revision, model = wanted.revision or card.get("revision") or None, describe(source)
    expected = LOADED_BY[model.loader] if model is not None and not model.shipped else ALL
    checkpoint = find(source, revision if of_hub else None, weights=False, expected=expected)
    about: dict[str, Any] = {"id": str(card["id"]), "name": known, "checkpoint": checkpoint}
    about["revision"] = None if of_hub else revision
    if checkpoint.architecture in MODULAR:
        from oneword.engine.remote.texts import TextsDialect

        return TextsDialect(**about, pooling=card.get("pooling"))
    from oneword.engine.remote.prompting import prompting
    from oneword.engine.remote.vllm import VllmDialect

    if (asked := prompting(checkpoint, known, model)) is None:
        raise RemoteUnavailable(
            f"{known}: a model of {checkpoint.architecture} on this server: it prepares texts and images otherwise, "
            "so vectors would be of another space; run `oneword serve` there, which serves any model"
        )
    return VllmDialect(**about, asked=asked)


PROBES: tuple[Input, ...] = (Text(text="a cat"), Image(pixels=PIL.Image.new("RGB", (64, 48), "grey")))


def _try(encoder: RemoteEncoder, probes: Sequence[Input]) -> None:
    """One text and one image, so that a server set up otherwise is found out now and not input by input."""
    try:
        encode(encoder, probes, DEFAULT, Side.GALLERY)
    except EncodingError as error:
        raise RemoteUnavailable(
            f"{error}; expected a server for its model's inputs, started as docs/remote.md says"
        ) from error
