"""`oneword stop`."""

from typing import Annotated

import typer

from oneword.storage.terminal import Json, print_json, say


def stop(
    list_: Annotated[bool, typer.Option("--list", help="Only list them.")] = False,
    json: Json = False,
) -> None:
    """End the background processes that keep models loaded for this user's searches."""
    from oneword.query.resident.control import residents
    from oneword.query.resident.control import stop as end

    found = list(residents())
    known = [{"pid": one.info["process"]["pid"], **{key: one.info[key] for key in ("db", "since")}} for one in found]
    if not list_:
        for address in found:
            end(address)
    if json:
        print_json({"running" if list_ else "stopped": known})
        return
    for about in known:
        say(f"{'Process' if list_ else 'Stopped'} {about['pid']}, of {about['db']}, since {about['since']}.")
    if not known:
        say("No process keeps a model loaded.")
