"""Which control plane the command line talks to."""

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from ouroboros.settings import Settings, read_settings

if TYPE_CHECKING:
    from ouroboros.client import Client


def settings() -> Settings:
    """This process's configuration; raises `invalid_configuration`."""
    return read_settings(os.environ)


def client() -> "Client":
    """A client of the control plane that `OUROBOROS_URL` names, or else of the local one."""
    from ouroboros.client import Client

    configured = settings()
    if configured.url is not None:
        return Client(configured.url, configured.token)
    return Client(configured.run_dir / "api.sock")


def client_with(token: str) -> "Client":
    """A client of the same control plane that shows the token of somebody else."""
    from ouroboros.client import Client

    configured = settings()
    return Client(configured.url or configured.run_dir / "api.sock", token)


def path_of(*parts: str) -> str:
    """A path of the API made from parts that may hold anything."""
    return "/" + "/".join(quote(part, safe="") for part in parts)
