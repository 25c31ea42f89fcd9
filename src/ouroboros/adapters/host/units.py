"""Which units are enabled, run, and run from the files that are there now."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ouroboros.adapters.host.files import Difference
from ouroboros.adapters.systemd import systemctl


def compare_unit(unit: str, inputs: Iterable[Path]) -> Difference | None:
    """How a unit differs: not enabled, not running, or started before one of its files changed."""
    state = systemctl.show(unit)
    if state.get("LoadState") != "loaded":
        return Difference("unit", unit, "install")
    if state.get("UnitFileState") != "enabled":
        return Difference("unit", unit, "enable and start")
    if state["ActiveState"] not in ("active", "activating"):
        return Difference("unit", unit, f"start (it is {state['ActiveState']})")
    since = _seconds(state.get("ActiveEnterTimestamp", ""))
    newest = max((path.lstat().st_mtime for path in inputs if path.exists()), default=0.0)
    if state["NeedDaemonReload"] == "yes" or (since and newest > since):
        return Difference("unit", unit, "restart")
    return None


def apply_unit(unit: str, difference: Difference) -> None:
    """Enable it and see that it runs from what is there; raises `unit_failed`."""
    if "enable" in difference.change:
        systemctl.act("enable", unit)
    systemctl.forget_failure(unit)
    systemctl.act("restart" if difference.change == "restart" else "start", unit)


def reload_units() -> None:
    """Let systemd read its unit files again."""
    systemctl.act("daemon-reload")


def remove_units(units: Iterable[str]) -> None:
    """Stop and disable units; not an error for one that is not there."""
    present = [unit for unit in units if systemctl.show(unit).get("LoadState") != "not-found"]
    if present:
        systemctl.act("stop", *present)
        enabled = [u for u in present if systemctl.show(u).get("UnitFileState") == "enabled"]
        if enabled:
            systemctl.act("disable", *enabled)
        systemctl.forget_failure(*present)


def _seconds(stamp: str) -> float:
    """`Tue 2026-11-24 01:02:03.123456 UTC` as a time in seconds; 0 when there is none."""
    parts = stamp.split()
    try:
        return datetime.fromisoformat(f"{parts[1]}T{parts[2]}+00:00").timestamp()
    except (IndexError, ValueError):
        return 0.0
