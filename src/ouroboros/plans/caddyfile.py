"""The Caddyfile of a host: routes by host name, the same from one publish to the next.

Caddy is never reloaded by a publish, because a reload resets new connections and ends WebSockets
(measured). `handle` is used and never a bare `respond`, which Caddy orders before
`reverse_proxy`. Source: the Caddy 2 manual, for 2.6 (Debian 12) and later.
"""

from ouroboros.domain.preview_pass import COOKIE, GATE, HEADER, SIGN_IN
from ouroboros.domain.slot import Slot, SlotPool
from ouroboros.plans.units.places import NOTICE

ADMIN_SOCKET = "/run/ouroboros-caddy/admin.sock"
# Names by which proxies tell who somebody is; from outside they are a visitor's own invention.
_IDENTITY = (
    "Remote-User",
    "X-Remote-User",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Real-Ip",
    "X-Preview-Probe",
)


def render_caddyfile(
    pool: SlotPool,
    port: int,
    tls: str = "off",
    admin: str = "",
    *,
    gate_port: int = 0,
    dashboard_port: int = 0,
) -> str:
    """The Caddyfile; `tls` is `off`, `internal` (Caddy's own authority) or `auto` (ACME).

    `admin` is the path of the admin endpoint's unix socket; empty: there is none. `gate_port` is
    the API's, which is asked whether a visitor may enter; 0: everybody may. `dashboard_port` is
    the API's, to which `ouroboros.<domain>` leads; 0: nobody gets there from outside.
    """
    served = "off" if admin == "" else f"unix/{admin}"
    sites = "".join(_site(slot, port, tls, gate_port) for slot in pool)
    sites += _dashboard(pool, port, tls, dashboard_port)
    https = "" if tls == "off" else _UNKNOWN_OVER_TLS
    return f"""{NOTICE}{{
	admin {served}
	auto_https {"off" if tls == "off" else "disable_redirects"}
	servers {{
		timeouts {{
			read_header 10s
			idle 2m
		}}
		max_header_size 64KB
	}}
}}

(preview) {{
	header {{
		X-Robots-Tag "noindex, nofollow"
		?X-Content-Type-Options nosniff
		?Referrer-Policy strict-origin-when-cross-origin
		-Server
	}}
	request_header -Forwarded
{"".join(f"	request_header -{name}{chr(10)}" for name in _IDENTITY)}}}
{sites}
http://:{port} {{
	handle {{
		respond "No preview has this name." 421
	}}
}}
{https}"""


def _site(slot: Slot, port: int, tls: str, gate_port: int) -> str:
    site = f"""
http://{slot.host_name}:{port} {{
	import preview
	encode zstd gzip
{_sign_in(slot, gate_port)}	handle {{
{_gate(slot, gate_port)}		reverse_proxy 127.0.0.1:{slot.web_port} {{
			lb_try_duration 5s
			lb_try_interval 50ms
			header_up Host {{host}}
		}}
	}}
}}
"""
    if tls == "off":
        return site
    certificate = "\ttls internal\n" if tls == "internal" else ""
    secure = site.replace(f"http://{slot.host_name}:{port}", f"https://{slot.host_name}")
    secure = secure.replace("\timport preview\n", f"{certificate}\timport preview\n")
    return site + secure


def _dashboard(pool: SlotPool, port: int, tls: str, dashboard_port: int) -> str:
    """The dashboard and the API, on a name that no preview has.

    Not compressed, because streams of events must not wait for more; over plain HTTP only where
    another router ends TLS. What the router itself asks the API is nobody else's to ask.
    """
    if not dashboard_port:
        return ""
    name = f"ouroboros.{pool.slots[0].domain}"
    address = f"http://{name}:{port}" if tls == "off" else f"https://{name}"
    certificate = "\ttls internal\n" if tls == "internal" else ""
    return f"""
{address} {{
{certificate}	import preview
	handle {GATE}* {{
		respond "Not here." 404
	}}
	handle {{
		reverse_proxy 127.0.0.1:{dashboard_port} {{
			lb_try_duration 5s
			lb_try_interval 50ms
		}}
	}}
}}
"""


def _sign_in(slot: Slot, gate_port: int) -> str:
    """Where a visitor gives the password, on the preview's own host."""
    if not gate_port:
        return ""
    return f"""	handle {SIGN_IN} {{
		rewrite * {GATE}{slot.id}/sign-in
		reverse_proxy 127.0.0.1:{gate_port} {{
			header_up -Cookie
		}}
	}}
"""


def _gate(slot: Slot, gate_port: int) -> str:
    """Ask the API first; what opens the gate is taken away before the application sees it.

    An upgrade is asked about as a plain request: only the answer of the preview may be one. The
    cookie is left empty, because Caddy 2.6 takes an empty replacement for a new value.
    """
    if not gate_port:
        return ""
    return f"""		forward_auth 127.0.0.1:{gate_port} {{
			uri {GATE}{slot.id}
			header_up -Connection
			header_up -Upgrade
		}}
		request_header -{HEADER}
		request_header Cookie "\\b{COOKIE}=[^;]*" "{COOKIE}="
"""


_UNKNOWN_OVER_TLS = """
# Without a certificate of its own: reached only by a known name with another in its Host field.
https:// {
	handle {
		respond "No preview has this name." 421
	}
}
"""
