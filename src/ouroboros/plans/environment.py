"""Environments of branch code: what a build and a backend may see, and nothing else.

Each is made from nothing and an allow-list, so a secret of the worker cannot slip through. Builds
may additionally see how this host reaches the package registries; backends may not.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ouroboros.domain.database_url import DatabaseUrl
from ouroboros.domain.slot import Slot

_NETWORK = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "npm_config_registry",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
)


def base_environment(tools: str, home: Path) -> dict[str, str]:
    """What every process of branch code gets: where tools are, a locale, a zone, a home."""
    return {"PATH": tools, "LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(home)}


def network_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the worker's environment that says how to reach package registries."""
    return {key: environ[key] for key in _NETWORK if environ.get(key)}


def passwords_in(environment: Mapping[str, str]) -> list[str]:
    """The passwords of URLs in an environment, as written and as meant: they are to be masked."""
    found = []
    for value in environment.values():
        try:
            password = urlsplit(value).password
        except ValueError:
            continue
        if password:
            found += [password, unquote(password)]
    return found


def build_environment(
    base: Mapping[str, str], network: Mapping[str, str], slot: Slot, cache: Path
) -> dict[str, str]:
    """The environment of installs and builds; the caches belong to this slot alone."""
    return {
        **base,
        **network,
        "CI": "1",
        "FORCE_COLOR": "1",
        "CLICOLOR_FORCE": "1",
        "npm_config_cache": str(cache / "npm"),
        "npm_config_update_notifier": "false",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_prefer_offline": "true",
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "VITE_API_BASE_URL": "/api",
        "VITE_SLOT_ID": slot.id,
        "VITE_SLOT_BACKEND_URL": slot.backend_url,
    }


def backend_environment(
    base: Mapping[str, str],
    slot: Slot,
    *,
    worktree: Path,
    database_url: DatabaseUrl,
    run_id: str,
    commit: str,
) -> dict[str, str]:
    """The environment of a slot's backend, its migrations and its smoke checks (CONTRACT)."""
    return {
        **base,
        "SLOT_ID": slot.id,
        "SLOT_NUM": str(slot.number),
        "SLOT_BACKEND_PORT": str(slot.api_port),
        "SLOT_DB_NAME": slot.database.name,
        "SLOT_WORKTREE_PATH": str(worktree),
        "DATABASE_URL": database_url.text(),
        "RUN_ID": run_id,
        "COMMIT_SHA": commit,
        "PREVIEW_URL": slot.preview_url,
    }
