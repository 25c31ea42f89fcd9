"""Caddy's own opinion of a Caddyfile."""

import subprocess

from ouroboros.domain.errors import Failed

_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}


def require_valid(caddyfile: str) -> None:
    """Let Caddy read a Caddyfile without serving it; raises `caddyfile_invalid`."""
    argv = ("caddy", "adapt", "--config", "/dev/stdin", "--adapter", "caddyfile", "--validate")
    done = subprocess.run(
        argv, input=caddyfile, env=_ENV, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failed("caddyfile_invalid", done.stderr.strip()[-500:], "caddy version")
