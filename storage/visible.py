"""Strings from stores, files and servers, made safe to print on a terminal."""

import re

# Control characters (C0 and C1), line and paragraph separators, marks that change the direction of text, marks that
# belong to no text (BOM, interlinear annotation, tags) and lone surrogates.
OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """`text` in one line, with escapes for what a terminal would interpret instead of showing.

    Every string that comes from a store, a file or a server passes through here on its way to a terminal.
    """
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
