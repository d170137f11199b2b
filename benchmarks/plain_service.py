"""What one writes first: FastAPI and LanceDB as their documentation shows, around our encoder.

    python benchmarks/plain_service.py STORE TABLE MODEL PORT

One endpoint, one text, the ten nearest. No batching, no cache, no limits, no keys, no versions.
"""

import sys
from pathlib import Path
from typing import Any

import lancedb
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oneword.engine import Text, encode, load, views
from oneword.engine.encoder import Side

store, table_name, model, port = sys.argv[1:]
app = FastAPI()
table = lancedb.connect(store).open_table(table_name)
encoder = load(model)


class Question(BaseModel):
    """What to search by."""

    text: str
    limit: int = 10


@app.post("/search")
def search(question: Question) -> list[dict[str, Any]]:
    """The nearest."""
    vector = encode(encoder, [Text(text=question.text)], views.DEFAULT, Side.QUERY)[0]
    found = table.search(vector).distance_type("cosine").limit(question.limit)
    return list(found.select(["id", "uri", "text", "_distance"]).to_list())


uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")
