"""`oneword models`."""

import json
from typing import Annotated

import typer

from oneword.engine.options import Revision

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the known models, what each is good for, and what is missing to use it here; or download one."""
    if context.invoked_subcommand is None:
        _list(as_json)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A known model, or a Hugging Face id.")],
    revision: Revision = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Download a model; run it again to go on after an interruption, or for a newer revision."""
    from oneword.engine.downloads import pull as download

    found = download(name, revision)
    if as_json:
        print(json.dumps({"model": found.model, "revision": found.commit, "folder": str(found.folder)}))
    else:
        print(f"{found.model} is ready, at revision {found.commit}; {found.folder}")


def _list(as_json: bool) -> None:
    from oneword.engine.availability import availability, choose
    from oneword.engine.errors import ModelNotFound

    name: str | None
    try:
        name, reason = choose()
    except ModelNotFound as error:
        name, reason = None, str(error)
    known = availability()
    if as_json:
        listed = [{**each.model.as_dict(), "missing": each.missing} for each in known]
        print(json.dumps({"models": listed, "auto": {"model": name, "reason": reason}}, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for each in known:
        model = each.model
        size = f"{model.size / 1e9:.1f} GB" if model.size >= 1e9 else f"{model.size / 1e6:.0f} MB"
        state = "[green]ready[/green]" if not each.missing else "[yellow]not ready[/yellow]"
        short = f" ({', '.join(model.aliases)})" if model.aliases else ""
        console.print(
            f"[bold]{model.name}[/bold]{short}  {state}  {model.dimension} dimensions, {size}, {model.license}"
        )
        console.print(f"    {model.summary}", style="dim", markup=False)
        for lack in each.missing:
            console.print(f"    missing: {lack}", markup=False)
    console.print(f"--model auto is {name or 'nothing'}: {reason}", markup=False)
