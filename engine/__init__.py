"""Turns text, an image, or both into a unit vector.

    >>> from oneword.engine import Text, encode, load, views
    >>> encoder = load("auto")
    >>> encode(encoder, [Text(text="a cat on a sofa")], views.DEFAULT).shape
    (1, 384)

The public names are those of `__init__.pyi`, and are imported when they are first used: torch takes seconds to load.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
