"""Visits: how long ago somebody looked at a slot, as its surface says."""

from ouroboros.adapters.http_probe import ask
from ouroboros.domain.slot import Slot

_TIME_LIMIT_S = 2.0


def quiet_s(slot: Slot) -> float:
    """Seconds without a visit, or since the surface was started; 0 where none can be asked."""
    answer = ask(
        slot.web_port, "/health", headers={"Host": slot.host_name}, time_limit_s=_TIME_LIMIT_S
    )
    said = answer.json() if answer.status == 200 else None
    found = said.get("quiet_s") if isinstance(said, dict) else None
    return float(found) if isinstance(found, int | float) else 0.0
