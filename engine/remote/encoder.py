"""A model on another machine, as an encoder."""

import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from oneword.engine.encoder import Side, Vectors
from oneword.engine.errors import EncodingError, InputError
from oneword.engine.inputs import Input, Text
from oneword.engine.remote import answers
from oneword.engine.remote.client import Client, Rejected, Stumbled
from oneword.engine.remote.dialect import Dialect, grouped
from oneword.engine.space import Space
from oneword.engine.views import View

WAVE = 4
"""Requests for each that may be in flight, between two pauses of `forward`: the last ones of a wave run with less
company, and a wave's vectors are lost if one of its inputs turns out bad."""


PLAIN = Text(text="a cat")
"""What no server stumbles over that works at all."""


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What goes to the server before the driver looks up again: the inputs, and the requests they are put into."""

    inputs: Sequence[Input]
    view: View
    side: Side
    groups: list[list[int]]


class RemoteEncoder:
    """An OpenAI-style embedding server behind the `Encoder` protocol. Made by `load_remote`.

    Args:
        name: what the model is called, as `oneword.engine.models.load` takes it.
        client: the server.
        dialect: its way of being asked.
    """

    def __init__(self, *, name: str, client: Client, dialect: Dialect) -> None:
        self.name = name
        self.dimension = dialect.dimension
        self.chunk_tokens = dialect.chunk_tokens
        self.text_tokens = dialect.text_tokens
        self._client = client
        self._dialect = dialect
        self._threads = ThreadPoolExecutor(max_workers=client.config.at_once, thread_name_prefix="remote")
        # Nobody closes an encoder; connections are closed when it is forgotten.
        self._end = weakref.finalize(self, _end, self._threads, client)

    @property
    def tokenizer(self) -> str | None:
        """See `Encoder.tokenizer`."""
        return self._dialect.tokenizer

    def space(self, view: View) -> Space:
        """The served model's space; see its dialect for how that is known."""
        return self._dialect.space(view)

    def plan(self, inputs: Sequence[Input], view: View, side: Side) -> list[list[int]]:  # noqa: ARG002
        """Waves of requests; inputs that can share one are brought together, else in the given order."""
        order = sorted(range(len(inputs)), key=lambda i: self._dialect.kind(inputs[i]) or "")
        groups = self._grouped([inputs[i] for i in order])
        most = WAVE * self._client.config.at_once
        waves = [groups[i : i + most] for i in range(0, len(groups), most)]
        return [[order[i] for group in wave for i in group] for wave in waves]

    def prepare(self, inputs: Sequence[Input], view: View, side: Side) -> Wave:
        """Groups them; bodies are written where they are sent, so that few images are held twice."""
        return Wave(inputs=inputs, view=view, side=side, groups=self._grouped(inputs))

    def forward(self, batch: Wave) -> Vectors:
        """Asks, several requests at once.

        Raises:
            EncodingError: the server refuses one of the inputs.
            RemoteUnavailable: the server does not answer, or not as it should.
        """
        vectors = np.empty((len(batch.inputs), self.dimension), dtype=np.float32)
        futures = [self._threads.submit(self._asked, batch, group) for group in batch.groups]
        try:
            for group, future in zip(batch.groups, futures, strict=True):
                vectors[group] = future.result()
        finally:
            for future in futures:
                future.cancel()
        return vectors

    def finish(self, raw: Vectors) -> Vectors:
        """Nothing left to do."""
        return raw

    def close(self) -> None:
        """Closes all connections, now."""
        self._end()

    def _asked(self, wave: Wave, group: list[int]) -> Vectors:
        """Vectors of one request. If it is refused, its halves are asked for, until it is known which input is bad.

        A server that stumbles over a request, and not over a plain text, is taken to refuse it.
        """
        inputs = [wave.inputs[i] for i in group]
        try:
            body = self._dialect.body(inputs, wave.view, wave.side)
            answer = self._client.post("/embeddings", body)
        except (Rejected, InputError, Stumbled) as error:
            if isinstance(error, Stumbled):
                self._client.post("/embeddings", self._dialect.body([PLAIN], wave.view, wave.side))
            if len(group) == 1:
                kind = type(inputs[0]).__name__
                raise EncodingError(f"{self.name}: {kind} refused: {error}", index=group[0]) from error
            middle = len(group) // 2
            return np.concatenate([self._asked(wave, group[:middle]), self._asked(wave, group[middle:])])
        vectors = answers.vectors(answer, len(inputs), self.dimension)
        self._dialect.check(answer, inputs, wave.view, wave.side)
        return vectors

    def _grouped(self, inputs: Sequence[Input]) -> list[list[int]]:
        config = self._client.config
        return grouped(inputs, self._dialect, config.batch_size, config.batch_pixels)


def _end(threads: ThreadPoolExecutor, client: Client) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    client.close()
