"""Limits of one request. The numbers are our own choice; /openapi.json has them."""

MAX_TEXT = 100_000
"""Characters of a text or an edit: more than any model reads."""

MAX_FILTER = 10_000
"""Characters of a filter expression."""

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
"""Bytes of a JSON response."""

MAX_ANSWERS = 4 * MAX_ANSWER
"""Bytes of responses in memory that clients have not read yet, over all requests."""

MAX_HEAVY = 1_000
"""Hits that come with vectors or thumbnails."""
