"""Texts that the model `hash` tells apart: the nearest item of each is the one that has it."""

from hashlib import blake2b

BASE = "base"
"""Items of that kind are there from the beginning, and nobody writes them."""


def base_id(number: int) -> str:
    """The id of the base's item of that number."""
    return f"{BASE}-{number:06d}"


def text_of(item_id: str, edition: int = 0) -> str:
    """Eight words of hexadecimal digits, which follow from the id and how often it was changed."""
    digits = blake2b(f"{item_id}/{edition}".encode(), digest_size=24).hexdigest()
    return " ".join(digits[start : start + 6] for start in range(0, len(digits), 6))
