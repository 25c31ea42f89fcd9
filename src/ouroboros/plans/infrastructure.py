"""Files that a host needs for its slots: the Caddyfile, systemd units and environment files.

All are rendered from the pool, so a port or a host name stands in one place. The ones for the
default pool are committed below `infra/`, and a test says when they differ from what this module
renders.
"""

from collections.abc import Mapping

from ouroboros.domain.slot import Slot, SlotPool
from ouroboros.plans.caddyfile import ADMIN_SOCKET, render_caddyfile
from ouroboros.plans.units import render_units
from ouroboros.plans.units.branches import render_ports
from ouroboros.plans.units.places import CURRENT, NOTICE

UNITS = "infra/systemd"
API_PORT = 8000
"""The control plane's, by the contract."""


def render_infrastructure(
    pool: SlotPool,
    caddy_port: int,
    tls: str = "auto",
    *,
    gate_port: int = 0,
    dashboard_port: int = API_PORT,
) -> dict[str, str]:
    """Every rendered file by its path relative to the checkout."""
    caddyfile = render_caddyfile(
        pool, caddy_port, tls, ADMIN_SOCKET, gate_port=gate_port, dashboard_port=dashboard_port
    )
    files = {"infra/caddy/Caddyfile": caddyfile}
    files |= {f"{UNITS}/{name}": text for name, text in render_units().items()}
    for slot in pool:
        files |= {f"{UNITS}/{name}": text for name, text in render_ports(slot).items()}
        files[slot.web_env_file] = render_env(web_environment(slot))
        files[slot.backend_env_file] = render_env(backend_environment(slot))
    return files


def web_environment(slot: Slot) -> dict[str, str]:
    """What the web unit of a slot reads."""
    return {
        "SLOT_ID": slot.id,
        "WEB_ROOT": f"{CURRENT}/{slot.web_root}",
        "WEB_PORT": str(slot.web_port),
        "WEB_API_PROXY_TARGET": slot.backend_url,
        "WEB_ALLOWED_HOSTS": slot.host_name,
    }


def backend_environment(slot: Slot) -> dict[str, str]:
    """The part of the backend's environment that never changes; no secret stands here."""
    return {
        "SLOT_ID": slot.id,
        "SLOT_NUM": str(slot.number),
        "SLOT_BACKEND_PORT": str(slot.api_port),
        "SLOT_DB_NAME": slot.database.name,
        "PREVIEW_URL": slot.preview_url,
    }


def render_env(values: Mapping[str, str]) -> str:
    """An EnvironmentFile (systemd.exec(5)); our values hold nothing that needs quotes."""
    return NOTICE + "".join(f"{name}={value}\n" for name, value in values.items())
