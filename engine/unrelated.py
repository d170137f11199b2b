"""Texts of many subjects, to learn how high a collection's best hit scores for what it does not have."""

import json
import logging
from pathlib import Path

from oneword.engine.encoder import Encoder, Side, Vectors
from oneword.engine.encoding import encode
from oneword.engine.errors import EngineError
from oneword.engine.inputs import Text
from oneword.engine.views import View

log = logging.getLogger(__name__)

PHRASES: tuple[str, ...] = tuple(json.loads(Path(__file__).with_name("unrelated.json").read_text(encoding="utf-8")))
"""Written for this; in a varied collection some of them do fit, which makes confidence lower, never higher."""


def unrelated(encoder: Encoder, view: View) -> Vectors | None:
    """Vectors of `PHRASES` as queries, float32 (n, d), unit length; None, with a warning, where the model fails."""
    try:
        return encode(encoder, [Text(text=phrase) for phrase in PHRASES], view, Side.QUERY)
    except EngineError as error:
        log.warning("hits by texts get no confidence, as the model %s cannot embed texts: %s", encoder.name, error)
        return None
