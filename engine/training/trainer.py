"""The training loop: one process or many, from the start or from the last checkpoint."""

import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import DistributedType
from safetensors import SafetensorError

from oneword.engine.catalog import miniature
from oneword.engine.checkpoint import find
from oneword.engine.dependencies import quiet
from oneword.engine.errors import DeviceUnavailable, EngineError
from oneword.engine.training.chunks import backward
from oneword.engine.training.language import SentenceEmbedder, load_embedder
from oneword.engine.training.log import TrainingLog
from oneword.engine.training.loss import gathered
from oneword.engine.training.merge import export
from oneword.engine.training.pairs import Pairs, order, read_pairs
from oneword.engine.training.recipe import Recipe, RecipeError
from oneword.engine.training.weights import adapted, save_trained, trainable_only
from oneword.engine.views import get

_log = logging.getLogger(__name__)
RUN = "run.json"


class TrainingError(EngineError):
    """A run that cannot start or go on."""


def train(
    recipe: Recipe,
    data: Pairs | Path | str,
    model: str,
    out: Path | str,
    *,
    revision: str | None = None,
    columns: Sequence[str] | None = None,
    device: str = "auto",
) -> Path:
    """Trains, and writes a checkpoint that `--model` takes.

    Started again with the same arguments it goes on from the last checkpoint in `out`, and ends as if it had never
    been stopped. Under `accelerate launch` or `torchrun` all processes work on the same batch.

    Args:
        recipe: what to do.
        data: pairs, or a file of them.
        model: the base: a LLaVA-NeXT checkpoint's folder or hub id; or "mini", the miniature's base.
        out: a folder: `checkpoints`, `log.jsonl` and TensorBoard's events, `trained` (adapter or weights), `model`.
        revision: of a hub model: a branch, tag or commit.
        columns: of the file; see `read_pairs`.
        device: "auto" or "cpu".

    Returns:
        `out`/model, the merged checkpoint.

    Raises:
        BadPairs, RecipeError, ModelNotFound, WrongCheckpoint, DeviceUnavailable
        TrainingError: `out` holds another run.
    """
    out = Path(out)
    pairs = data if isinstance(data, Pairs) else read_pairs(data, columns)
    base = find(str(miniature("base")) if model == "mini" else model, revision)
    if recipe.method == "qlora" and not torch.cuda.is_available():
        raise DeviceUnavailable('method "qlora" needs a CUDA GPU: expected one, or method = "lora"')
    accelerator = _accelerator(recipe, device)
    if recipe.batch % accelerator.num_processes:
        raise RecipeError(f"batch is {recipe.batch}: expected a multiple of the {accelerator.num_processes} processes")
    steps = recipe.steps or -(-len(pairs) // recipe.batch)
    if recipe.batch > len(pairs):
        raise RecipeError(f"batch is {recipe.batch}: expected at most the {len(pairs)} pairs, or pairs repeat in it")
    if recipe.warm_up_steps > steps:
        raise RecipeError(f"warm_up_steps is {recipe.warm_up_steps}: expected at most the {steps} steps")
    torch.manual_seed(recipe.seed)
    with quiet():
        # In training mode: transformers checkpoints no activations otherwise.
        embedder = adapted(load_embedder(base, recipe, quantize=recipe.method == "qlora"), recipe).train()
    if accelerator.is_main_process:
        _claim(out, {"recipe": recipe.model_dump(mode="json"), "base": base.revision(), "pairs": pairs.digest()})
    accelerator.wait_for_everyone()
    run = _Run(accelerator, embedder, recipe, pairs, steps, out)
    run.go()
    if accelerator.is_main_process:
        save_trained(accelerator.unwrap_model(run.model), out / "trained")
        del run, embedder
        export(base, out / "trained", out / "model", get(recipe.view), recipe.prompt)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return out / "model"


class _Run:
    """Model, optimizer and schedule as accelerate prepares them, and their checkpoints."""

    def __init__(
        self, accelerator: Any, embedder: SentenceEmbedder, recipe: Recipe, pairs: Pairs, steps: int, out: Path
    ) -> None:
        from transformers import get_scheduler

        self.accelerator, self.recipe, self.pairs, self.steps, self.out = accelerator, recipe, pairs, steps, out
        self.params = [param for param in embedder.parameters() if param.requires_grad]
        optimizer = torch.optim.AdamW(self.params, recipe.learning_rate, weight_decay=recipe.weight_decay)
        schedule = get_scheduler(recipe.schedule, optimizer, recipe.warm_up_steps, steps)
        self.model, self.optimizer = accelerator.prepare(embedder, optimizer)
        # Not prepared: accelerate would turn it once for each process.
        self.schedule = schedule
        accelerator.register_for_checkpointing(schedule)
        trainable_only(accelerator)

    def go(self) -> None:
        """All steps that are left."""
        first = self._restored()
        with TrainingLog(self.out, active=self.accelerator.is_main_process, after=first) as log:
            for step in range(first, self.steps):
                started = time.perf_counter()
                values = self._step(step)
                if not all(math.isfinite(value) for value in values.values()):
                    raise TrainingError(
                        f"step {step + 1}: loss {values['loss']}, gradient norm {values.get('gradient_norm')}: "
                        "expected finite numbers; lower learning_rate, and delete the folder to start again"
                    )
                values["seconds"] = time.perf_counter() - started
                log.write(step + 1, values)
                if self.accelerator.is_main_process and ((step + 1) % 10 == 0 or step + 1 == self.steps):
                    message = "step %d of %d: loss %.4f, accuracy %.3f, %.2f s a step"
                    _log.info(message, step + 1, self.steps, values["loss"], values["accuracy"], values["seconds"])
                if (step + 1) % self.recipe.save_every == 0 or step + 1 == self.steps:
                    self._save(step + 1)

    def _step(self, step: int) -> dict[str, float]:
        accelerator, recipe = self.accelerator, self.recipe
        rank, share = accelerator.process_index, recipe.batch // accelerator.num_processes
        rows = order(len(self.pairs), recipe.seed, step, recipe.batch)[rank * share : (rank + 1) * share]
        outcome = backward(
            self.pairs.rows(rows.tolist()),
            self._embed,
            lambda embeddings: gathered(embeddings, recipe.temperature),
            # Processes average their gradients; the undivided batch's is their sum.
            lambda value: accelerator.backward(value * accelerator.num_processes),
            micro_batch=recipe.micro_batch,
            seed=int(np.random.SeedSequence([recipe.seed, step, rank]).generate_state(1)[0]),
            unsynchronised=self._unsynchronised,
        )
        norm = accelerator.clip_grad_norm_(self.params, recipe.clip or float("inf"))
        rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        values = {"loss": outcome.loss, "accuracy": outcome.accuracy, "learning_rate": rate}
        return values | ({} if norm is None else {"gradient_norm": float(norm)})

    @contextmanager
    def _unsynchronised(self) -> Iterator[None]:
        """While processes keep their gradients to themselves; DeepSpeed, while it must not step yet."""
        self.accelerator.sync_gradients = False
        try:
            with self.accelerator.no_sync(self.model):
                yield
        finally:
            self.accelerator.sync_gradients = True

    def _embed(self, rows: Any) -> torch.Tensor:
        with self.accelerator.autocast():
            embeddings: torch.Tensor = self.model(rows)
        return embeddings

    def _checkpoints(self) -> Iterator[tuple[int, Path]]:
        for folder in (self.out / "checkpoints").glob("step-*"):
            if folder.name.removeprefix("step-").isdecimal():
                yield int(folder.name.removeprefix("step-")), folder

    def _save(self, step: int) -> None:
        done = self.out / "checkpoints" / f"step-{step}"
        partial = done.with_suffix(".partial")
        self.accelerator.save_state(str(partial), exclude_frozen_parameters=True)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            shutil.rmtree(done, ignore_errors=True)
            partial.rename(done)
            for _, old in sorted(self._checkpoints())[: -self.recipe.keep]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def _restored(self) -> int:
        found = sorted(self._checkpoints())
        if not found:
            return 0
        step, folder = found[-1]
        deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        # DeepSpeed's own files lack what is frozen, and it must not mind.
        try:
            self.accelerator.load_state(str(folder), **({"load_module_strict": False} if deepspeed else {}))
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise TrainingError(
                f"checkpoint {folder} cannot be read ({error}): delete it, and the run goes on from an earlier one"
            ) from error
        _log.info("going on after step %d, from %s", step, folder)
        return step


def _accelerator(recipe: Recipe, device: str) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs, set_seed

    if device not in ("auto", "cpu"):
        raise DeviceUnavailable(f"device {device!r}: expected auto or cpu; to choose GPUs set CUDA_VISIBLE_DEVICES")
    set_seed(recipe.seed)
    # accelerate keeps the first run's precision for the whole process; the process group stays.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if recipe.dtype == "bf16" else "no",
        # The others wait while the main process merges a model of many gigabytes.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=2))],
    )
    plugin = accelerator.state.deepspeed_plugin
    if plugin is not None:
        plugin.deepspeed_config["gradient_clipping"] = recipe.clip
    return accelerator


def _claim(out: Path, run: dict[str, Any]) -> None:
    """Writes down what runs here, or sees that it is the same."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / RUN
    if not any((out / "checkpoints").glob("step-*")):
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
        return
    if not path.exists():
        raise TrainingError(f"{out} has checkpoints and no {RUN}: expected both; choose another folder, or delete it")
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(there, dict):
            raise ValueError(f"it holds a {type(there).__name__}")
    except ValueError as error:
        raise TrainingError(f"{path}: cannot be read ({error}): expected what the run wrote; delete {out}") from error
    if isinstance(there.get("recipe"), dict):  # runs that were begun before the prompt could be chosen
        there["recipe"] = {"prompt": "standard"} | there["recipe"]
    different = [key for key in run if there.get(key) != run[key]]
    if different:
        raise TrainingError(
            f"{out} holds a run with another {' and '.join(different)}: expected the same, to go on; "
            "choose another folder, or delete this one"
        )
