"""The host of the slots: laying out what they need, and checking that each of them works.

In local mode there are no units to install: the supervisor runs the services, and provisioning
lays out the rendered files below the state directory and starts what should run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.adapters.control.slots import SlotReader
from ouroboros.adapters.http_probe import ask
from ouroboros.domain.errors import PreviewError, Unhealthy
from ouroboros.domain.slot import Slot
from ouroboros.plans.infrastructure import render_infrastructure
from ouroboros.services.backends import Backends
from ouroboros.settings import Settings


@dataclass(frozen=True, slots=True)
class Host:
    """The use cases with what they need."""

    settings: Settings
    slots: SlotReader
    backends: Backends

    def provision(self, *, dry_run: bool) -> dict[str, Any]:
        """Write the slots' files where they differ, and start the backends of live releases."""
        target = self.settings.state_dir
        files = render_infrastructure(self.settings.pool, self.settings.caddy_port)
        changes = [
            {"path": str(target / path), "change": change}
            for path, text in files.items()
            if (change := _change(target / path, text)) is not None
        ]
        steps = [f"{item['change']} {item['path']}" for item in changes]
        steps += [f"start the surface of {slot.id} on {slot.web_port}" for slot in self._silent()]
        if dry_run:
            return {"dry_run": True, "changes": changes, "steps": steps or ["nothing to change"]}
        for path, text in files.items():
            _write(target / path, text)
        started = [slot.id for slot in self.settings.pool if self._start_backend(slot)]
        return {"dry_run": False, "changes": changes, "backends_started": started}

    def check(self) -> dict[str, Any]:
        """Check every slot; raises `slots_unhealthy` naming each item that is not well."""
        routed = ask(self.settings.caddy_port, "/health", time_limit_s=1.0).status != 0
        documents = {document["slot_id"]: document for document in self.slots.all()}
        checked = [self._check(slot, documents[slot.id], routed) for slot in self.settings.pool]
        failing = [
            {"slot_id": slot["slot_id"], "item": item, "found": found}
            for slot in checked
            for item, found in slot["items"].items()
            if found not in ("ok", "stopped", "not running")
        ]
        answer = {"slots": checked, "router": "ok" if routed else "not running"}
        if failing:
            first = failing[0]
            raise Unhealthy(
                "slots_unhealthy",
                f"{first['item']} of {first['slot_id']}: {first['found']}",
                f"scripts/preview-backend-runtime.sh status --slot {first['slot_id']}",
                {**answer, "failing": failing},
            )
        return answer

    def _check(self, slot: Slot, document: dict[str, Any], routed: bool) -> dict[str, Any]:
        host = {"Host": slot.host_name}
        items = {
            "surface": _health(slot.web_port, host),
            "routed": _health(self.settings.caddy_port, host) if routed else "not running",
            "backend": self._backend(slot, document),
        }
        return {
            "slot_id": slot.id,
            "url": slot.preview_url,
            "state": document["state"],
            "items": items,
        }

    def _backend(self, slot: Slot, document: dict[str, Any]) -> str:
        """`stopped` is well for a slot without a live release; with one it is not."""
        described = self.backends.status(slot)
        if described["running"]:
            return str(described["health"])
        wanted = document["publish_id"] and self.backends.live(slot) is not None
        return f"not running: {described['state']}" if wanted else "stopped"

    def _silent(self) -> list[Slot]:
        return [slot for slot in self.settings.pool if ask(slot.web_port, "/health").status == 0]

    def _start_backend(self, slot: Slot) -> bool:
        try:
            if self.slots.get(slot)["publish_id"] and self.backends.live(slot) is not None:
                return not self.backends.status(slot)["running"] and bool(self.backends.start(slot))
        except PreviewError:
            return False
        return False


def _health(port: int, headers: dict[str, str]) -> str:
    answer = ask(port, "/health", headers=headers)
    return "ok" if answer.status == 200 else f"{answer.status or answer.body}"


def _change(path: Path, text: str) -> str | None:
    if not path.exists():
        return "create"
    return None if path.read_text(encoding="utf-8") == text else "update"


def _write(path: Path, text: str) -> None:
    if _change(path, text) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.next")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
