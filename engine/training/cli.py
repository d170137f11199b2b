"""`oneword train`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from oneword.engine.options import Revision


def train(
    data: Annotated[Path | None, typer.Argument(help="Sentence pairs or triples: CSV, TSV, JSONL or Parquet.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The base: a LLaVA-NeXT checkpoint's folder or hub id, or mini.")
    ] = None,
    revision: Revision = None,
    out: Annotated[Path | None, typer.Option(help="Folder for checkpoints, logs and the trained model.")] = None,
    recipe: Annotated[str, typer.Option(help="e5v, small, or a .toml file.")] = "e5v",
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: steps=200, lora.rank=8; may be repeated.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="standard, or as-published: the prompt that the paper's code trains with.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="The data's columns: anchor,positive[,negative].")] = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    show: Annotated[str | None, typer.Option(help="Print a shipped file and stop: e5v, small, or zero2.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train a model's language side on sentence pairs, as E5-V was, and write a checkpoint that --model takes.

    Started again with the same arguments it goes on where it was stopped. On many GPUs:
    accelerate launch --module oneword train ...
    """
    if show is not None:
        text = _shipped(show)
        print(json.dumps({"name": show, "text": text}) if as_json else text, end="\n" if as_json else "")
        return
    if data is None or model is None or out is None:
        missing = [name for name, value in (("DATA", data), ("--model", model), ("--out", out)) if value is None]
        raise typer.BadParameter(f"missing {', '.join(missing)}")
    import logging

    from oneword.engine.training import Recipe
    from oneword.engine.training import train as run

    log = logging.getLogger("oneword.engine.training")
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
    chosen = Recipe.named(recipe).changed([*(changes or ()), *([f"prompt={prompt}"] if prompt else ())])
    made = run(
        chosen,
        data,
        model,
        out,
        revision=revision,
        columns=[name.strip() for name in columns.split(",")] if columns else None,
        device=device,
    )
    if int(os.environ.get("RANK", "0")) != 0:
        return  # the main process prints
    if as_json:
        last = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        print(json.dumps({"model": str(made), "recipe": chosen.model_dump(mode="json"), "last": json.loads(last)}))
        return
    print(f'Trained: {made}\nUse it: oneword index PATH --model {made}; curves: tensorboard --logdir "{out}"')


def _shipped(name: str) -> str:
    from importlib.resources import files

    folder = files("oneword.engine.training") / "recipes"
    there = {one.name.rpartition(".")[0]: one for one in folder.iterdir()}
    if name not in there:
        raise typer.BadParameter(f"--show {name}: expected one of {', '.join(sorted(there))}")
    return there[name].read_text(encoding="utf-8")
