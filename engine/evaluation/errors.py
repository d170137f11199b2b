"""What can be wrong with evaluation data."""

from oneword.engine.errors import EngineError


class BadData(EngineError):
    """A data set that is not there, or not in its published layout."""
