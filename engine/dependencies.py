"""Optional packages: checked by name, and kept quiet."""

import contextlib
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from oneword.engine.errors import MissingDependency


def require(*packages: str, what: str = "E5-V", extra: str = "e5v") -> None:
    """Raises `MissingDependency` if one of the packages is not installed."""
    absent = [package for package in packages if find_spec(package) is None]
    if absent:
        raise MissingDependency(f'{what} needs {", ".join(absent)}, not installed here: pip install "oneword[{extra}]"')


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses transformers' log lines and progress bars: what matters is raised as an error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft still uses a deprecated argument of transformers
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
