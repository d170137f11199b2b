"""`oneword mcp`."""

from typing import Annotated

import typer

from oneword.storage.terminal import Db, say

PORT = 8765


def mcp(
    db: Db = ".oneword",
    server: Annotated[
        str | None,
        typer.Option(envvar="ONEWORD_SERVER", help="Use the service at this URL, and not a store."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Offer tools that index, add and delete, too.")] = False,
    root: Annotated[
        list[str] | None, typer.Option(metavar="ROOT", help="Read images only in this folder; repeatable.")
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve over HTTP at /mcp, and not over standard input and output."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="ONEWORD_API_KEY", help="The service's key; over HTTP each client sends its own."),
    ] = None,
) -> None:
    """Offer collections to assistants, by the Model Context Protocol."""
    from oneword.engine.dependencies import require
    from oneword.engine.roots import Roots

    require("mcp", what="the MCP server", extra="mcp")
    from oneword.mcp_server import Tools
    from oneword.mcp_server import server as served

    roots = Roots.of(root or ()) if root or http else None
    if http is None:
        served(Tools(server or db, key=key if server else None, roots=roots), write=write).run()
        return
    host, port = _address(http)
    _check_exposed(host, server)
    made = served(Tools(server or db, roots=roots), write=write)
    say(f"http://{http}/mcp", err=True)
    made.run("streamable-http", host=host, port=port, json_response=True, stateless_http=True)


def _address(given: str) -> tuple[str, int]:
    host, colon, port = given.rpartition(":")
    if not colon:
        return given, PORT
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise typer.BadParameter(f"--http {given!r}: expected HOST:PORT, such as 127.0.0.1:{PORT}")
    return host, int(port)


def _check_exposed(host: str, server: str | None) -> None:
    """Refuses to listen beyond loopback where nobody asks for a key.

    Raises:
        Exposed: there is no service that would check one, or it lets everybody in.
    """
    from oneword.query.errors import Exposed
    from oneword.query.server.config import is_loopback

    if is_loopback(host):
        return
    if server is None:
        raise Exposed(
            f"--http {host}: a store has no keys, so that anyone who reaches this machine could read it. Serve it "
            "(oneword serve --api-keys FILE) and name the service (--server URL), or listen on 127.0.0.1"
        )
    import oneword
    from oneword.query.client.errors import Refused

    try:
        oneword.connect(server).collections()
    except Refused:
        return
    raise Exposed(
        f"--http {host}: the service at {server} wants no key, so that anyone who reaches this machine could use it; "
        "start it with --api-keys FILE, or listen on 127.0.0.1"
    )
