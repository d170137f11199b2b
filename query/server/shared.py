"""Models in a process of their own, which the processes of one service share: its side, and theirs."""

import asyncio
import gc
import pickle
import secrets
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Client, Connection, Listener, wait
from multiprocessing.process import parent_process
from queue import Empty, LifoQueue
from typing import Any

import numpy as np

from oneword.engine.config import EngineConfig
from oneword.engine.encoder import Encoder, Limited, Side, Vectors, reads_any_view
from oneword.engine.errors import EncodingError, EngineError, ModelError, ViewError
from oneword.engine.inputs import Input
from oneword.engine.space import Space
from oneword.engine.views import DEFAULT, View
from oneword.engine.words import Speaker
from oneword.query.server.config import ServerConfig
from oneword.query.server.registry import Models
from oneword.query.server.telemetry import Metrics, log_to_stderr
from oneword.query.server.threads import Workers

BACKLOG = 64
"""Connections that may wait to be accepted: each process has one for every thread that asks."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the process listens, and a secret that both sides prove to know."""

    path: str
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


@dataclass(frozen=True, kw_only=True)
class _About:
    """What does not change of a model."""

    name: str
    dimension: int
    chunk_tokens: int
    text_tokens: int | None
    tokenizer: str | None
    space: Space
    any_view: bool
    vocabulary: Sequence[str] | None


_Batch = tuple[Sequence[Input], View, Side]


class SharedEncoder:
    """A model of the process, behind the `Encoder` protocol; `Speaker` too, if the model is one.

    Inputs that several processes send at a time are embedded together there.
    """

    def __init__(self, process: "Shared", config: EngineConfig) -> None:
        """Raises as `oneword.engine.models.load`."""
        self._process, self._model = process, (config.model, config.revision)
        about: _About = process.ask("about", *self._model)
        self._space, self._any_view = about.space, about.any_view
        self.name, self.dimension, self.tokenizer = about.name, about.dimension, about.tokenizer
        self.chunk_tokens, self.text_tokens = about.chunk_tokens, about.text_tokens
        if about.vocabulary is not None:
            self.vocabulary, self.say = about.vocabulary, self._say

    def space(self, view: View) -> Space:
        """Returns the space of this view's vectors. Raises ViewError."""
        if not self._any_view and view != self._space.view:
            raise ViewError(f"model {self.name!r} reads no prompts: expected view {self._space.view.name!r}")
        return replace(self._space, view=view)

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:  # noqa: ARG002
        """Returns one batch: the model's process plans its own."""
        return [list(range(len(inputs)))]

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> _Batch:
        """Returns what is sent to the process."""
        return inputs, view, side

    def forward(self, batch: _Batch) -> Vectors:
        """Returns the vectors that the process computes.

        Raises:
            EncodingError: an input cannot be embedded.
            ModelError: the process has ended.
        """
        found: list[Vectors | EngineError] = self._process.ask("embed", *self._model, *batch)
        for place, one in enumerate(found):
            if isinstance(one, EngineError):
                raise EncodingError(str(one), index=place)
        return np.stack(found)  # type: ignore[arg-type]

    def finish(self, raw: Vectors) -> Vectors:
        """Returns the vectors as they are."""
        return raw

    def _say(self, vectors: Vectors) -> Vectors:
        scores: Vectors = self._process.ask("say", *self._model, vectors)
        return scores


class Shared:
    """The process, for one that asks it. Safe for threads."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: LifoQueue[Connection] = LifoQueue()

    def load(self, config: EngineConfig) -> Encoder:
        """As `oneword.engine.models.load`, in the process; it keeps what is loaded."""
        return SharedEncoder(self, config)

    def ask(self, what: str, *given: Any) -> Any:
        """Calls a method of `_Answers`. Raises what it raises, or ModelError if the process has ended."""
        while True:
            connection = None
            with suppress(Empty):
                connection = self._idle.get_nowait()
            fresh = connection is None
            try:
                connection = connection or Client(self._address.path, authkey=self._address.secret)
                connection.send((what, *given))
                outcome = connection.recv()
            except (EOFError, OSError) as error:
                if connection is not None:
                    connection.close()
                if fresh:  # else it was one to a process that has been replaced
                    raise ModelError("the process with the models has ended; another is started") from error
                continue
            self._idle.put(connection)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome


class _Answers:
    """The requests that the process answers; each method takes a model first. Use it from one event loop."""

    def __init__(self, config: ServerConfig) -> None:
        self._workers = Workers()
        self._models = Models(config, self._workers, Metrics())

    async def about(self, name: str, revision: str | None) -> _About:
        encoder = (await self._models.get(name, revision)).encoder
        gc.collect()
        gc.freeze()  # as in `health.warm_up`
        return await self._workers.run("slow", _about, encoder)

    async def embed(
        self, name: str, revision: str | None, inputs: Sequence[Input], view: View, side: Side
    ) -> list[Vectors | EngineError]:
        found = await (await self._models.get(name, revision)).embed(inputs, view, side)
        return [EncodingError(str(one), index=0) if isinstance(one, EngineError) else one for one in found]

    async def say(self, name: str, revision: str | None, vectors: Vectors) -> Vectors:
        encoder: Any = (await self._models.get(name, revision)).encoder
        scores: Vectors = await self._workers.run("slow", encoder.say, vectors)
        return scores


def _about(encoder: Encoder) -> _About:
    return _About(
        name=encoder.name,
        dimension=encoder.dimension,
        chunk_tokens=encoder.chunk_tokens,
        text_tokens=encoder.text_tokens if isinstance(encoder, Limited) else None,
        tokenizer=encoder.tokenizer,
        space=encoder.space(DEFAULT),
        any_view=reads_any_view(encoder),
        vocabulary=encoder.vocabulary if isinstance(encoder, Speaker) else None,
    )


def run_models(config: ServerConfig, address: Address, ready: Connection) -> None:
    """The process: answers until the one that started it ends. Sends on `ready` once it listens.

    It ignores SIGTERM and SIGINT, which a terminal or a service manager sends to all: the others still need it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    log_to_stderr(config.log_format)
    loop = asyncio.new_event_loop()
    answers = _Answers(config)
    threading.Thread(target=loop.run_forever, name="loop", daemon=True).start()

    def answer(connection: Connection) -> None:
        with suppress(EOFError, OSError), connection:
            while True:
                what, *given = connection.recv()
                try:
                    outcome = asyncio.run_coroutine_threadsafe(getattr(answers, what)(*given), loop).result()
                except Exception as error:
                    outcome = _portable(error)
                connection.send(outcome)

    def listen(listener: Listener) -> None:
        while True:
            threading.Thread(target=answer, args=(listener.accept(),), name="answer", daemon=True).start()

    listener = Listener(address.path, authkey=address.secret, backlog=BACKLOG)
    threading.Thread(target=listen, args=(listener,), name="listen", daemon=True).start()
    ready.send(True)
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])


def _portable(error: Exception) -> Exception:
    """The error, or where it cannot be sent to another process, one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return ModelError(str(error)) if isinstance(error, EngineError) else RuntimeError(repr(error))
    return error
