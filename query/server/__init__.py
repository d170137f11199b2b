"""Serves searches, items, collections, jobs and embeddings over HTTP."""
