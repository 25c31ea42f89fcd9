"""Which control plane the command line talks to."""

import os

from ouroboros.client import Client
from ouroboros.settings import Settings, read_settings


def settings() -> Settings:
    """This process's configuration; raises `invalid_configuration`."""
    return read_settings(os.environ)


def client() -> Client:
    """A client of the control plane that `OUROBOROS_URL` names, or else of the local one."""
    configured = settings()
    return Client(configured.url or configured.run_dir / "api.sock")
