"""Writes docs/models.md from `oneword.engine.catalog`: `python docs/models.py`. A test compares them."""

from pathlib import Path

from oneword.engine.catalog import descriptions
from oneword.engine.evaluation.row import HEAD as TABLE
from oneword.engine.evaluation.row import row

HEAD = """# Models

<!-- Written by `python docs/models.py` from engine/models.toml. -->

`oneword models` lists what is known and what each lacks on this machine; `oneword models pull NAME` downloads one.
`--model auto`, the default, takes in this order: what the collection was made with; what `ONEWORD_MODEL` names; the
first model of this list whose weights are in the local cache and that runs well here (those over 2 GB want a GPU);
`basic`. At a terminal, `oneword index` offers to download SigLIP 2 before it makes a collection of `basic`.

Any other Hugging Face id or folder is loaded as what its files say it is: a `modules.json` by sentence-transformers;
`model_type` `clip`, `siglip`, `siglip2`, `metaclip_2` or `llava_next` in `config.json` by transformers. Weights are
read from safetensors alone, and code that comes with a model is never run.

"""

MEASURED = {
    "basic": "[benchmarks](benchmarks.md#basic)",
    "mini": "[benchmarks](benchmarks.md)",
}
"""Where a model's own figures stand that were measured here."""

TAIL = """
Figures are percent, as published at the source named. Where "measured here" says none, the weights were not at hand:
`oneword eval text-image --data FOLDER --model NAME` measures a model, known or not, and prints its row of this table.

- **Dimensions** in parentheses: lengths that a model was trained to be cut to: `oneword index photos --model NAME
  --dimensions N`. Others are refused.
- **Queries and documents.** Models of sentence-transformers have a prompt for each; indexing takes the document's,
  searching the query's; `/v1/embeddings` takes `input_type`, `query` or `document`.
- **An edit** of an image goes through the model together with it in one forward pass, or is added to it as a unit
  vector of the same weight.
- **Texts** are cut at the model's limit (SigLIP 64 tokens, CLIP 77, others 512); in bulk, longer ones are first cut
  into passages, and longer captions at the end of a sentence, which the job reports.
- CLIP and SigLIP place images and texts apart: in a collection of both, a text finds texts first. Search one of them
  (`--modality image`), or keep two collections.
- Qwen3-VL, Nemotron and EmbeddingGemma need torchvision for their image processors. They have not been run here; the
  loader is tested with small models of the same format.
"""


def page() -> str:
    """Returns the whole page."""
    rows = (row(model, MEASURED.get(model.name, "none")) for model in descriptions())
    return HEAD + TABLE + "".join(rows) + TAIL


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
