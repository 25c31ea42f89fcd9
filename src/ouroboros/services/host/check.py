"""The health check of a host: everything a preview needs, directly and through the router.

It runs as root in the command itself and not in the API, because it must tell what is wrong also
when the API is what is wrong. What is found is `ok`, or says in a few words what is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.cluster.access import external_access
from ouroboros.adapters.host import observe
from ouroboros.adapters.host.observe import OK
from ouroboros.adapters.http_probe import ask
from ouroboros.adapters.preview_passwords import preview_password
from ouroboros.domain.errors import PreviewError, Unhealthy
from ouroboros.domain.preview_pass import HEADER
from ouroboros.domain.slot import Slot
from ouroboros.settings import Settings

_FINE = (OK, "stopped", "off")
_LOG_OF_SURFACE = "journalctl -u ouroboros-web@{alias} -n 50"
_LOG_OF_ROUTER = "journalctl -u ouroboros-caddy -n 50"
_RESTART = "scripts/preview-backend-runtime.sh restart --slot {slot}"
_NEXT = {
    "web_unit": _LOG_OF_SURFACE,
    "web_port": _LOG_OF_SURFACE,
    "surface": _LOG_OF_SURFACE,
    "routed": _LOG_OF_ROUTER,
    "certificate": _LOG_OF_ROUTER,
    "backend_unit": _RESTART,
    "backend_port": _RESTART,
    "backend": _RESTART,
    "database": "ouroboros doctor",
    "clock": "ouroboros doctor",
    "disk": "df -h /srv/oroboros; systemctl start ouroboros-collect.service",
    "api": "journalctl -u ouroboros-api -n 50",
}
_SERVICES = ("steward", "api", "worker", "caddy")


@dataclass(frozen=True, slots=True)
class HostCheck:
    """One health check. `slots` asks the API how the slots are (`GET /api/slots`)."""

    settings: Settings
    control_dsn: str
    slots: Callable[[], list[Mapping[str, Any]]]

    def run(self) -> dict[str, Any]:
        """Check the host and each slot; raises `slots_unhealthy` naming each item not well."""
        host = {f"ouroboros-{name}": _unit(f"ouroboros-{name}.service") for name in _SERVICES}
        host |= {
            "disk": observe.disk_room(self.settings.state_dir),
            "clock": observe.clock_against(self.control_dsn),
        }
        known, host["api"] = self._known()
        slots = [self._slot(slot, known.get(slot.id, {})) for slot in self.settings.pool]
        answer = {"host": host, "slots": slots, "router": host["ouroboros-caddy"]}
        failing = [_failing("host", item, found) for item, found in host.items()]
        failing += [
            _failing(slot["slot_id"], item, found)
            for slot in slots
            for item, found in slot["items"].items()
        ]
        failing = [each for each in failing if each["found"] not in _FINE]
        if failing:
            first = failing[0]
            raise Unhealthy(
                "slots_unhealthy",
                f"{first['item']} of {first['slot_id']}: {first['found']}",
                first["next"],
                {**answer, "failing": failing},
            )
        return answer

    def _known(self) -> tuple[dict[str, Mapping[str, Any]], str]:
        try:
            return {each["slot_id"]: each for each in self.slots()}, OK
        except PreviewError as error:
            return {}, error.message

    def _slot(self, slot: Slot, known: Mapping[str, Any]) -> dict[str, Any]:
        named = {"Host": slot.host_name}
        let_in = dict(named)
        if self.settings.protected:
            let_in[HEADER] = preview_password(self.settings, slot)
        published = known.get("publish_id")
        items = {
            "web_unit": _unit(f"{slot.web_unit}.service"),
            "web_port": observe.listener_owner(slot.web_port, f"{slot.web_unit}.service"),
            "surface": _answer(slot.web_port, "/health", named, published),
            "routed": _answer(self.settings.caddy_port, "/health", let_in, published),
            "certificate": "off"
            if self.settings.tls == "off"
            else observe.certificate(slot.host_name),
            "database": self._database(slot),
            **self._backend(slot),
        }
        state = known.get("state", "unknown")
        return {"slot_id": slot.id, "url": slot.preview_url, "state": state, "items": items}

    def _database(self, slot: Slot) -> str:
        if not (self.settings.secrets_dir / f"{slot.database.role}.password").exists():
            return "the role has no password yet"
        access = external_access(self.control_dsn, self.settings.secrets_dir)
        return observe.database_binding(access.slot_url(slot))

    def _backend(self, slot: Slot) -> dict[str, str]:
        """The backend's unit, listener and answer; `stopped` together when none is wanted."""
        wanted = (self.settings.steward_dir / f"backend-{slot.alias}.json").exists()
        if not wanted:
            return dict.fromkeys(("backend_unit", "backend_port", "backend"), "stopped")
        service = f"{slot.backend_unit}.service"
        answer = ask(slot.api_port, "/health", time_limit_s=5.0)
        return {
            "backend_unit": _unit(service),
            "backend_port": observe.listener_owner(slot.api_port, service),
            # An application may have its health elsewhere; that it answers is what is asked.
            "backend": OK if 0 < answer.status < 500 else f"{answer.status or answer.body}",
        }


def _unit(unit: str) -> str:
    return observe.unit_state(unit)


def _answer(port: int, path: str, headers: Mapping[str, str], published: object) -> str:
    """`ok` when health is told, and with the identity that the control plane has."""
    answer = ask(port, path, headers=headers, time_limit_s=5.0)
    if answer.status != 200:
        return f"{answer.status or answer.body}"
    told = answer.json()
    served = told.get("publish_id") if isinstance(told, dict) else None
    return OK if not published or served == published else f"serves {served}, not {published}"


def _failing(where: str, item: str, found: str) -> dict[str, str]:
    return {"slot_id": where, "item": item, "found": found, "next": _next(where, item)}


def _next(where: str, item: str) -> str:
    """The command to type next."""
    asked = _NEXT.get(item, f"systemctl status {item}.service")
    return asked.format(slot=where, alias=where.replace("-", ""))
