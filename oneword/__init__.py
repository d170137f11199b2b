"""Multimodal vector search: find images and texts by words, by an image, or by an image and an edit.

The parts: `oneword.engine` embeds, `oneword.storage` keeps, `oneword.indexer` fills a store, `oneword.query` answers.
"""
