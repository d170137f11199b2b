"""The ANN index: FAISS over the vectors of one version of a collection's table.

The table is the source of truth. An index is derived from it, is stored beside it and can be deleted at any time. Each
search asks the table which rows of the index are still valid: rows written since the build are compared exactly and
merged, deleted and replaced rows are left out.
"""
