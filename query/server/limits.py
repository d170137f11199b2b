"""How much one request may hold. The numbers are our own choice; they stand in /openapi.json."""

MAX_TEXT = 100_000
"""Characters of a text or an edit: more than any model reads."""

MAX_FILTER = 10_000
"""Characters of a filter in words."""

MAX_NAME = 1_000
"""Characters of an id, a URI, a name."""

MAX_PARTS = 32
"""Parts of a query."""

MAX_QUERIES = 64
"""Queries of a batch."""

MAX_ITEMS = 1_000
"""Items in one upsert, get, or page; ids in one delete."""

MAX_INPUTS = 256
"""Inputs of one request for embeddings."""

MAX_DIMENSION = 65_536
"""Numbers in a vector."""

MAX_UPLOADS = MAX_ITEMS
"""Files in one multipart request."""

MAX_ANSWER = 64 * 2**20
"""Bytes of an answer in JSON."""

MAX_ANSWERS = 4 * MAX_ANSWER
"""Bytes of answers that are held for clients to read, over all requests."""

MAX_HEAVY = 1_000
"""Hits that come with vectors or thumbnails."""
