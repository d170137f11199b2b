"""The front door: hands each sub-command to the package that owns it, and turns errors into exit codes.

Exit codes: 0 done; 1 it could not be done (the message says why); 2 the command line is wrong; 130 interrupted.
"""

import sys
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from oneword.defaults import BadDefaults
from oneword.defaults import read as read_defaults
from oneword.doctor import doctor
from oneword.engine.cli import app as models
from oneword.engine.errors import EngineError
from oneword.engine.evaluation.cli import app as evaluation
from oneword.engine.training.cli import train
from oneword.indexer.cli import create, enrich, index, reembed, retry, watch
from oneword.indexer.errors import IndexerError
from oneword.mcp_cli import mcp
from oneword.query.cli import search
from oneword.query.errors import QueryError
from oneword.query.evaluate import live
from oneword.query.explain import explain
from oneword.query.query import suggestion
from oneword.query.resident.cli import stop
from oneword.query.server.cli import keys, serve
from oneword.storage.cli import build, collections_app, delete, duplicates, info, verify
from oneword.storage.errors import StorageError
from oneword.storage.exchange_cli import export, import_
from oneword.storage.history_cli import compact, jobs, quarantine_app, restore, tag, versions
from oneword.storage.terminal import print_json, say

ENVIRONMENT = {
    "ONEWORD_DB": "the store (--db)",
    "ONEWORD_MODEL": "the model that --model auto is, where a collection does not decide it",
    "ONEWORD_SERVER, ONEWORD_API_KEY": "the service that `search` asks, and its key",
    "ONEWORD_DAEMON, ONEWORD_DAEMON_IDLE": "0: keep no model loaded; seconds without a search after which it is let go",
    "ONEWORD_CONFIG": "the file of defaults, instead of ~/.config/oneword.toml",
    "ONEWORD_HOST, ONEWORD_PORT, ONEWORD_KEYS": "where `serve` listens, and its file of keys",
    "ONEWORD_REMOTE_KEY, ONEWORD_REMOTE_MODELS": "for models on other machines: the key, and which servers are trusted",
    "ONEWORD_TRUST_REMOTE_CODE": "models whose own code may be run",
}
"""Environment variables by what they are for."""

app = typer.Typer(
    name="oneword",
    epilog="\b\nEnvironment:\n" + "\n".join(f"  {names}\n      {what}" for names, what in ENVIRONMENT.items()),
    help="Find images and texts by meaning: with words, with an image, or with an image and an edit.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _indexing() -> Any:
    """What starts the service's jobs (`oneword.query.jobs.Indexing`): query and indexer meet only here."""
    from oneword.indexer.jobs import Supervisor

    return Supervisor


def _unrelated(db: str, collection: str) -> Any:
    """Vectors of unrelated texts for a collection's index: storage and models meet only here."""
    from oneword.query.service import SearchService

    try:
        return SearchService(db, collection).unrelated()
    except (EngineError, StorageError, QueryError) as error:
        say(f"Hits by texts get no confidence: {error}", err=True)
        return None


def _space(model: str, view: str | None) -> Any:
    """The space of vectors that are imported: storage and models meet only here."""
    from oneword.engine import views
    from oneword.engine.models import load

    return load(model).space(views.get(view) if view else views.DEFAULT).as_dict()


for command in (
    index,
    watch,
    search,
    explain,
    stop,
    info,
    verify,
    duplicates,
    delete,
    jobs,
    versions,
    tag,
    restore,
    compact,
    export,
    reembed,
    enrich,
    train,
    mcp,
    doctor,
):
    app.command()(command)
app.command(context_settings={"obj": _indexing})(serve)
app.command(context_settings={"obj": _unrelated})(build)
evaluation.command()(live)
app.add_typer(evaluation, name="eval")
app.command("import", context_settings={"obj": _space})(import_)
collections_app.command()(create)
app.add_typer(collections_app, name="collections")
quarantine_app.command()(retry)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(keys, name="keys")
app.add_typer(models, name="models")


def _print_version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        print(f"oneword {version('oneword')}")
        raise typer.Exit


OPTIONS = ("limit", "where", "collection")
"""Options that people who know other search engines call by another name."""

LARGE = ("index", "reembed", "train")
"""Commands that load a model of their own for long."""


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - it has printed
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand in LARGE:
        from oneword.query.resident.control import make_room

        make_room()


def main() -> None:
    """The `oneword` command. It prints under any locale: JSON in UTF-8, other text with escapes for what it lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8" if "--json" in sys.argv else None, errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs a command line and returns its exit code. With --json, an error is a JSON document too."""
    as_json = "--json" in arguments or "--format=json" in arguments or ("--format", "json") in pairwise(arguments)
    try:
        Path.cwd()
    except FileNotFoundError:
        gone = FileNotFoundError("the current folder does not exist any more; change to one that does")
        return _fail(gone, as_json, code=1)
    try:
        defaults = read_defaults(app, arguments)
    except BadDefaults as error:
        return _fail(error, as_json, code=1)
    try:
        outcome = app(arguments, standalone_mode=False, default_map=defaults.values)
    except (EngineError, StorageError, IndexerError, QueryError) as error:
        return _fail(error, as_json, code=1)
    except OSError as error:  # a folder in the way, no permission, no space: the system's words name the path
        return _fail(error, as_json, code=1)
    except KeyboardInterrupt:
        return _fail(
            InterruptedError("interrupted; what was committed stays, run the same command to go on"),
            as_json,
            code=130,
        )
    except typer.Abort as error:
        return _fail(error, as_json, code=1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # not one of the command line's own errors
            raise
        hint = suggestion(getattr(error, "option_name", "").lstrip("-"), OPTIONS)
        if hint and hasattr(error, "possibilities"):  # names that look like it: ours means the same
            error.possibilities = None
        return _fail(error, as_json, code=2, hint=hint or defaults.hint)
    return outcome if isinstance(outcome, int) else 0


def _fail(error: Exception, as_json: bool, *, code: int, hint: str = "") -> int:
    text = error.format_message() if hasattr(error, "format_message") else str(error) or type(error).__name__
    text += hint
    if as_json:
        print_json({"error": {"type": type(error).__name__, "message": text}}, indent=None)
    say(f"error: {text}", err=True)
    if code == 2:
        say("Try --help.", err=True)
    return code
