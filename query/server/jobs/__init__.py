"""Indexing jobs, each a process of its own."""
