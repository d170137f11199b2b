"""Names content by its bytes."""

import hashlib
from pathlib import Path


def digest(*files: Path, text: str) -> str:
    """SHA-256 (hex) over files and a text."""
    sha = hashlib.sha256(text.encode())
    for path in files:
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()
