"""`ouroboros mcp`: the same commands for coding agents."""

from typing import Annotated

import typer

from ouroboros.domain.errors import Failed

_LOOPBACK = "127.0.0.1"


def mcp(
    http: Annotated[bool, typer.Option("--http", help="over HTTP; callers show a token")] = False,
    host: Annotated[str, typer.Option(help="with --http: the address to listen on")] = _LOOPBACK,
    port: Annotated[int, typer.Option(help="with --http: 0 takes a free one", max=65535)] = 8020,
) -> None:
    """Serve coding agents by the Model Context Protocol, over stdin and stdout, or over HTTP."""
    try:
        from ouroboros.entrypoints.mcp.server import make_server
        from ouroboros.entrypoints.mcp.serving import serve_http
    except ModuleNotFoundError as error:
        raise Failed(
            "mcp_not_installed",
            "the MCP SDK is not installed",
            "pip install '.[mcp]' in a checkout of Ouroboros",
        ) from error
    if http:
        serve_http(host, port)
    else:
        make_server().run("stdio")


COMMANDS = {"mcp": mcp}
