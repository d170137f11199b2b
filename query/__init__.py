"""From a query to hits: texts, images, edits of images, stored items and raw vectors, in any mix.

>>> from oneword.query import SearchService
>>> service = SearchService(".oneword")
>>> for hit in service.search("a cat"):
...     print(hit.score, hit.uri)
>>> service.search(image="cat.jpg", edit="the same, but a dog")

The public names are those of `__init__.pyi`, and are imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
