"""Shows E5-V at full size on one CUDA GPU: right vectors, speed, memory. It needs no network, hub, LanceDB or FAISS.

    python benchmarks/gpu.py [--out gpu.json] [--sections load,parity,...] [--limit 480] [--small]

Wanted: a GPU of 40 GB or more, torch, transformers, pillow, 25 GB of disk under $TMPDIR. The model has E5-V's
architecture, 8,355,276,800 parameters, with random weights, drawn so that different inputs end far apart and rounding
to 16 bit does not decide over the vectors. Each section has its own time, prints one line, and is kept in the JSON file
as soon as it ends; what is left over when `--limit` seconds are up is skipped, and so is what needs a package that is
not there. `--small`: a small model, on the CPU if need be: that the script runs, no more.

machine     the card, versions, bf16 matrix products of 8,192 (TFLOP/s), copies from pinned memory (GB/s)
make        the checkpoint on disk
load        `load_e5v`: seconds, peak memory of host and card
parity      texts, images, documents and composed queries against plain transformers used as its documentation says:
            bf16 at full depth (goal: cosine >= 0.999), fp32 on two layers (goal: 2e-5); alone and in company
speed       images and texts a second, tokens a second, share of the card's dense bf16 peak (goal: 45 % on images),
            beside the reference's loop (goals: 3 times on mixed texts, 1.5 times on images)
compiled    E5-V, CLIP L/14 and SigLIP 2 so400m with `--compile` beside without: cosine (goal: 0.999), seconds of the
            first batches, images a second as the decoders of a job hand them over, and texts a second
job         `oneword index` over JPEG files and texts, with kill -9 and a second run: nothing missing, the same vectors,
            and the share of the run that the encoder is at work (goal: 95 %; needs lancedb)
profile     the costliest operations of one batch of images; a table beside the JSON file
towers      CLIP L/14 and SigLIP 2 so400m at full size with random weights beside plain transformers: cosine (goal:
            0.999), images and texts a second (goal: never slower)
prompted    Qwen3-VL at the size of Qwen3-VL-Embedding-2B with random weights beside plain transformers: the same goals
quantized   nf4 and int8: memory, and whether rankings agree with bf16's (needs bitsandbytes)
training    two steps of the recipe `e5v` with LoRA in bf16 at batch 768: seconds and memory (needs peft, accelerate)
faiss       flat and IVF on the card against the CPU's answers (needs faiss-gpu)

The last line is one JSON object. Exit status 1: a goal of parity was missed, or a section failed.
"""

import argparse
import csv
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import compiled  # noqa: E402
import job  # noqa: E402
import prompted  # noqa: E402
from card import Card, Skipped, host_peak  # noqa: E402
from compiled import MIXED  # noqa: E402
from drawn import images, kinds, shared, shuffled, texts, top, work, worst  # noqa: E402
from encode import reference_on  # noqa: E402
from towers import SIZES, compared, made  # noqa: E402

from oneword.engine import Image, Input, Text, encode, views  # noqa: E402
from oneword.engine.dependencies import quiet  # noqa: E402
from oneword.engine.dual.loading import load_dual  # noqa: E402
from oneword.engine.e5v import load_e5v  # noqa: E402
from oneword.engine.encoder import Side  # noqa: E402
from tests.tiny import FULL, make_checkpoint, sentences  # noqa: E402

PEAKS = {"H100 PCIe": 756, "H100": 989, "H200": 989, "A100": 312, "L40S": 362, "L40": 181, "4090": 165}
"""Dense bf16 TFLOP/s by a part of the card's name: NVIDIA's data sheets, without sparsity."""

SMALL: dict[str, Any] = {"hidden": 64, "layers": 10, "vision": 32, "vision_layers": 3}
NEEDS = {
    "quantized": ("bitsandbytes",),
    "training": ("peft", "accelerate", "pydantic"),
    "faiss": ("faiss",),
    "job": ("lancedb",),
}
SECONDS = {"job": 180, "training": 180, "speed": 180, "compiled": 240, "quantized": 90, "load": 60}
SECONDS |= dict.fromkeys(("make", "towers", "prompted", "parity"), 120)
"""That a section may take; others 60."""


class Proof(Card):
    """Each method named in `sections` is one, and returns what it found."""

    sections = (
        *("machine", "make", "load", "parity", "speed", "profile", "compiled", "towers", "prompted", "training"),
        *("quantized", "job", "faiss"),
    )

    def __init__(self, given: argparse.Namespace, scratch: Path) -> None:
        self.small, self.scratch, self.out = given.small, scratch, Path(given.out)
        super().__init__()
        self.folder, self.shallow = scratch / "full", scratch / "shallow"
        self._encoder: Any = None
        self._tflops = 0.0

    @property
    def encoder(self) -> Any:
        """E5-V, loaded once."""
        if self._encoder is None:
            self._encoder = load_e5v(str(self.folder), device=self.device.type, dtype=self.dtype)
        return self._encoder

    def drop(self) -> None:
        """Lets the encoder go, so that another network fits."""
        self._encoder = None
        super().drop()

    def machine(self) -> dict[str, Any]:
        """What it is, and how fast at best."""
        import transformers

        found: dict[str, Any] = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "cores": os.cpu_count(),
        }
        if self.device.type == "cuda":
            properties = torch.cuda.get_device_properties(0)
            found |= {"card": properties.name, "gib": round(properties.total_memory / 2**30, 1)}
            found |= {"capability": f"{properties.major}.{properties.minor}", "cuda": torch.version.cuda}
        side = 256 if self.small else 8192
        number = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        left, right = (torch.randn(side, side, device=self.device, dtype=number) for _ in range(2))
        self._tflops = 2 * side**3 / self.timed(lambda: left @ right, 20) / 1e12
        block = torch.empty(2**20 if self.small else 2**28, dtype=torch.uint8)
        block = block.pin_memory() if self.device.type == "cuda" else block
        seconds = self.timed(lambda: block.to(self.device, non_blocking=True, copy=True), 5)
        return found | {
            "matmul_tflops": round(self._tflops, 1),
            "copy_gb_s": round(len(block) / seconds / 1e9, 1),
            "peak_tflops": self.peak(),
        }

    def peak(self) -> float | None:
        """The card's dense bf16 TFLOP/s, where its name is known."""
        name = torch.cuda.get_device_name(0) if self.device.type == "cuda" else ""
        return next((float(peak) for part, peak in PEAKS.items() if part in name), None)

    def make(self) -> dict[str, Any]:
        """Writes the checkpoint, and one of two layers."""
        sizes = SMALL if self.small else FULL
        number = "float32" if self.device.type == "cpu" else "bfloat16"
        make_checkpoint(self.folder, **sizes, device=self.device.type, dtype=number)
        make_checkpoint(self.shallow, **sizes | {"layers": 2}, device=self.device.type, dtype="float32")
        self.drop()
        return {"gb": round(sum(file.stat().st_size for file in self.folder.iterdir()) / 1e9, 2)}

    def load(self) -> dict[str, Any]:
        """Seconds and memory."""
        began = time.perf_counter()
        encoder = self.encoder
        return {
            "seconds": round(time.perf_counter() - began, 1),
            "parameters": sum(one.numel() for one in encoder.network.parameters()),
            "host_peak_gib": round(host_peak() / 2**30, 1),
            "device_gib": self.memory(),
            "fingerprint": encoder.space(views.DEFAULT).fingerprint[:16],
            "budget_tokens": encoder.budget.tokens,
            "attention": encoder.network.config._attn_implementation,
        }

    def parity(self) -> dict[str, Any]:
        """The same vectors as plain transformers, and whatever the company."""
        torch.backends.cuda.matmul.allow_tf32 = False
        found: dict[str, Any] = {}
        for name, folder, number in (("full", self.folder, self.dtype), ("shallow_fp32", self.shallow, "fp32")):
            self.drop()
            inputs = kinds()
            encoder = load_e5v(str(folder), device=self.device.type, dtype=number)
            template, place, kind = encoder.tokens.template, encoder.device, encoder.dtype
            ours = encode(encoder, inputs, views.DEFAULT, Side.QUERY)
            alone = np.concatenate([encode(encoder, [one], views.DEFAULT, Side.QUERY) for one in inputs])
            del encoder
            self.drop()
            plain = reference_on(str(folder), place, kind, template, Side.QUERY)
            theirs = np.concatenate([plain([one]) for one in inputs])
            del plain
            found[name] = {
                "cosine": worst(ours, theirs),
                "max_abs": float(np.abs(ours - theirs).max()),
                "alone_cosine": worst(ours, alone),
                "unlike_cosine": float(np.median((ours @ ours.T)[np.triu_indices(len(ours), 1)])),
            }
        self.drop()
        found["met"] = bool(
            found["full"]["cosine"] >= 0.999
            and found["full"]["alone_cosine"] >= 0.9995
            and found["shallow_fp32"]["max_abs"] <= 2e-5
        )
        return found

    def speed(self) -> dict[str, Any]:
        """Ours beside the reference's loop, on the same inputs."""
        pictures, sentences_ = (4, 4) if self.small else (64, 256)
        sets: dict[str, list[Input]] = {
            "image_336": list(images(pictures, (336, 336))),
            "image_640x480": list(images(pictures, (640, 480))),
            "text_16": texts(sentences_, 16),
            "text_64": texts(sentences_, 64),
            "text_256": texts(sentences_, 256),
            "mixed_texts": shuffled(sentences_ // 4, MIXED),
        }
        found: dict[str, Any] = {}
        encoder, peak = self.encoder, self.peak()
        for name, inputs in sets.items():
            seconds = self.timed(partial(encode, encoder, inputs, views.DEFAULT), 2)
            lengths = [encoder._cost(one, views.DEFAULT, Side.GALLERY).length for one in inputs]
            tiles = [encoder.image_processor.tiles.count(one.size) if isinstance(one, Image) else 0 for one in inputs]
            flops = sum(work(encoder.network.config, *one) for one in zip(lengths, tiles, strict=True))
            found[name] = {
                "per_second": round(len(inputs) / seconds, 2),
                "tokens_per_second": round(sum(lengths) / seconds),
                "tflops": round(flops / seconds / 1e12, 2),
                "mfu": round(flops / seconds / 1e12 / peak, 3) if peak else None,
            }
        found["device_gib"] = self.memory()
        template, place, kind = encoder.tokens.template, encoder.device, encoder.dtype
        del encoder
        self.drop()
        plain = reference_on(str(self.folder), place, kind, template)
        for name, inputs in sets.items():
            some = inputs[: max(4, len(inputs) // 4)]
            seconds = self.timed(partial(plain, some), 1)
            found[name]["ratio_vs_reference_loop"] = round(found[name]["per_second"] * seconds / len(some), 2)
        del plain
        self.drop()
        found["met"] = {
            "mfu_45_on_images": (found["image_640x480"]["mfu"] or 0) >= 0.45,
            "3_times_on_mixed_texts": found["mixed_texts"]["ratio_vs_reference_loop"] >= 3,
            "1.5_times_on_images": found["image_640x480"]["ratio_vs_reference_loop"] >= 1.5,
        }
        return found

    def job(self) -> dict[str, Any]:
        """Files into a store, by the command."""
        return job.ran(self.encoder, self.folder, self.scratch / "job", count=4 if self.small else 500)

    def profile(self) -> dict[str, Any]:
        """The costliest operations of one batch."""
        encoder = self.encoder
        batch = encoder.prepare(images(2, (640, 480)), views.DEFAULT, Side.GALLERY)
        encoder.finish(encoder.forward(batch))
        activities = [torch.profiler.ProfilerActivity.CPU]
        activities += [torch.profiler.ProfilerActivity.CUDA] if self.device.type == "cuda" else []
        with torch.profiler.profile(activities=activities) as profiled:
            encoder.forward(batch)
            self.wait()
        averages = profiled.key_averages()
        by = "self_cuda_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        self.out.with_suffix(".profile.txt").write_text(averages.table(sort_by=by, row_limit=40), encoding="utf-8")
        waits = {"cudaStreamSynchronize", "cudaDeviceSynchronize", "aten::_local_scalar_dense"}
        names = [one.key for one in averages]
        return {
            "host_waits": {one.key: one.count for one in averages if one.key in waits},
            "attention": sorted({name for name in names if "attention" in name or "flash" in name})[:6],
        }

    def compiled(self) -> dict[str, Any]:
        """`--compile` beside without it."""
        loaders: dict[str, Callable[..., Any]] = {"e5v": partial(load_e5v, str(self.folder))}
        for name in SIZES:
            loaders[name] = partial(load_dual, str(made(name, self.scratch / name, self, small=self.small)))
        self._encoder = None
        counts = {name: 4 if self.small else 64 if name == "e5v" else 256 for name in loaders}
        found = {name: compiled.compared(self, load, counts[name]) for name, load in loaders.items()}
        return found | {"met": all(one["cosine"] >= 0.999 for one in found.values())}

    def towers(self) -> dict[str, Any]:
        """CLIP and SigLIP 2 beside plain transformers."""
        self.drop()
        found = {name: compared(self, name, self.scratch / name, small=self.small) for name in SIZES}
        return found | {"met": all(one["cosine"] >= 0.999 for one in found.values())}

    def prompted(self) -> dict[str, Any]:
        """Qwen3-VL beside plain transformers."""
        self.drop()
        found = prompted.compared(self, self.scratch / "prompted", count=4 if self.small else 64, small=self.small)
        return found | {"met": found["cosine"] >= 0.999}

    def quantized(self) -> dict[str, Any]:
        """Memory, and rankings beside bf16's."""
        if self.device.type != "cuda":
            raise Skipped("no CUDA device")
        inputs: list[Input] = [Text(text=one) for one in sentences(64, seed=5)]
        right = encode(self.encoder, inputs, views.DEFAULT)
        found: dict[str, Any] = {"bf16": {"device_gib": self.memory()}}
        for kind in ("nf4", "int8"):
            self.drop()
            encoder = load_e5v(str(self.folder), device="cuda", dtype="bf16", quantize=kind)
            vectors = encode(encoder, inputs, views.DEFAULT)
            same = [set(top(vectors, n)) & set(top(right, n)) for n in range(len(inputs))]
            found[kind] = {
                "device_gib": self.memory(),
                "cosine": worst(vectors, right),
                "of_the_ten_nearest": round(sum(map(len, same)) / 10 / len(inputs), 3),
            }
            del encoder
        self.drop()
        return found

    def training(self) -> dict[str, Any]:
        """Two steps."""
        from oneword.engine.training.recipe import Recipe
        from oneword.engine.training.trainer import train

        self.drop()
        batch = 8 if self.small else 768
        recipe = Recipe.named("e5v", method="lora", steps=2, warm_up_steps=0, batch=batch, dtype=self.dtype)
        rows, table = iter(sentences(3 * batch, seed=7)), self.scratch / "pairs.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("sent0", "sent1", "hard_neg"), *zip(rows, rows, rows, strict=True)])
        train(recipe, table, str(self.folder), self.scratch / "run", device="auto")
        steps = [json.loads(line) for line in (self.scratch / "run" / "log.jsonl").read_text().splitlines()]
        return {
            "batch": batch,
            "seconds_a_step": [round(one["seconds"], 2) for one in steps],
            "loss": [round(one["loss"], 4) for one in steps],
            "device_gib": self.memory(),
        }

    def faiss(self) -> dict[str, Any]:
        """The card's answers beside the CPU's."""
        import faiss

        if not hasattr(faiss, "StandardGpuResources"):
            raise Skipped("faiss is built for CPUs")
        self.drop()
        draw = np.random.default_rng(0)
        vectors = draw.normal(size=(100_000, 1024)).astype(np.float32)
        faiss.normalize_L2(vectors)
        flat = faiss.IndexFlatIP(1024)
        flat.add(vectors)
        resources, questions = faiss.StandardGpuResources(), vectors[:256]
        there = faiss.index_cpu_to_gpu(resources, 0, flat)
        right, found = flat.search(questions, 10)[1], there.search(questions, 10)[1]
        ivf = faiss.index_cpu_to_gpu(resources, 0, faiss.index_factory(1024, "IVF256,Flat", faiss.METRIC_INNER_PRODUCT))
        ivf.train(vectors)
        ivf.add(vectors)
        faiss.GpuParameterSpace().set_index_parameter(ivf, "nprobe", 64)
        return {
            "flat_agrees": shared(right, found),
            "ivf_recall": shared(right, ivf.search(questions, 10)[1]),
            "flat_ms": round(1000 * self.timed(lambda: there.search(questions, 10), 5), 2),
        }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--out", default="gpu.json")
    parser.add_argument("--sections", default=",".join(Proof.sections))
    parser.add_argument("--limit", type=float, default=480)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    if not given.small and not torch.cuda.is_available():
        parser.error("no CUDA device is there: --small shows that the script runs")
    found: dict[str, Any] = {"benchmark": "gpu", "small": given.small}
    wanted, end = given.sections.split(","), time.monotonic() + given.limit

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    with tempfile.TemporaryDirectory(prefix="oneword-gpu-") as scratch, quiet():
        proof = Proof(given, Path(scratch))
        for name in (one for one in Proof.sections if one in wanted or one in ("machine", "make")):
            began, left = time.monotonic(), end - time.monotonic()
            missing = [one for one in NEEDS.get(name, ()) if find_spec(one) is None]
            try:
                if missing or left < 1:
                    raise Skipped(f"needs {', '.join(missing)}" if missing else "no time is left")
                signal.alarm(int(min(left, SECONDS.get(name, 60))))
                found[name] = getattr(proof, name)()
            except Skipped as reason:
                found[name] = {"skipped": str(reason)}
            except TimeoutError:
                found[name] = {"failed": f"not done in {time.monotonic() - began:.0f} s"}
                proof.drop()
            except Exception as error:  # the other sections are of interest all the same
                found[name] = {"failed": f"{type(error).__name__}: {error}"}
                proof.drop()
            finally:
                signal.alarm(0)
            found[name]["took"] = round(time.monotonic() - began, 1)
            proof.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{name:10} {json.dumps(found[name])}", flush=True)
    found["failed"] = [name for name in found if isinstance(found[name], dict) and "failed" in found[name]]
    proof.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return int(bool(found["failed"]) or not found.get("parity", {"met": True}).get("met"))


if __name__ == "__main__":
    sys.exit(main())
