"""Pictures as published, compared with the very release that E5-V was measured with.

    pip install --target old --no-deps transformers==4.41.2 tokenizers==0.19.1 huggingface_hub==0.23.5 "numpy<2"
    python benchmarks/published.py old

A small random checkpoint with E5-V's geometry (tiles of 336 pixels, five grids) sees pictures of many shapes, once by
each preprocessing here, and once in another process by transformers 4.41.2, one at a time, as
kongds/E5-V:retrieval.py calls it. The last line is JSON: the largest difference of unit vectors, and tokens a picture.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SIDE = 336
SIZES = [
    *[(640, 480), (480, 640), (612, 612), (500, 375), (375, 500), (1024, 683), (500, 333), (333, 500), (300, 900)],
    *[(900, 300), (1200, 400), (800, 400), (100, 100), (50, 700), (57, 113), (152, 95)],
]


def pictures() -> list[PIL.Image.Image]:
    """Smooth noise of each size; the same in each process."""
    noise = np.random.default_rng(0)
    return [
        PIL.Image.fromarray(noise.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)).resize(
            (width, height)
        )
        for width, height in SIZES
    ]


def then(folder: Path) -> None:
    """Runs under 4.41.2: writes its vectors and numbers of tokens."""
    import torch
    import transformers
    from safetensors.torch import load_file
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextImageProcessor

    if transformers.__version__ != "4.41.2":
        raise SystemExit(f"transformers {transformers.__version__}: expected 4.41.2")
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text, vision = dict(described["text_config"]), dict(described["vision_config"])
    for part in (text, vision):
        part.pop("dtype", None)
    text["rope_theta"] = text.pop("rope_parameters", text)["rope_theta"]  # transformers 5 keeps it deeper
    config = LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=described["image_token_index"],
        image_grid_pinpoints=described["image_grid_pinpoints"],
        vision_feature_layer=described["vision_feature_layer"],
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    model = LlavaNextForConditionalGeneration(config).eval()
    weights = load_file(folder / "model.safetensors")
    names = {name: name.replace("vision_tower.", "vision_tower.vision_model.") for name in weights}
    names = {old: old if "vision_model" in old else new for old, new in names.items()}
    model.load_state_dict({names[name]: value for name, value in weights.items()})
    processor = LlavaNextImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=described["image_grid_pinpoints"],
    )
    ids = torch.tensor([json.loads((folder / "ids.json").read_text())])
    vectors, tokens = [], []
    for picture in pictures():
        seen = processor(picture, return_tensors="pt")
        with torch.no_grad():
            states = model(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True, return_dict=True, **seen
            ).hidden_states[-1]
        vectors.append(torch.nn.functional.normalize(states[0, -1], dim=-1).numpy())
        tokens.append(states.shape[1] - ids.shape[1] + 1)
    np.savez(folder / "then.npz", vectors=np.stack(vectors), tokens=tokens)


def now(folder: Path, preprocessing: str) -> tuple[Any, list[int]]:
    """Vectors and numbers of tokens here; leaves the prompt's ids for the other process."""
    from oneword.engine import Image, encode, views
    from oneword.engine.e5v import load_e5v

    encoder = load_e5v(str(folder), device="cpu", preprocessing=preprocessing)
    ids = encoder.tokens.text_ids(views.DEFAULT.gallery.image, ())
    (folder / "ids.json").write_text(json.dumps(list(ids)))
    vectors = encode(encoder, [Image(pixels=picture) for picture in pictures()], views.DEFAULT)
    return vectors, [encoder.image_processor.tokens(size) for size in SIZES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="the folder with transformers 4.41.2")
    parser.add_argument("--then", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.then:
        then(given.then)
        return
    from tests.tiny import make_checkpoint

    with tempfile.TemporaryDirectory() as made:
        folder = make_checkpoint(Path(made), image_size=SIDE)
        found = {name: now(folder, name) for name in ("standard", "as-published")}
        path = os.pathsep.join([str(given.old.resolve()), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, __file__, str(given.old), "--then", str(folder)]
        subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True)
        old = np.load(folder / "then.npz")
        apart = {name: np.abs(vectors - old["vectors"]).max(axis=1) for name, (vectors, _) in found.items()}
    rows = zip(SIZES, old["tokens"].tolist(), found["standard"][1], *apart.values(), strict=True)
    print("picture      tokens then, now   difference: standard, as published")
    for (width, height), tokens, other, standard, published in rows:
        print(f"{width:>4} x {height:<5} {tokens:>8} {other:>8} {standard:>20.1e} {published:>13.1e}")
    print(
        json.dumps(
            {name: float(f"{one.max():.2g}") for name, one in apart.items()}
            | {"tokens_equal": found["as-published"][1] == old["tokens"].tolist(), "transformers": "4.41.2"}
        )
    )


if __name__ == "__main__":
    main()
