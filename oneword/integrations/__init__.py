"""Oneword where other frameworks expect a store, a retriever or a model: one file each, imported only when it is used.

    from oneword.integrations.langchain import OnewordVectorStore
    from oneword.integrations.llama_index import OnewordVectorStore
    from oneword.integrations.haystack import OnewordDocumentStore
    from oneword.integrations.sentence_transformers import as_sentence_transformer

Each works on a collection of `oneword.connect`, here or behind a service.
"""
