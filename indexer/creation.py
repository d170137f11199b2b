"""`oneword collections create`: here, because a collection's space comes from the engine."""

from typing import Annotated

import typer

from oneword.engine.options import Dimensions, Revision


def create(
    name: Annotated[str, typer.Argument(help="The new collection.")],
    like: Annotated[str | None, typer.Option(help="Take model and view of this collection.")] = None,
    model: Annotated[str | None, typer.Option(help="basic, e5-v, mini, a Hugging Face id, or a checkpoint.")] = None,
    revision: Revision = None,
    dimensions: Dimensions = None,
    view: Annotated[str | None, typer.Option(help="A view's name or a .toml file; with --model.")] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or cuda:N; with --model, which is loaded once.")
    ] = "auto",
    db: Annotated[str, typer.Option(envvar="ONEWORD_DB", help="Folder or object-store URI of the store.")] = ".oneword",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Make an empty collection, for a model and view or like another one."""
    from oneword.storage import Store
    from oneword.storage.terminal import print_json, say

    if (like is None) == (model is None):
        raise typer.BadParameter("say what the collection is for: --like OTHER, or --model MODEL (one of the two)")
    if like is not None and view is not None:
        raise typer.BadParameter("--view goes with --model: a collection made --like another one has its view")
    store = Store(db)
    if like is not None:
        space = store.open(like).space
    else:
        from oneword.engine import models, views
        from oneword.engine.config import EngineConfig

        encoder = models.load(EngineConfig(model=str(model), device=device, revision=revision, dimensions=dimensions))
        space = encoder.space(views.get(view) if view else views.DEFAULT).as_dict()
    made = store.create(name, space)
    if as_json:
        print_json({"db": store.uri, "collection": made.name, "space": made.space})
    else:
        say(f"Made collection {name!r} in {store.uri}: model {space['model']}, view {space['view']}.")
