"""Names of files' parts, and marks by which a file that changed is known."""

import os
import re

ETAG = "_etag"
"""Metadata of every item whose content was read from a file: changes whenever the file may have changed."""

PART = re.compile(r"#((?:page=|t=)\d[\d.,]*)$")
"""End of the URI of a part of a file: a page (RFC 8118) or a span of time in seconds (W3C Media Fragments)."""


def whole(uri: str) -> str:
    """Returns the URI of the file that some URI is a part of. Fragments of content on the web are its own."""
    return uri if uri.lower().startswith(("http://", "https://")) else PART.sub("", uri)


def part_of(uri: str) -> str | None:
    """Returns the part that a URI names, such as `page=3` or `t=12.5,17`; None for one of all of a file."""
    file = whole(uri)
    return None if file == uri else uri[len(file) + 1 :]


def mark(about: os.stat_result) -> str:
    """Returns the mark of a local file: its time and size."""
    return f"{about.st_mtime_ns:x}-{about.st_size:x}"
