"""The record of a running instance: what a client must know to find it.

`run/instance.json` is written by the supervisor and read by everything that has nothing but a
state directory, so that ports and the domain need not be repeated. It also names the processes
of ours with their start times, for the case that all of them were killed at once.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ouroboros.domain.slot import SlotPool, make_pool
from ouroboros.settings import Settings

_NAME = "instance.json"


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """A running instance. `processes` maps pids to their start in clock ticks since `boot_id`."""

    supervisor_pid: int
    started_at: str
    home: str
    api_port: int
    api_socket: str
    supervisor_socket: str
    domain: str
    slot_ids: tuple[str, ...]
    web_port_base: int
    api_port_base: int
    boot_id: str
    processes: Mapping[int, int]

    def owns(self, pid: int, started: int) -> bool:
        """Whether this very process was recorded, in this boot of the machine."""
        return self.processes.get(pid) == started and self.boot_id == read_boot_id()

    @property
    def pool(self) -> SlotPool:
        """The slots of the instance, whatever this process's own environment says."""
        return make_pool(
            ",".join(self.slot_ids), self.domain, self.web_port_base, self.api_port_base
        )

    def apply(self, settings: Settings) -> Settings:
        """Settings with the ports and slots that the running instance has."""
        return replace(settings, api_port=self.api_port, pool=self.pool, home=Path(self.home))


def read_boot_id() -> str:
    """The identity of this boot (proc(5)): pids and start times mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def read_instance(settings: Settings) -> InstanceRecord | None:
    """The record in a state directory, or None when nothing was started there."""
    try:
        document: dict[str, Any] = json.loads((settings.run_dir / _NAME).read_bytes())
        document["slot_ids"] = tuple(document["slot_ids"])
        document["processes"] = {int(pid): at for pid, at in document["processes"].items()}
        return InstanceRecord(**document)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_instance(settings: Settings, record: InstanceRecord) -> None:
    """Replace the record by one rename; mode 0600."""
    draft = settings.run_dir / f".{_NAME}.next"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(record), file)
    draft.replace(settings.run_dir / _NAME)
