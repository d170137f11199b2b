"""The best hits judged again by a reranker, within a deadline; else the first ranking stays."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from oneword.engine.config import EngineConfig
from oneword.engine.errors import InputError
from oneword.engine.images import decode
from oneword.engine.inputs import images_of, texts_of
from oneword.query.errors import BadQuery
from oneword.query.mixing import PreparedQuery
from oneword.query.result import Hit, Reranked

if TYPE_CHECKING:
    from oneword.engine.reranker import Reranker

log = logging.getLogger(__name__)

AUTO = "auto"
"""The service's own reranker, whatever it is called."""

MOST_PIXELS = 2**22
"""Of a thumbnail; ours have at most 2**16."""

KEPT = 64
"""Rankings that are kept, so that the next page of a query is not judged anew."""


class Judge:
    """A reranker with a thread of its own, as its model is not for two at a time. For any number of threads."""

    def __init__(self, reranker: "Reranker") -> None:
        self.reranker = reranker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rerank")
        self._kept: OrderedDict[bytes, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def rerank(self, query: PreparedQuery, hits: Sequence[Hit], seconds: float) -> tuple[tuple[Hit, ...], Reranked]:
        """Returns the hits in a new order, or as they were, and which of both happened.

        What the reranker cannot read, such as an image for a model of texts, keeps its rank.

        Args:
            hits: with thumbnails, which stand for images.
            seconds: to wait at most.

        Raises:
            BadQuery: the query has nothing that the reranker reads.
        """
        began = time.monotonic()
        asked = self._query(query)
        documents = {place: one for place, hit in enumerate(hits) if (one := self._document(hit)) is not None}
        digest = _digest(asked, [hits[place] for place in documents])
        scores, reason = self._scores(digest, asked, list(documents.values()), began + seconds)
        report = Reranked(
            model=self.reranker.name,
            judged=len(documents) if scores is not None else 0,
            reason=reason,
            ms=1000 * (time.monotonic() - began),
        )
        if scores is None:
            return tuple(hits), report
        judged = [replace(hits[place], rerank_score=score) for place, score in zip(documents, scores, strict=True)]
        order = dict(zip(documents, sorted(judged, key=lambda hit: -(hit.rerank_score or 0.0)), strict=True))
        return tuple(order.get(place, hit) for place, hit in enumerate(hits)), report

    def _scores(
        self, digest: bytes, query: Any, documents: Sequence[Any], end: float
    ) -> tuple[list[float] | None, str | None]:
        """The scores, or why there are none."""
        with self._lock:
            if (kept := self._kept.get(digest)) is not None:
                return kept, None
        ended = threading.Event()
        future = self._thread.submit(self.reranker.scores, query, documents, ended.is_set)
        try:
            scores = future.result(timeout=max(0.0, end - time.monotonic()))
        except TimeoutError:
            ended.set()
            future.cancel()
            return None, "the deadline passed"
        except Exception as error:  # of the model, or of what its processor refuses
            log.warning("reranker %r failed", self.reranker.name, exc_info=error)
            return None, f"the reranker failed ({type(error).__name__})"
        if scores is None or not np.isfinite(scores).all():
            return None, "the reranker gave a score that is not finite"
        with self._lock:
            self._kept[digest] = scores
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return scores, None

    def _query(self, prepared: PreparedQuery) -> Any:
        """What the query asks for, as the reranker reads it: without what hits should be unlike."""
        wanted = [one for place, one in prepared.inputs.items() if prepared.query.parts[place].weight > 0]
        texts = [text for one in wanted for text in texts_of(one)]
        if not texts and prepared.query.keywords is not None:
            texts = [prepared.query.keywords]
        readable = self.reranker.readable(texts, [image.pixels for one in wanted for image in images_of(one)])
        if readable is None:
            needed = "words or an image" if self.reranker.sees else "words"
            raise BadQuery(f"rerank: the query has nothing that {self.reranker.name!r} reads: expected {needed}")
        return readable

    def _document(self, hit: Hit) -> Any | None:
        images = []
        if hit.thumbnail is not None and self.reranker.sees:
            with suppress(InputError):  # of an import, which may bring anything
                images = [decode(hit.thumbnail, max_pixels=MOST_PIXELS)]
        return self.reranker.readable([hit.text] if hit.text else [], images)


class Rerankers:
    """Loads rerankers, each once. For any number of threads.

    Args:
        config: device and precision.
        only: the operator's choice, which `auto` is, too; empty: none. None: whichever is asked for.
        most: seconds that one may take, whatever is asked for.
        load: as `oneword.engine.reranker.load_reranker`, which is the default.
    """

    def __init__(
        self,
        config: EngineConfig,
        only: str | None = None,
        most: float = float("inf"),
        load: "Callable[..., Reranker] | None" = None,
    ) -> None:
        self.only, self.most = only, most
        self._config, self._load = config, load
        self._loaded: dict[str, Judge] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Judge:
        """Returns the reranker of that name, loaded.

        Raises:
            BadQuery: the operator loaded none, or another; or `auto` where there is no operator.
            ModelError: it cannot be loaded.
        """
        if self.only == "":
            raise BadQuery(f"rerank {name!r}: this service has no reranker: the operator loads one (serve --rerank)")
        if self.only is None and name == AUTO:
            raise BadQuery(f"rerank {name!r}: expected a model: a Hugging Face id, or a folder")
        if self.only is not None and name not in (AUTO, self.only):
            raise BadQuery(f"rerank {name[:100]!r}: this service has another reranker: expected {AUTO!r}")
        chosen = self.only or name
        with self._lock:  # one at a time: two may not fit
            if chosen not in self._loaded:
                if self._load is None:
                    from oneword.engine.reranker import load_reranker as load
                else:
                    load = self._load
                self._loaded[chosen] = Judge(load(chosen, device=self._config.device, dtype=self._config.dtype))
            return self._loaded[chosen]


def _digest(query: Any, hits: Sequence[Hit]) -> bytes:
    """Of what is judged: the same query and hits have the same scores."""
    sha = sha256()
    images = query.get("image") if isinstance(query, dict) else None if isinstance(query, str) else query
    words = query.get("text", "") if isinstance(query, dict) else query if isinstance(query, str) else ""
    several = images if isinstance(images, list) else [] if images is None else [images]
    pieces = [words.encode(), *(part for one in several for part in (str(one.size).encode(), one.tobytes()))]
    pieces += [part for hit in hits for part in ((hit.text or "").encode(), hit.thumbnail or b"")]
    for piece in pieces:
        sha.update(len(piece).to_bytes(8, "big"))
        sha.update(piece)
    return sha.digest()
