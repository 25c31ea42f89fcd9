"""`ouroboros mcp`: the same commands for coding agents."""

from ouroboros.domain.errors import Failed


def mcp() -> None:
    """Serve coding agents by the Model Context Protocol, over standard input and output."""
    try:
        from ouroboros.entrypoints.mcp.server import make_server
    except ModuleNotFoundError as error:
        raise Failed(
            "mcp_not_installed",
            "the MCP SDK is not installed",
            "pip install 'ouroboros-preview[mcp]'",
        ) from error
    make_server().run("stdio")


COMMANDS = {"mcp": mcp}
