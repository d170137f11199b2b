"""LanceDB's own indexes, as its documentation builds and tunes them."""

import json
from collections.abc import Iterator

import numpy as np
from rival import NEAREST, Base, Setting, Vectors, Window, powers, text_of, uri_of


class Lance(Base):
    """LanceDB's own index, with its items. A scalar index on the number that filters ask for."""

    filters = "where(), prefilter, BTREE index on the column"

    def fill(self) -> None:
        """Writes the table."""
        import lancedb
        import pyarrow as pa

        names = ("id", "uri", "text", "metadata")
        vector = pa.list_(pa.float16(), self.data.dimension)
        fields = [*((name, pa.string()) for name in names), ("n", pa.int64()), ("vector", vector)]
        schema = pa.schema(fields)

        def batches() -> Iterator[pa.RecordBatch]:
            for start, chunk in self.data.chunks():
                rows = range(start, start + len(chunk))
                numbers = self.data.numbers[start : start + len(chunk)]
                yield pa.record_batch(
                    [
                        pa.array([str(row) for row in rows]),
                        pa.array([uri_of(row) for row in rows]),
                        pa.array([text_of(row) for row in rows]),
                        pa.array([json.dumps({"n": int(number)}) for number in numbers]),
                        pa.array(numbers),
                        pa.FixedSizeListArray.from_arrays(pa.array(chunk.ravel()), self.data.dimension),
                    ],
                    schema=schema,
                )

        table = lancedb.connect(self.folder).create_table("a", pa.RecordBatchReader.from_batches(schema, batches()))
        table.create_scalar_index("n")

    @property
    def partitions(self) -> int:
        """As many as served best in a pilot, or `times` as many; for graphs one, as LanceDB recommends."""
        return 1 if "HNSW" in self.options["kind"] else self.data.lists * int(self.options.get("times", 1))

    def build(self) -> None:
        """The vector index alone, by the call that LanceDB documents."""
        import lancedb
        from lancedb.index import HnswSq, IvfRq, IvfSq

        named = {"distance_type": "cosine", "num_partitions": self.partitions}
        if self.options["kind"] == "IVF_RQ":
            config = IvfRq(**named, num_bits=self.options["bits"])
        else:
            config = {"IVF_SQ": IvfSq, "IVF_HNSW_SQ": HnswSq}[self.options["kind"]](**named)
        lancedb.connect(self.folder).open_table("a").create_index("vector", config=config)

    def open(self) -> str:
        """The index is loaded by the first searches."""
        import lancedb

        self.table = lancedb.connect(self.folder).open_table("a")
        bits = f", {self.options['bits']} bits" if "bits" in self.options else ""
        return f"{self.options['kind']}{bits}, {self.partitions} partitions"

    def search(self, question: Vectors, window: Window | None, setting: Setting) -> list[int]:
        """With the items."""
        query = self.table.search(question.astype(np.float16), vector_column_name="vector").distance_type("cosine")
        query = query.limit(NEAREST).nprobes(setting["nprobes"]).refine_factor(setting["refine_factor"])
        if "ef" in setting:
            query = query.ef(setting["ef"])
        if window is not None:
            query = query.where(str(window), prefilter=True)
        return [int(item["id"]) for item in query.select(["id", "uri", "text", "metadata", "_distance"]).to_list()]

    def ladders(self) -> list[list[Setting]]:
        """Probes, or candidates kept in the graph, for each factor of refinement."""
        factors = (2, 5, 10, 20)
        if self.partitions == 1:
            efforts = [{"nprobes": 1, "ef": ef} for ef in (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)]
        else:
            efforts = [{"nprobes": probes} for probes in powers(self.partitions)]
        return [[{**effort, "refine_factor": factor} for effort in efforts] for factor in factors]

    def bytes(self) -> dict[str, int]:
        """Lance keeps indexes in a folder of their own."""
        sizes = {"index": 0, "table": 0}
        for file in self.folder.rglob("*"):
            if file.is_file():
                sizes["index" if "_indices" in file.parts else "table"] += file.stat().st_size
        return sizes
