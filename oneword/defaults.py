"""Defaults of the command line, from a user's file and from a store's.

The user's is `~/.config/oneword.toml` (`$XDG_CONFIG_HOME`, or the file that ONEWORD_CONFIG names): a table for a
command, with its options by their long names; options above the tables are for all commands that have them. The store's
is `oneword.toml` in its folder. As anyone may have made a store, it sets no more than how its collections are searched.
What is typed comes first, then the environment, then the store's file.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneword.errors import Error
from oneword.query.query import options as declared
from oneword.query.query import suggestion

VARIABLE = "ONEWORD_CONFIG"
NAME = "oneword.toml"

OF_STORES = ("collection", *(option.name.replace("_", "-") for option in declared()))
"""Options of `search` that a store's file may set."""


class BadDefaults(Error):
    """A file of defaults that cannot be used."""


@dataclass(frozen=True)
class Defaults:
    """Defaults by command and by the option's name in Python, and the files that they are from."""

    values: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @property
    def hint(self) -> str:
        """Where a wrong value may come from, to be put after an error; empty if there are no files."""
        return f"; some options have a default in {', '.join(map(str, self.files))}" if self.files else ""


def read(application: Any, arguments: Sequence[str]) -> Defaults:
    """Reads both files.

    Args:
        application: the `typer.Typer`; looked at only if there is a file.
        arguments: of the command line, for the store's folder.

    Raises:
        BadDefaults: a file cannot be read, or has something in it that no command has.
    """
    users = _users()
    documents = {users: _document(users)} if users.is_file() else {}
    stores = _store(arguments, documents.get(users, {})) / NAME
    if stores.is_file():
        documents[stores] = _document(stores)
        _check_stores(stores, documents[stores])
    if not documents:
        return Defaults()
    import typer

    root = typer.main.get_command(application)
    values: dict[str, Any] = {}
    for path, document in documents.items():
        used: set[str] = set()
        _merge(values, _defaults(path, document, root, {}, used))
        if unknown := [name for name, value in document.items() if not isinstance(value, dict) and name not in used]:
            raise BadDefaults(f"{path}: no command has an option {unknown[0]!r}")
    return Defaults(values, tuple(documents))


def _users() -> Path:
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / NAME


def _store(arguments: Sequence[str], users: Mapping[str, Any]) -> Path:
    """Returns the folder of the store; for one in an object store, no folder that is there."""
    given = os.environ.get("ONEWORD_DB") or str(users.get("db", ".oneword"))
    for place, argument in enumerate(arguments):
        if argument == "--db" and place + 1 < len(arguments):
            given = arguments[place + 1]
        elif argument.startswith("--db="):
            given = argument.removeprefix("--db=")
    return Path(given).expanduser()


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadDefaults(f"{path}: cannot be read as TOML ({error}); mend it, or remove it") from error


def _check_stores(path: Path, document: Mapping[str, Any]) -> None:
    search = document.get("search", {})
    more = [name for name in document if name != "search"]
    more += [f"search.{name}" for name in search if name not in OF_STORES] if isinstance(search, dict) else ["search"]
    if more:
        raise BadDefaults(
            f"{path}: sets {more[0]}: expected no more than a table [search] with {', '.join(OF_STORES)}; other "
            f"defaults belong in {_users()}"
        )


def _defaults(
    path: Path, document: Mapping[str, Any], command: Any, above: Mapping[str, Any], used: set[str]
) -> dict[str, Any]:
    """Returns the defaults of a command and of those below it.

    Args:
        above: what is set for all commands; each takes what it has an option for.
        used: gets the names that a command has taken.
    """
    below = getattr(command, "commands", {})
    own = {name: value for name, value in document.items() if not isinstance(value, dict)}
    options = {one.opts[0].removeprefix("--"): one for one in command.params if one.opts[0].startswith("--")}
    if not below and (unknown := [name for name in own if name not in options]):
        hint = suggestion(unknown[0], list(options))
        raise BadDefaults(f"{path}: {command.name!r} has no option {unknown[0]!r}{hint}")
    found: dict[str, Any] = {}
    for name, value in {**above, **own}.items():
        if option := options.get(name):
            used.add(name)
            found[option.name] = _checked(path, name, value, option)
    if unknown := [name for name, value in document.items() if isinstance(value, dict) and name not in below]:
        raise BadDefaults(f"{path}: there is no command {unknown[0]!r}{suggestion(unknown[0], list(below))}")
    for name, one in below.items():
        found[name] = _defaults(path, document.get(name, {}), one, {**above, **own}, used)
    return found


def _checked(path: Path, name: str, value: object, option: Any) -> object:
    """The value, if it may be one of the option's; its own type and bounds are checked when it is used."""
    flag, several = getattr(option, "is_flag", False), getattr(option, "multiple", False)
    expected = "true or false" if flag else "a list" if several else "a string or a number"
    fine = isinstance(value, bool) if flag else isinstance(value, list) if several else type(value) in (str, int, float)
    if not fine:
        raise BadDefaults(f"{path}: {name} is {value!r}: expected {expected}")
    return value


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
