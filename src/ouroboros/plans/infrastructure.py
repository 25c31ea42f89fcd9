"""Files that a host needs for its slots: the Caddyfile, systemd units and environment files.

All are rendered from the pool, so a port or a host name stands in one place. The ones for the
default pool are committed below `infra/`, and a test says when they differ from what this module
renders.
"""

from collections.abc import Mapping

from ouroboros.domain.slot import Slot, SlotPool

INSTALL_ROOT = "/srv/oroboros"
CURRENT = f"{INSTALL_ROOT}/current"
_NOTICE = "# Rendered from the slot pool by `ouroboros render`; edit the renderer, not this file.\n"


def render_infrastructure(pool: SlotPool, caddy_port: int) -> dict[str, str]:
    """Every rendered file by its path relative to the checkout."""
    files = {
        "infra/caddy/Caddyfile": render_caddyfile(pool, caddy_port),
        "infra/systemd/ouroboros-web@.service": _WEB_UNIT,
        "infra/systemd/ouroboros-backend@.service": _BACKEND_UNIT,
        "infra/systemd/ouroboros-api.service": _API_UNIT,
        "infra/systemd/ouroboros-worker.service": _WORKER_UNIT,
        "infra/systemd/ouroboros.target": _TARGET,
    }
    for slot in pool:
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
    return _NOTICE + "".join(f"{name}={value}\n" for name, value in values.items())


def render_caddyfile(pool: SlotPool, port: int) -> str:
    """Routes by host name; static, so that it is never reloaded by a publish.

    `handle` and not a bare `respond`, which Caddy orders before `reverse_proxy`.
    """
    hosts = "".join(_caddy_site(slot, port) for slot in pool)
    return f"""{_NOTICE}{{
	admin off
	auto_https off
}}
{hosts}
http://:{port} {{
	handle {{
		respond "No preview has this name." 421
	}}
}}
"""


def _caddy_site(slot: Slot, port: int) -> str:
    return f"""
http://{slot.host_name}:{port} {{
	handle {{
		reverse_proxy 127.0.0.1:{slot.web_port} {{
			lb_try_duration 5s
			lb_try_interval 50ms
			header_up Host {{host}}
		}}
	}}
	header X-Robots-Tag noindex
}}
"""


_WEB_UNIT = f"""{_NOTICE}[Unit]
Description=Web surface of %i
PartOf=ouroboros.target
After=network.target

[Service]
User=ouroboros-%i
EnvironmentFile={CURRENT}/infra/systemd/env/web-%i.env
ExecStart={CURRENT}/.venv/bin/python {CURRENT}/scripts/run-web-surface.py \\
    --root ${{WEB_ROOT}} --port ${{WEB_PORT}} --api-target ${{WEB_API_PROXY_TARGET}} \\
    --allowed-hosts ${{WEB_ALLOWED_HOSTS}}
Restart=always
RestartSec=1
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes

[Install]
WantedBy=ouroboros.target
"""

_BACKEND_UNIT = f"""{_NOTICE}[Unit]
Description=Backend of %i
PartOf=ouroboros.target
After=network.target postgresql.service

[Service]
User=ouroboros-%i
EnvironmentFile={CURRENT}/infra/systemd/env/backend-%i.env
EnvironmentFile={INSTALL_ROOT}/run/backend-%i.env
# Directory and command of the live release, written by the control plane before each start.
ExecStart=/usr/bin/env -C ${{BACKEND_DIRECTORY}} $BACKEND_ARGV
Restart=on-failure
RestartSec=1
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes

[Install]
WantedBy=ouroboros.target
"""

_API_UNIT = f"""{_NOTICE}[Unit]
Description=Ouroboros control plane API
PartOf=ouroboros.target
After=network.target postgresql.service

[Service]
User=ouroboros
EnvironmentFile={INSTALL_ROOT}/ouroboros.env
ExecStart={CURRENT}/.venv/bin/python -m ouroboros.entrypoints.http
Restart=always
RestartSec=1
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={INSTALL_ROOT}
PrivateTmp=yes

[Install]
WantedBy=ouroboros.target
"""

_WORKER_UNIT = f"""{_NOTICE}[Unit]
Description=Ouroboros worker
PartOf=ouroboros.target
After=network.target postgresql.service

[Service]
User=ouroboros
EnvironmentFile={INSTALL_ROOT}/ouroboros.env
ExecStart={CURRENT}/.venv/bin/python -m ouroboros.entrypoints.worker
Restart=always
RestartSec=1
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={INSTALL_ROOT}
PrivateTmp=yes

[Install]
WantedBy=ouroboros.target
"""

_TARGET = f"""{_NOTICE}[Unit]
Description=Ouroboros previews
Wants=ouroboros-api.service ouroboros-worker.service

[Install]
WantedBy=multi-user.target
"""
