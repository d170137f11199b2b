"""Writes docs/models.md from `oneword.engine.catalog`: `python docs/models.py`. A test compares them."""

from pathlib import Path

from oneword.engine.catalog import READING, descriptions
from oneword.engine.evaluation.row import HEAD as TABLE
from oneword.engine.evaluation.row import row

HEAD = """# Models

<!-- Written by `python docs/models.py` from engine/models.toml. -->

`oneword models` lists what is known and what each lacks on this machine; `oneword models pull NAME` downloads one.
`--model auto`, the default, takes in this order: what the collection was made with; what `ONEWORD_MODEL` names; the
first model of this list whose weights are in the local cache and that runs well here (those over 2 GB want a GPU);
`basic`. At a terminal, `oneword index` offers to download SigLIP 2 before it makes a collection of `basic`.

Any other Hugging Face id or folder is loaded as what its files say it is:

| Files | loaded by | extra |
|---|---|---|
| `modules.json` | sentence-transformers | `sentence-transformers` |
| `config.json`, `model_type` `clip`, `siglip`, `siglip2`, `metaclip_2` | transformers, as two towers | `models` |
| `llava_next` | transformers, by prompt, as [E5-V](e5v.md) | `e5v` |
| `qwen2_vl`, `qwen2_5_vl`, `qwen3_vl`, `llava_onevision`, `internvl` | transformers, by prompt | `models` |
| `idefics3`, `smolvlm`, `gemma3` | the same | `models` |
| `open_clip_config.json` | open_clip | `open-clip` |

Weights are read from safetensors alone. Code that comes with a model is run only if the environment variable
`ONEWORD_TRUST_REMOTE_CODE` has the model's name (several: separated by commas), or Python passes
`EngineConfig(trust_remote_code=True)`; no request and no collection can ask for it. It can do anything that you can:
read it first, and pin it by `--revision`.

"""

MEASURED = {
    "basic": "[benchmarks](benchmarks.md#basic)",
    "mini": "[benchmarks](benchmarks.md)",
}
"""Where a model's own figures stand that were measured here."""

TAIL = """
Figures are percent, as published at the source named. Where "measured here" says none, the weights were not at hand:
`oneword eval text-image --data FOLDER --model NAME` measures a model, known or not, and prints its row of this table.

| Loader | the vector is | texts are padded |
|---|---|---|
{reading}
- **On a GPU**: the weights in 16 bits; a batch takes more. In fp32, on a CPU, they take twice that.
- **Dimensions** in parentheses: lengths that a model was trained to be cut to: `oneword index photos --model NAME
  --dimensions N`. Others are refused.
- **Queries and documents.** Some models have a prompt for each ({sides}; others of sentence-transformers by their own
  files); indexing takes the document's, searching the query's; `/v1/embeddings` takes `input_type`, `query` or
  `document`.
- **An edit** of an image goes through the model together with it in one forward pass, or is added to it as a unit
  vector of the same weight.
- **Texts** are cut at the model's limit (SigLIP 64 tokens, CLIP 77, others 512); in bulk, longer ones are first cut
  into chunks, and longer captions at the end of a sentence, which the job reports; as do REST's answers and the
  command line of items and queries.
- **`--compile`** fuses the operations between matrix products (`torch.compile`): on an H200 E5-V is 1.2 times as fast,
  after 18 s at the first batches ([figures](benchmarks.md#on-a-gpu)). It is for large jobs on a GPU, not for queries.
- **On a CPU** that has bf16 (AVX512-BF16, AMX), `--dtype bf16` is 1.8 times as fast with CLIP B/32; vectors differ a
  little (cosine 0.9999), so it is not the default.
- CLIP and SigLIP place images and texts apart: in a collection of both, a text finds texts first. Search one of them
  (`--modality image`), or keep two collections.
- **By prompt** means E5-V's way: an image, a text or both in the model's chat template, with the view's prompt that
  ends in "in one word"; the vector is the last token's hidden state. Models that were trained to embed
  (Qwen3-VL-Embedding, GME, BGE-VL-MLLM) have prompts of their own, for queries and for documents, and follow no views.
  A model that was not trained for it may place texts and images apart: measure it first (`oneword eval`).
- **Not loaded here.** Of these models only `basic`, `mini`, `minilm` and `hash` have been run with their weights. Of
  every other format a small model with random weights is made in the tests, from its real configuration class: its
  vectors equal those of its own library, used as its documentation says, to 1e-5 in fp32
  (`tests/engine/test_contract.py`). Prompts of known models are compared with their repositories' code, rewritten in
  the tests.
- Images go through Pillow, without torchvision, but for models of open_clip, and of sentence-transformers where they
  need it (Nemotron, EmbeddingGemma). SmolVLM 2 needs `num2words`.
"""


def page() -> str:
    """Returns the whole page."""
    rows = (row(model, MEASURED.get(model.name, "none")) for model in descriptions())
    reading = "".join(f"| {loader} | {pooling} | {padding} |\n" for loader, (pooling, padding) in READING.items())
    sides = ", ".join(f"`{model.aliases[0]}`" for model in descriptions() if not model.symmetric)
    return HEAD + TABLE + "".join(rows) + TAIL.replace("{reading}", reading).replace("{sides}", sides)


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
