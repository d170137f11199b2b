"""`oneword keys`: make, list and revoke the API keys of a service."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oneword.storage.terminal import Json, print_json, print_table, say

if TYPE_CHECKING:
    from oneword.query.server.keys.file import Key

app = typer.Typer(help="The API keys that a service lets in.", no_args_is_help=True)

DEFAULT = Path("oneword-keys.toml")

File = Annotated[
    Path, typer.Option("--file", "-f", envvar="ONEWORD_KEYS", dir_okay=False, help="The file that keys are kept in.")
]


class ScopeName(StrEnum):
    """What a key may do; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what the key is for.")],
    scope: Annotated[ScopeName, typer.Option(help="What it may do; each includes those before it.")] = ScopeName.READ,
    file: File = DEFAULT,
    rate: Annotated[float | None, typer.Option(help="Requests a second. [default: the service's limit]")] = None,
    json: Json = False,
) -> None:
    """Make a key and print it. This is the only time that it is shown: only its hash is kept."""
    from oneword.query.server.keys.file import changing
    from oneword.query.server.keys.keys import make

    with changing(file) as keys:
        try:
            key, text = make(name, scope.value, rate=rate, taken=[one.id for one in keys])
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        keys.append(key)
    if json:
        print_json({"file": str(file), **_shown(key), "key": text})
    else:
        say(f"Key {key.id} for {name!r} may {scope.value}. It is shown only now:", err=True)
        say(text)


@app.command("list")
def list_(file: File = DEFAULT, json: Json = False) -> None:
    """List the keys, without their secrets."""
    from oneword.query.server.keys.file import read

    keys = read(file)
    if json:
        print_json({"file": str(file), "keys": [_shown(key) for key in keys]})
    elif not keys:
        say(f"There are no keys in {str(file)!r}: no one is let in.")
    else:
        rows = [
            (
                key.id,
                key.name,
                key.principal.scope,
                "" if key.rate is None else f"{key.rate:g}/s",
                f"{key.created.astimezone():%Y-%m-%d %H:%M}",
            )
            for key in keys
        ]
        print_table(["id", "name", "may", "rate", "created"], rows)


@app.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `oneword keys list` shows it.")],
    file: File = DEFAULT,
    json: Json = False,
) -> None:
    """Take a key away."""
    from oneword.query.errors import KeyFileError
    from oneword.query.server.keys.file import changing, read

    read(file)  # a file that is not there has no keys to take away
    with changing(file) as keys:
        gone = next((key for key in keys if key.id == id_), None)
        if gone is None:
            # Not repeated: someone may have pasted the key itself.
            raise KeyFileError(f"no key in {str(file)!r} has this id: `oneword keys list` shows those there are")
        keys.remove(gone)
    if json:
        print_json({"file": str(file), "revoked": _shown(gone)})
    else:
        say(f"Revoked {gone.id}, the key of {gone.name!r}. Services that use this file refuse it from now on.")


def _shown(key: Key) -> dict[str, Any]:
    """All but the hash."""
    return {"id": key.id, "name": key.name, "scopes": list(key.scopes), "created": key.created, "rate": key.rate}
