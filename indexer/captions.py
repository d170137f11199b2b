"""What a caption file is to its picture."""

from enum import StrEnum


class Captions(StrEnum):
    """What a `.txt` beside a picture of the same stem is."""

    ATTACH = "attach"  # picture and caption are one item
    SEPARATE = "separate"  # two items
    IGNORE = "ignore"  # the picture alone
