"""Command-line parameters made from the dataclasses that declare options (`oneword.indexer.options`)."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from oneword.indexer.errors import BadOption
from oneword.indexer.options import declared, made


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces each parameter that is a dataclass of options by those options, which follow the command's own.

    What cannot be read of them is an error of the command line.
    """
    types = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    kinds = {name: kind for name, kind in types.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters = [
        one.replace(annotation=types[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, one in own.items()
        if name not in kinds
    ]
    parameters += [
        _parameter(name, one, get_type_hints(kind)[one.name])
        for kind in kinds.values()
        for name, one in declared(kind).items()
    ]

    @functools.wraps(command)
    def with_dataclasses(**given: Any) -> None:
        try:
            options = {name: made(kind, given) for name, kind in kinds.items()}
        except BadOption as error:
            raise typer.BadParameter(str(error)) from error
        command(**{name: value for name, value in given.items() if name in own}, **options)

    del with_dataclasses.__wrapped__
    with_dataclasses.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_dataclasses.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_dataclasses


def _parameter(name: str, one: Any, kind: Any) -> inspect.Parameter:
    about, default = one.metadata, one.default
    flag = f"--{name.replace('_', '-')}"
    text = about["help"]
    if about.get("read"):
        kind, default = str | None, None
    elif get_origin(kind) is tuple:
        kind, default = list[str] | None, None
        text = f"{text.removesuffix('.')}; repeatable."
    numeric = kind in (int, float) or {int, float} & set(get_args(kind))
    info = typer.Option(
        *[flag, about["short"]] if "short" in about else [flag],
        help=text,
        metavar=about.get("metavar"),
        min=about.get("min") if numeric else None,
        max=about.get("max") if numeric else None,
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])
