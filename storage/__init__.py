"""Items and their vectors, in LanceDB. Knows nothing of models or HTTP.

    store = Store(".oneword")
    photos = store.open_or_create("photos", space)
    photos.upsert(items)
    hits = photos.search(vector, filter='year >= 2020')

The public names are those of `__init__.pyi`, and are imported when they are first used: LanceDB, Arrow and numpy take
a second to load.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
