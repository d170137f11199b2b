"""Oneword's own server: it applies view and prompts, and says what its space is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from oneword.engine.encoder import Side
from oneword.engine.errors import RemoteUnavailable, ViewError
from oneword.engine.inputs import Composed, Document, Image, Input, Interleaved, Text
from oneword.engine.remote.dialect import data_uri
from oneword.engine.space import Space
from oneword.engine.views import DEFAULT, View


class OnewordDialect:
    """As `docs/remote.md` writes it down.

    Args:
        card: the model's entry in `GET /models`.
        name: what the model is called here.
        tokenizer: as JSON, if the server has it; None: texts are cut by words and marks.

    Raises:
        RemoteUnavailable: the card lacks something, or has a fingerprint that is not its space's.
    """

    def __init__(self, card: Mapping[str, Any], name: str, tokenizer: str | None = None) -> None:
        self.id = str(card["id"])
        told = card["oneword"]
        try:
            space = told["space"]
            self._told = Space(
                model=name,
                revision=str(space["revision"]),
                view=View.from_dict(space["prompts"]),
                preprocessing=dict(space["preprocessing"]),
                dimension=int(space["dimension"]),
                normalisation=str(space["normalisation"]),
            )
            fingerprint, self._any_view = told["fingerprint"], bool(told["any_view"])
            self.chunk_tokens = int(told.get("chunk_tokens", 128))
            limit = told.get("text_tokens")
            self.text_tokens = None if limit is None else int(limit)
        except (KeyError, TypeError, ValueError, ViewError) as error:
            raise RemoteUnavailable(
                f"{name}: the server's card of {self.id!r} is malformed ({error!r}): expected docs/remote.md's; "
                "is the server of another version?"
            ) from error
        if fingerprint != self._told.fingerprint:
            raise RemoteUnavailable(
                f"{name}: the server says that its space is {fingerprint}, and what it says of it gives "
                f"{self._told.fingerprint}: expected the same; is the server of another version?"
            )
        self.tokenizer = tokenizer
        self.dimension = self._told.dimension
        self.revision = self._told.revision

    def space(self, view: View) -> Space:
        """The same space as where the model runs: same revision, same preprocessing, same fingerprint."""
        if not self._any_view and view != self._told.view:
            raise ViewError(
                f"model {self._told.model!r} reads no prompts: expected view {self._told.view.name!r}, "
                f"got {view.name!r}"
            )
        return replace(self._told, view=view)

    def kind(self, item: Input) -> str:  # noqa: ARG002
        """All can share requests."""
        return "any"

    def body(self, inputs: Sequence[Input], view: View, side: Side) -> dict[str, Any]:
        """Inputs as they are; a view that the server may not know goes along in full."""
        return {
            "model": self.id,
            "encoding_format": "base64",
            "input": [_written(item) for item in inputs],
            "view": view.name if view == DEFAULT else view.as_dict(),
            "input_type": side.input_type,
        }

    def check(self, answer: Any, inputs: Sequence[Input], view: View, side: Side) -> None:
        """There is nothing else."""


def _written(item: Input) -> str | dict[str, Any]:
    match item:
        case Text():
            return item.text
        case Image():
            return {"image": data_uri(item)}
        case Document():
            return {"image": data_uri(item.image), "text": item.text}
        case Composed():
            return {"image": data_uri(item.image), "edit": item.edit}
        case Interleaved(pieces=pieces):
            return {"composed": [one if isinstance(one, str) else {"image": data_uri(one)} for one in pieces]}
