"""Training runs: resumed, on two processes, merged, and refused."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file
from transformers import modeling_utils

from oneword.engine import Image, Text, encode
from oneword.engine.checkpoint import find
from oneword.engine.dependencies import quiet
from oneword.engine.e5v import load_e5v
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.training import Recipe, export, train
from oneword.engine.training.language import load_decoder, load_embedder
from oneword.engine.training.pairs import Pairs, read_pairs
from oneword.engine.training.recipe import RecipeError
from oneword.engine.training.trainer import TrainingError, _Run
from oneword.engine.views import DEFAULT
from tests import forkserver

WORDS = ["a dog sleeps", "two cats on the sofa", "<image> is only text here <|eot_id|>"]


def trained(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "trained" / "adapter_model.safetensors")


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], **tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], **(tolerance or {"rtol": 0.0, "atol": 0.0}))


def test_sentences_are_embedded_as_the_encoder_does(base: Path) -> None:
    embedder = load_embedder(find(str(base)), Recipe.named("small", max_tokens=512))
    mine = embedder([(words,) for words in WORDS])[:, 0].detach().numpy()
    theirs = encode(load_e5v(str(base), device="cpu"), [Text(text=words) for words in WORDS], DEFAULT)
    np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_only_the_decoder_is_loaded(base: Path) -> None:
    names = load_decoder(find(str(base)), torch.float32).state_dict()
    assert not [name for name in names if "vision" in name or "projector" in name or "lm_head" in name]


def test_a_run_leaves_a_model_that_has_learned(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    made = train(
        recipe.changed(["steps=30", "learning_rate=0.005"]), triples, str(base), tmp_path / "run", device="cpu"
    )
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    before, after = load_e5v(str(base), device="cpu"), load_e5v(str(made), device="cpu")
    words = [Text(text=text) for text in WORDS]
    assert not np.allclose(encode(before, words, DEFAULT), encode(after, words, DEFAULT), atol=1e-2)
    encode(after, [Image(pixels=PIL.Image.new("RGB", (60, 40), "red"))], DEFAULT)
    assert before.space(DEFAULT).fingerprint != after.space(DEFAULT).fingerprint
    assert list((tmp_path / "run").glob("events.out.tfevents.*")), "TensorBoard's events"
    assert sorted(one.name for one in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-28", "step-30"]


def test_merged_equals_unmerged(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    from peft import PeftModel

    made = train(recipe, triples, str(base), tmp_path / "run", device="cpu")
    embedder = load_embedder(find(str(base)), recipe)
    with quiet():
        embedder.decoder = PeftModel.from_pretrained(embedder.decoder, str(tmp_path / "run" / "trained"))
    unmerged = embedder.eval()([(words,) for words in WORDS])[:, 0].detach().numpy()
    merged = encode(load_e5v(str(made), device="cpu"), [Text(text=words) for words in WORDS], DEFAULT)
    np.testing.assert_allclose(merged, unmerged, atol=1e-5)
    kept = [name for name in load_file(base / "model.safetensors") if "language_model.model" not in name]
    assert kept
    assert_same(*({name: load_file(f / "model.safetensors")[name] for name in kept} for f in (base, made)))


def test_a_full_run(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    made = train(recipe.changed(["method=full"]), triples, str(base), tmp_path / "run", device="cpu")
    before, after = load_file(base / "model.safetensors"), load_file(made / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("language_model.model.") for name in changed)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_half_precision(base: Path, triples: Path, recipe: Any, tmp_path: Path, method: str) -> None:
    """What is trained stays in fp32, whatever is computed in (but for DeepSpeed, which casts it)."""
    short = recipe.changed([f"method={method}", "steps=2", "dtype=bf16", "gradient_checkpointing=true"])
    made = train(short, triples, str(base), tmp_path / "run", device="cpu")
    (kept,) = (tmp_path / "run" / "checkpoints").glob("step-2")
    assert {value.dtype for value in load_file(kept / "trained.safetensors").values()} == {torch.float32}
    load_e5v(str(made), device="cpu")


def test_resumed_equals_unbroken(
    base: Path, triples: Path, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropping = recipe.changed(["lora.dropout=0.1", "micro_batch=5"])
    train(dropping, triples, str(base), tmp_path / "unbroken", device="cpu")
    step = _Run._step

    def dies(run: _Run, number: int) -> dict[str, float]:
        if number == 5:
            raise KeyboardInterrupt
        return step(run, number)

    monkeypatch.setattr(_Run, "_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(dropping, triples, str(base), tmp_path / "broken", device="cpu")
    monkeypatch.setattr(_Run, "_step", step)
    (tmp_path / "broken" / "checkpoints" / "step-9.partial").mkdir()  # as one that was killed while saving leaves it
    train(dropping, triples, str(base), tmp_path / "broken", device="cpu")
    assert_same(trained(tmp_path / "unbroken"), trained(tmp_path / "broken"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6], "the fifth was done again, and is told once"


def test_two_processes_have_the_gradients_of_one(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    changes = ["method=full", "micro_batch=4", "steps=1", "warm_up_steps=0", "batch=12", "clip=0"]
    train(recipe.changed(changes), triples, str(base), tmp_path / "one", device="cpu")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*"-m oneword train".split(), str(triples), "--model", str(base), "--out", str(tmp_path / "two")]
    command += ["--recipe", "small", "--device", "cpu", *(f"--set={change}" for change in changes)]
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    common |= {"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    processes = [
        forkserver.start(
            command,
            also=forkserver.MODELS,
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    one, two = (gradients(tmp_path / name) for name in ("one", "two"))
    assert len(one) == len(two) > 10
    for mine, theirs in zip(one, two, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * mine.abs().max().item())
    losses = [json.loads((tmp_path / name / "log.jsonl").read_text())["loss"] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def gradients(run: Path) -> list[torch.Tensor]:
    """Of the first step: AdamW's running mean has taken a tenth of it."""
    state = torch.load(run / "checkpoints" / "step-1" / "optimizer.bin", weights_only=True)["state"]
    return [values["exp_avg"] for values in state.values()]


def test_another_run_in_the_same_folder_is_refused(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    train(recipe.changed(["steps=2"]), triples, str(base), tmp_path / "run", device="cpu")
    with pytest.raises(TrainingError, match="another recipe"):
        train(recipe, triples, str(base), tmp_path / "run", device="cpu")


def test_other_pairs_in_the_same_folder_are_refused(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    short = recipe.changed(["steps=2"])
    train(short, triples, str(base), tmp_path / "run", device="cpu")
    pairs = read_pairs(triples)
    other = Pairs(anchors=[*pairs.anchors[1:], "new"], positives=pairs.positives, negatives=pairs.negatives)
    with pytest.raises(TrainingError, match="another pairs"):
        train(short, other, str(base), tmp_path / "run", device="cpu")


def test_a_mistake_does_not_lock_the_folder(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    short = recipe.changed(["steps=2", "seed=20260101"])
    for modules in ("['query']", "['q_proj', 'query']"):
        with pytest.raises(RecipeError, match="query: no such layers"):
            train(short.changed([f"lora.modules={modules}"]), triples, str(base), tmp_path / "run", device="cpu")
    train(short, triples, str(base), tmp_path / "run", device="cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [("learning_rate=1e30", "expected finite numbers"), ("batch=60", "at most the 50 pairs"), ("steps=0", None)],
)
def test_runs_that_would_learn_nothing(
    base: Path, triples: Path, recipe: Any, tmp_path: Path, change: str, said: str | None
) -> None:
    changed = recipe.changed([change, "clip=0"])
    if said is None:
        with pytest.raises(RecipeError, match="at most the 5 steps"):
            train(changed.changed(["warm_up_steps=9"]), triples, str(base), tmp_path / "run", device="cpu")
        return
    with pytest.raises((TrainingError, RecipeError), match=said):
        train(changed, triples, str(base), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "model").exists()


def test_strange_things_in_the_runs_folder(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(recipe, triples, str(base), run, device="cpu")
    (run / "checkpoints" / "step-4-backup").mkdir()
    train(recipe, triples, str(base), run, device="cpu")
    told = json.loads((run / "run.json").read_text())
    assert told["recipe"].pop("prompt") == "standard"
    (run / "run.json").write_text(json.dumps(told))  # as runs wrote it before prompts could be chosen
    train(recipe, triples, str(base), run, device="cpu")
    (run / "run.json").write_text("[]")
    with pytest.raises(TrainingError, match="it holds a list"):
        train(recipe, triples, str(base), run, device="cpu")
    (run / "run.json").unlink()
    with pytest.raises(TrainingError, match=r"no run\.json"):
        train(recipe, triples, str(base), run, device="cpu")


def test_a_torn_checkpoint_is_named(base: Path, triples: Path, recipe: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(recipe, triples, str(base), run, device="cpu")
    (run / "checkpoints" / "step-6" / "trained.safetensors").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"step-6 cannot be read .* delete it"):
        train(recipe, triples, str(base), run, device="cpu")
    shutil.rmtree(run / "checkpoints" / "step-6")
    train(recipe, triples, str(base), run, device="cpu")


def test_activations_are_checkpointed(
    base: Path, triples: Path, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    plain = modeling_utils.checkpoint
    monkeypatch.setattr(modeling_utils, "checkpoint", lambda *a, **k: calls.append(1) or plain(*a, **k))
    kept = recipe.changed(["steps=1", "warm_up_steps=0"])
    train(kept, triples, str(base), tmp_path / "kept", device="cpu")
    assert not calls
    train(kept.changed(["gradient_checkpointing=true"]), triples, str(base), tmp_path / "again", device="cpu")
    assert len(calls) == 2, "once a layer"
    assert_same(trained(tmp_path / "kept"), trained(tmp_path / "again"), rtol=1e-4, atol=1e-7)


def test_an_adapter_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongCheckpoint, match="neither an adapter nor weights"):
        export(find(str(base)), tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
