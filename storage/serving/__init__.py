"""The serving index: FAISS over the vectors of one version of a collection's table.

Derived from the table, and safe to delete at any time.
"""
