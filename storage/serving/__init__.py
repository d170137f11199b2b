"""The serving index: FAISS over the vectors of one version of a collection's table, for speed.

The table is the truth. An index is derived from it, lies beside it, and can be deleted at any time. Which of its rows
still hold is told by the table at every search: what was written since is compared exactly and merged, what was
deleted or replaced is left out.
"""
