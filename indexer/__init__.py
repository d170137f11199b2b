"""Gets images and texts into a collection, in bulk and without losing any.

>>> from oneword.indexer import SourceOptions, index_paths
>>> report = index_paths(["photos/", "captions.csv"], db=".oneword", options=SourceOptions(text_column="caption"))
>>> report.indexed, report.unchanged, report.quarantined
(1200, 0, 3)

The public names are those of `__init__.pyi`, and are imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
