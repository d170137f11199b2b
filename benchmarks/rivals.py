"""What is compared: each rival builds in one process and serves in another, from what the first left on disk.

All get the same rows and give back the rows of the ten nearest. Oneword and LanceDB also give back the items (id, uri,
text, metadata); the others give numbers only. Every rival may use both cores to build.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from lancedb_rival import Lance
from rival import NEAREST, Base, Setting, Vectors, Window, faiss_threads, powers, text_of, uri_of

SPACE = {"fingerprint": "benchmark", "model": "drawn", "view": "drawn"}


class Oneword(Base):
    """Our own, with its items; it tunes itself."""

    filters = "its filter language"
    choices = (0, 1)

    def fill(self) -> None:
        """Upserts the items."""
        from oneword.storage import Item, Store

        collection = Store(self.folder).create("a", SPACE | {"dimension": self.data.dimension})
        for start, chunk in self.data.chunks():
            collection.upsert(
                Item(
                    id=str(row),
                    modality="image",
                    uri=uri_of(row),
                    content_hash=str(row),
                    text=text_of(row),
                    vector=vector,
                    metadata={"n": int(self.data.numbers[row])},
                )
                for row, vector in enumerate(chunk.astype(np.float32), start)
            )

    def build(self) -> None:
        """The ANN index alone."""
        from oneword.storage import Store

        Store(self.folder).open("a").build_index()

    def open(self) -> str:
        """The index is loaded by the first search."""
        from oneword.storage import Store

        self.collection = Store(self.folder).open("a")
        self.collection.search(np.eye(1, self.data.dimension, dtype=np.float32)[0])
        about = self.collection.index_info()
        effort = asdict(about.effort) if is_dataclass(about.effort) else about.effort
        return json.dumps({"kind": about.kind, "effort": effort, "recall when built": about.recall}, default=str)

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:  # noqa: ARG002
        """With the items."""
        where = None if window is None else str(window)
        hits = self.collection.search(question, limit=NEAREST, filter=where, thumbnails=False)
        return [int(hit.item.id) for hit in hits]

    def threads(self, count: int) -> None:
        """FAISS's."""
        faiss_threads(count)

    def bytes(self) -> dict[str, int]:
        """All beside the table is the index."""
        sizes = {"index": 0, "table": 0}
        for file in self.folder.rglob("*"):
            if file.is_file():
                inside = file.relative_to(self.folder).parts[0].endswith(".lance")
                sizes["table" if inside else "index"] += file.stat().st_size
        return sizes


class Faiss(Base):
    """Lists as many as Oneword's, over all dimensions, trained and tuned by itself: no items, no freshness, a filter's
    bitmap always at hand. (FAISS's own PCAR512 centres vectors, which biases inner products: recall 0.92 at most.)"""

    filters = "IDSelectorBitmap, made beforehand"
    choices = (0, 1)

    def build(self) -> None:
        """Trains on as many rows as its lists ask for, adds, and writes."""
        import faiss

        kind = self.options["kind"]
        self.index = faiss.index_factory(self.data.dimension, kind, faiss.METRIC_INNER_PRODUCT)
        lists = _lists(self.index)
        drawn = np.sort(np.random.default_rng(0).permutation(self.data.count)[: max(lists * 160, 10_000)])
        self.index.train(self.data.vectors[drawn].astype(np.float32))
        for _, chunk in self.data.chunks():
            self.index.add(chunk.astype(np.float32))
        faiss.write_index(self.index, str(self.file))

    def open(self) -> str:
        """Into memory."""
        import faiss

        self.index = faiss.read_index(str(self.file))
        self.lists = _lists(self.index)
        self._selector = lru_cache(self._selector_of)
        return str(self.options["kind"])

    def _selector_of(self, window: Window) -> Any:
        import faiss

        return faiss.IDSelectorBitmap(np.packbits(self.data.allowed(window), bitorder="little"))

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:
        """Row numbers."""
        import faiss

        selector = None if window is None else self._selector(window)
        if self.lists:
            inner = faiss.SearchParametersIVF(sel=selector, nprobe=setting["nprobe"])
            if setting["k_factor"]:
                inner = faiss.IndexRefineSearchParameters(k_factor=setting["k_factor"], base_index_params=inner)
        else:
            inner = faiss.SearchParameters(sel=selector)
        return self.index.search(question[None], NEAREST, params=inner)[1][0].tolist()

    def ladders(self) -> list[list[Setting]]:
        """Probes for each factor of refinement."""
        if not self.lists:
            return []
        factors = (2, 4, 8, 16, 32) if "Refine" in self.options["kind"] else (0,)
        return [[{"nprobe": probes, "k_factor": factor} for probes in powers(self.lists)] for factor in factors]

    def threads(self, count: int) -> None:
        """OpenMP's."""
        faiss_threads(count)


class FaissOnOurs(Base):
    """FAISS alone on the very index that Oneword built, with its effort: no items, no freshness, float32 scores."""

    choices = (0, 1)

    def build(self) -> None:
        """Oneword did."""

    def open(self) -> str:
        """Lists into memory, vectors mapped, as Oneword does."""
        import faiss
        import lancedb

        (ours,) = (self.folder.parent / "oneword").glob("a.serving/*")
        about = json.loads((ours / "about.json").read_text())
        flat = faiss.read_index(str(ours / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
        self.index, self.parameters = flat, None
        if about["effort"] is not None:
            lists = faiss.read_index(str(ours / "lists.faiss"))
            effort = about["effort"]["effort"]
            if "HNSW" in about["kind"]:
                inner = faiss.SearchParametersHNSW(efSearch=effort)
            else:
                inner = faiss.SearchParametersIVF(nprobe=effort)
            if isinstance(lists, faiss.IndexPreTransform):
                inner = faiss.SearchParametersPreTransform(index_params=inner)
            self.parts, self.index = (lists, flat), faiss.IndexRefine(lists, flat)
            keep = about["effort"]["keep"]
            self.parameters = faiss.IndexRefineSearchParameters(k_factor=keep, base_index_params=inner)
        self.sizes = {"index": sum(file.stat().st_size for file in ours.glob("*.faiss")), "table": 0}
        table = lancedb.connect(self.folder.parent / "oneword").open_table("a")
        rows = table.search().select(["id"]).with_row_id(True).to_arrow()
        numbers = dict(zip(rows["_rowid"].to_pylist(), map(int, rows["id"].to_pylist()), strict=True))
        self.numbers = np.array([numbers[address] for address in np.load(ours / "addresses.npy").tolist()])
        return str(about["kind"])

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:  # noqa: ARG002
        """Row numbers."""
        return self.numbers[self.index.search(question[None], NEAREST, params=self.parameters)[1][0]].tolist()

    def threads(self, count: int) -> None:
        """OpenMP's."""
        faiss_threads(count)

    def bytes(self) -> dict[str, int]:
        """Of FAISS's files among Oneword's."""
        return self.sizes


class Hnswlib(Base):
    """M 16, ef_construction 200, float32."""

    filters = "a Python callback"

    def build(self) -> None:
        """Both cores."""
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=self.data.dimension)
        self.index.init_index(max_elements=self.data.count, M=16, ef_construction=200, random_seed=0)
        for start, chunk in self.data.chunks():
            self.index.add_items(chunk.astype(np.float32), np.arange(start, start + len(chunk)))

    def save(self) -> None:
        """As it does."""
        self.index.save_index(str(self.file))

    def open(self) -> str:
        """Into memory."""
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=self.data.dimension)
        self.index.load_index(str(self.file))
        return "M 16, ef_construction 200, float32"

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:
        """Row numbers."""
        self.index.set_ef(setting["ef"])
        condition: Callable[[int], bool] | None = None
        if window is not None:
            numbers, start, stop = self.data.numbers, window.start, window.stop

            def condition(row: int) -> bool:
                return bool(start <= numbers[row] < stop)

        try:
            return self.index.knn_query(question, NEAREST, num_threads=1, filter=condition)[0][0].tolist()
        except RuntimeError:  # it found fewer than ten
            return []

    def ladders(self) -> list[list[Setting]]:
        """How many candidates are kept."""
        return [[{"ef": ef} for ef in (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)]]


class Usearch(Base):
    """Connectivity 16, expansion 128 to add, float16."""

    def build(self) -> None:
        """Both cores."""
        from usearch.index import Index

        self.index = Index(ndim=self.data.dimension, metric="ip", dtype="f16", connectivity=16, expansion_add=128)
        for start, chunk in self.data.chunks():
            self.index.add(np.arange(start, start + len(chunk)), chunk, threads=os.cpu_count() or 1)

    def save(self) -> None:
        """As it does."""
        self.index.save(str(self.file))

    def open(self) -> str:
        """Into memory."""
        from usearch.index import Index

        self.index = Index.restore(str(self.file))
        return "connectivity 16, expansion_add 128, float16"

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:  # noqa: ARG002
        """Row numbers."""
        self.index.expansion_search = setting["expansion_search"]
        return self.index.search(question.astype(np.float16), NEAREST, threads=1).keys.tolist()

    def ladders(self) -> list[list[Setting]]:
        """How many candidates are kept."""
        sizes = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
        return [[{"expansion_search": size} for size in sizes]]


class Numpy(Base):
    """Every vector, float32, one matrix product; of few allowed rows only those."""

    filters = "a mask, made beforehand"
    choices = (0, 1)

    def build(self) -> None:
        """Nothing to build."""

    def open(self) -> str:
        """Into memory."""
        self.matrix = np.empty(self.data.vectors.shape, np.float32)
        for start, chunk in self.data.chunks():
            self.matrix[start : start + len(chunk)] = chunk
        self._rows = lru_cache(lambda window: np.flatnonzero(self.data.allowed(window)))
        return "float32"

    def threads(self, count: int) -> None:
        """BLAS's, which all callers share."""
        import threadpoolctl

        threadpoolctl.threadpool_limits(count or os.cpu_count())

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:  # noqa: ARG002
        """Row numbers."""
        if window is None:
            scores, rows = self.matrix @ question, None
        else:
            rows = self._rows(window)
            few = len(rows) * 5 < self.data.count  # gathering costs more than multiplying
            scores = self.matrix[rows] @ question if few else (self.matrix @ question)[rows]
        best = np.argpartition(-scores, NEAREST - 1)[:NEAREST]
        best = best[np.argsort(-scores[best])]
        return (best if rows is None else rows[best]).tolist()

    def bytes(self) -> dict[str, int]:
        """What it read."""
        return {"index": (self.data.folder / "vectors.npy").stat().st_size * 2, "table": 0}


RIVALS: dict[str, tuple[type[Base], dict[str, Any]]] = {
    "oneword": (Oneword, {}),
    "lancedb IVF_RQ": (Lance, {"kind": "IVF_RQ", "bits": 5}),
    "lancedb IVF_RQ, 1 bit": (Lance, {"kind": "IVF_RQ", "bits": 1}),
    "lancedb IVF_RQ, 3 bits": (Lance, {"kind": "IVF_RQ", "bits": 3}),
    "lancedb IVF_RQ, 8 bits": (Lance, {"kind": "IVF_RQ", "bits": 8}),
    "lancedb IVF_RQ, more partitions": (Lance, {"kind": "IVF_RQ", "bits": 5, "times": 4}),
    "lancedb IVF_SQ": (Lance, {"kind": "IVF_SQ"}),
    "lancedb IVF_HNSW_SQ": (Lance, {"kind": "IVF_HNSW_SQ"}),
    "faiss": (Faiss, {}),
    "faiss on our index": (FaissOnOurs, {}),
    "hnswlib": (Hnswlib, {}),
    "usearch": (Usearch, {}),
    "numpy": (Numpy, {}),
}


def _lists(index: Any) -> int:
    """Of an inverted file, also under others; 0 if there is none."""
    import faiss

    inner = faiss.try_extract_index_ivf(faiss.downcast_index(index))
    return 0 if inner is None else int(inner.nlist)
