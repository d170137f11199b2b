"""Each loader through `oneword.engine.encode` against the reference way of its own library, on the same inputs.

    python benchmarks/encode.py [--quick] [--device cpu] [--model FOLDER] [--repeats 3] [--loaders clip siglip2]

First E5-V. Its reference loop is what kongds/E5-V:retrieval.py (`emb_data`, bsz=4) does: inputs in the given order, 12
texts or 4 pictures a batch, padded on the left to the longest, preprocessing in the loop, and the whole model
with `output_hidden_states=True`, which computes every token's logits and keeps every layer's states.

Without --model both run a random LLaVA-NeXT with E5-V's proportions: of the decoder's multiplications the
head takes 7 % (0.53 of 7.5 B parameters), the tower adds 5 % for a picture (0.3 B parameters, 2,885 patches,
2,340 picture tokens), a layer has the same shape. A picture's attention grows as length / width: 9 % here,
4 % there. But a picture is 300 tokens here and 2,340 there, so that texts weigh more in the overall ratio
than they would; see the ratios of each. What none of them shows is a GPU's appetite for large batches.

Then CLIP, SigLIP 2, sentence-transformers and Qwen3-VL (loaders.py), each on texts of one length (12 words), texts of
mixed lengths, and images. A ratio over 1 is faster; goals: never slower, and 3 on mixed lengths.

Times are medians of interleaved repeats; with other work on the machine (`load_before`) they mean little, and
the ratio of the fastest repeats means more; with `--cpu-seconds` and OMP_NUM_THREADS=1 the CPU time of this process is
measured, which other work hardly moves. Peak memory is that of a process of its own, loading included.
The last line of output is one JSON object.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from card import Card  # noqa: E402
from loaders import LOADERS, sides  # noqa: E402

from oneword.engine import Image, Input, Text, encode, views  # noqa: E402
from oneword.engine.dependencies import quiet  # noqa: E402
from oneword.engine.e5v import load_e5v  # noqa: E402
from oneword.engine.encoder import Side  # noqa: E402
from oneword.engine.prompted.prompts import prompted  # noqa: E402
from oneword.engine.prompted.tokens import fill  # noqa: E402
from tests.tiny import make_checkpoint, sentences  # noqa: E402

E5V = "e5_v"
TEXT_BATCH, IMAGE_BATCH = 12, 4  # kongds/E5-V:retrieval.py, `batch_size=3*bsz` for texts, bsz=4
# Shapes that photographs, scans and crops come in: landscape, portrait, square, panorama, strip.
SHAPES = [(640, 480), (480, 640), (500, 375), (612, 612), (1024, 683), (375, 500), (800, 300), (250, 700)]
PROPORTIONS: dict[str, Any] = {
    "hidden": 256,
    "layers": 4,
    "head": 32,
    "embedding_rows": 1000,
    "vision": 32,
    "vision_layers": 12,
    "image_size": 112,
    "patch_size": 14,
}
Encode = Callable[[list[Input]], NDArray[np.float32]]
Clock = Callable[[], float]


def even(count: int) -> list[Input]:
    """Texts of 12 words."""
    draw, words = random.Random(3), " ".join(sentences(3000, seed=1)).split()
    return [Text(text=" ".join(draw.sample(words, 12))) for _ in range(count)]


def texts(count: int, longest: int = 400) -> list[Input]:
    """Captions, mostly of 5 to 30 words, one in twelve a paragraph of 100 to 400."""
    draw, words = random.Random(1), " ".join(sentences(3000, seed=1)).split()
    lengths = [
        draw.randint(100, longest) if draw.random() < 1 / 12 else max(3, round(draw.lognormvariate(2.5, 0.5)))
        for _ in range(count)
    ]
    starts = [draw.randrange(len(words) - 400) for _ in lengths]
    return [Text(text=" ".join(words[start : start + length])) for start, length in zip(starts, lengths, strict=True)]


def images(count: int) -> list[Input]:
    """Smooth random pictures of mixed shapes."""
    draw = random.Random(2)
    noise = np.random.default_rng(2)
    made: list[Input] = []
    for _ in range(count):
        small = PIL.Image.fromarray(noise.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        made.append(Image(pixels=small.resize(draw.choice(SHAPES), PIL.Image.Resampling.BICUBIC)))
    return made


def ours(model: str, device: str, dtype: str) -> Encode:
    encoder = load_e5v(model, device=device, dtype=dtype)
    return lambda inputs: encode(encoder, inputs, views.DEFAULT)


def reference(model: str, device: str, dtype: str) -> Encode:
    encoder = load_e5v(model, device=device, dtype=dtype)  # for what it found out: dtype, device, template
    return reference_on(model, encoder.device, encoder.dtype, encoder.tokens.template)


def reference_on(model: str, place: Any, number: Any, template: str, side: Side = Side.GALLERY) -> Encode:
    """Plain transformers, as it documents itself, in the reference's loop. place, number: torch's device, dtype."""
    import torch
    from transformers import (
        AutoTokenizer,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessorPil,
        LlavaNextProcessor,
    )

    with quiet():
        network: Any = LlavaNextForConditionalGeneration.from_pretrained(model, dtype=number).eval().to(place)
        tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
        tokenizer.pad_token = tokenizer.eos_token
        processor = LlavaNextProcessor(
            image_processor=LlavaNextImageProcessorPil.from_pretrained(model),
            tokenizer=tokenizer,
            patch_size=network.config.vision_config.patch_size,
            vision_feature_select_strategy=network.config.vision_feature_select_strategy,
            num_additional_image_tokens=1,
        )

    def run(inputs: list[Input]) -> NDArray[np.float32]:
        size = TEXT_BATCH if isinstance(inputs[0], Text) else IMAGE_BATCH
        vectors = []
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            parts = [prompted(item, views.DEFAULT, side) for item in batch]
            pictures = [image.pixels for _, _, images in parts for image in images]
            whole = [fill(template, prompt.replace("<sent>", "".join(texts))) for prompt, texts, _ in parts]
            ready = processor(images=pictures or None, text=whole, return_tensors="pt", padding=True).to(place)
            if pictures:
                ready["pixel_values"] = ready["pixel_values"].to(number)
            with torch.no_grad():
                states = network(**ready, output_hidden_states=True, return_dict=True).hidden_states[-1][:, -1, :]
                vectors.append(torch.nn.functional.normalize(states, dim=-1).cpu().float().numpy())
        return np.concatenate(vectors)

    return run


SIDES = {"ours": ours, "reference": reference}


def peak_rss(side: str, model: str, args: argparse.Namespace) -> dict[str, float]:
    """In MiB: "peak" of a process that loads and encodes everything once, and what it was when "loaded"."""
    command = [sys.executable, __file__, "--side", side, "--model", model, "--device", args.device]
    command += ["--dtype", args.dtype, *(["--quick"] if args.quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def one_side(side: str, model: str, args: argparse.Namespace, work: dict[str, list[Input]]) -> None:
    run = SIDES[side](model, args.device, args.dtype)
    loaded = peak_memory()
    for inputs in work.values():
        run(inputs)
    print(json.dumps({"peak": peak_memory(), "loaded": loaded}))


def peak_memory() -> float:
    """Most memory this process ever held, in MiB; `getrusage` would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer inputs and repeats: within a minute")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--model", help="a checkpoint folder; by default a small random one is made")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--cpu-seconds", action="store_true", help="measure the process's CPU time")
    parser.add_argument("--loaders", nargs="*", choices=[E5V, *LOADERS], default=[E5V, *LOADERS])
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.clock = time.process_time if args.cpu_seconds else time.perf_counter
    repeats = args.repeats or (4 if args.quick else 9)
    work = {"texts": texts(96 if args.quick else 300), "images": images(12 if args.quick else 48)}
    with tempfile.TemporaryDirectory() as scratch:
        model = args.model or str(make_checkpoint(scratch, **PROPORTIONS))
        if args.side:
            one_side(args.side, model, args, work)
            return
        report: dict[str, Any] = compare(model, args, work, repeats) if E5V in args.loaders else {"benchmark": "encode"}
        report["loaders"] = {E5V: of_e5v(model, args, report, repeats)} if E5V in args.loaders else {}
        for name in args.loaders:
            if name != E5V:
                report["loaders"][name] = of_loader(name, Path(scratch), args, repeats)
    print(json.dumps(report))


def timed(
    runs: dict[str, Encode], work: dict[str, list[Input]], repeats: int, clock: Clock
) -> tuple[dict[tuple[str, str], list[float]], float]:
    """Returns the seconds of each repeat by side and kind, the sides in turn, and the largest difference of vectors."""
    for run in runs.values():  # warm up: thread pools, kernels' first calls
        for inputs in work.values():
            run(inputs[:4])
    seconds: dict[tuple[str, str], list[float]] = {(side, kind): [] for side in runs for kind in work}
    worst = 0.0
    for repeat in range(repeats):
        for kind, inputs in work.items():
            vectors = {}
            for side in list(runs) if repeat % 2 == 0 else list(reversed(runs)):
                start = clock()
                vectors[side] = runs[side](inputs)
                seconds[side, kind].append(clock() - start)
            worst = max(worst, float(np.abs(vectors["ours"] - vectors["reference"]).max()))
    return seconds, worst


def ratios(runs: dict[str, Encode], work: dict[str, list[Input]], repeats: int, clock: Clock) -> dict[str, float]:
    """Returns how many times as fast as the reference each kind is embedded, and how far vectors are apart at most."""
    seconds, worst = timed(runs, work, repeats, clock)
    median = {key: statistics.median(times) for key, times in seconds.items()}
    best = {key: min(times) for key, times in seconds.items()}
    return {
        **{f"{kind}_ratio": round(median["reference", kind] / median["ours", kind], 2) for kind in work},
        **{f"{kind}_ratio_of_fastest": round(best["reference", kind] / best["ours", kind], 2) for kind in work},
        **{f"{kind}_per_second": round(len(inputs) / median["ours", kind], 1) for kind, inputs in work.items()},
        "max_abs_diff": worst,
    }


def of_e5v(model: str, args: argparse.Namespace, report: dict[str, Any], repeats: int) -> dict[str, float]:
    """Returns E5-V's row: what `compare` found, and texts of one length."""
    runs = {side: make(model, args.device, args.dtype) for side, make in SIDES.items()}
    found = ratios(runs, {"equal_texts": even(48 if args.quick else 96)}, repeats, args.clock)
    names = {"mixed_texts": "texts", "images": "images"}
    return shown(E5V, found | {f"{kind}_ratio": report[f"throughput_ratio_{name}"] for kind, name in names.items()})


def of_loader(name: str, scratch: Path, args: argparse.Namespace, repeats: int) -> dict[str, float]:
    """Returns a loader's row."""
    card = Card()
    card.device, card.dtype = torch.device(args.device), args.dtype
    count = 48 if args.quick else 96
    work = {"equal_texts": even(count), "mixed_texts": texts(2 * count, 340)}  # 512 tokens: only towers cut
    if LOADERS[name].sees:
        work["images"] = images(count // 3)
    return shown(name, ratios(sides(name, scratch / name, card), work, repeats, args.clock))


def shown(name: str, found: dict[str, float]) -> dict[str, float]:
    """Returns a row as it is, once it is printed."""
    kinds = [name.removesuffix("_ratio") for name in found if name.endswith("_ratio")]
    said = [f"{kind} {found[f'{kind}_ratio']:.2f} ({found.get(f'{kind}_ratio_of_fastest', 0):.2f})" for kind in kinds]
    print(f"{name:28}{', '.join(said)}", flush=True)
    return found


def compare(model: str, args: argparse.Namespace, work: dict[str, list[Input]], repeats: int) -> dict[str, Any]:
    load = os.getloadavg()[0]
    runs = {side: make(model, args.device, args.dtype) for side, make in SIDES.items()}
    seconds, worst = timed(runs, work, repeats, args.clock)
    median = {key: statistics.median(times) for key, times in seconds.items()}
    total = {side: sum(median[side, kind] for kind in work) for side in runs}
    fastest = {side: sum(min(seconds[side, kind]) for kind in work) for side in runs}
    memory = {side: peak_rss(side, model, args) for side in runs}
    print(f"{'':8}{'inputs':>8}{'reference s':>13}{'ours s':>9}{'ratio':>8}")
    for kind, inputs in work.items():
        then, now = median["reference", kind], median["ours", kind]
        print(f"{kind:8}{len(inputs):8}{then:13.2f}{now:9.2f}{then / now:8.2f}")
    print(f"{'all':8}{sum(map(len, work.values())):8}{total['reference']:13.2f}{total['ours']:9.2f}")
    print(
        "peak RSS, MiB: "
        + ", ".join(f"{side} {m['peak']:.0f} ({m['loaded']:.0f} loaded)" for side, m in memory.items())
    )
    encoder = load_e5v(model, device=args.device, dtype=args.dtype)
    return {
        "benchmark": "encode",
        "throughput_ratio_vs_reference_loop": round(total["reference"] / total["ours"], 3),
        **{f"throughput_ratio_{kind}": round(median["reference", kind] / median["ours", kind], 3) for kind in work},
        **{f"{kind}_per_second": round(len(inputs) / median["ours", kind], 2) for kind, inputs in work.items()},
        "throughput_ratio_of_fastest_repeats": round(fastest["reference"] / fastest["ours"], 3),
        "load_before": round(load, 2),
        "peak_rss_ratio_vs_reference_loop": round(memory["ours"]["peak"] / memory["reference"]["peak"], 3),
        "peak_rss_mib": memory,
        "max_abs_diff": worst,
        "device": str(encoder.device),
        "dtype": str(encoder.dtype).removeprefix("torch."),
        "model": args.model or "random, " + ", ".join(f"{key} {value}" for key, value in PROPORTIONS.items()),
        "inputs": {kind: len(inputs) for kind, inputs in work.items()},
        "repeats": repeats,
    }


if __name__ == "__main__":
    main()
