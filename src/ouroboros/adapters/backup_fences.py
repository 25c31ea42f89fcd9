"""What the files of a host have seen of slots, whatever a restored table says.

Web roots and backends keep the highest fence on disk, and what publishes and resets left is named
by their numbers. A control plane that comes back from a backup must begin above all of it.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping

from ouroboros.adapters.supervisor_client import SupervisorClient
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.errors import PreviewError
from ouroboros.domain.slot import Slot
from ouroboros.plans.layout import Layout
from ouroboros.plans.restoration import Seen
from ouroboros.settings import Settings

_SLOT = re.compile(r"preview-([1-9][0-9]{0,2})")
_PUBLISH = re.compile(r"p([0-9]+)")
_OF_DATABASE = re.compile(r"app_preview_[0-9]+__(?:old|off|at)_([0-9]+)")
_LIMIT_S = 10.0


def seen_fences(settings: Settings) -> list[Seen]:
    """The highest fence of each slot that web root or backend knows, also of slots long gone."""
    roots = WebRoots(settings.state_dir)
    backends = _backends(settings)
    numbers = {slot.number for slot in settings.pool}
    for name in (*roots.known(), *backends):
        if (found := _SLOT.fullmatch(name)) is not None:
            numbers.add(int(found.group(1)))
    slots = [Slot(number) for number in sorted(numbers)]
    return [
        Seen(
            slot.number,
            max(roots.highest(slot), backends.get(slot.id, 0)),
            roots.live_release(slot) is not None,
        )
        for slot in slots
    ]


def highest_number(settings: Settings, databases: Iterable[str]) -> int:
    """The highest number of a publish or a reset that something is named by."""
    layout = Layout(settings.state_dir)
    found = [0]
    for directory in (settings.state_dir / "artifacts", *map(layout.releases, settings.pool)):
        with contextlib.suppress(OSError):
            found += [
                int(match.group(1))
                for path in directory.iterdir()
                if (match := _PUBLISH.fullmatch(path.name))
            ]
    found += [int(match.group(1)) for name in databases if (match := _OF_DATABASE.fullmatch(name))]
    return max(found)


def raise_fences(settings: Settings, fences: Mapping[str, int]) -> None:
    """Let web roots and backends know the new fences, so that whoever holds an old one is refused.

    Backends that cannot be asked now learn it from the next lease.
    """
    roots = WebRoots(settings.state_dir)
    client = SupervisorClient(settings, _LIMIT_S)
    for slot in settings.pool:
        roots.raise_fence(slot, fences[slot.id])
        with contextlib.suppress(PreviewError):
            client.discard(slot, fences[slot.id])


def _backends(settings: Settings) -> dict[str, int]:
    directory = settings.steward_dir if settings.systemd else settings.state_dir
    try:
        stored = json.loads((directory / "backend-fences.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {str(slot_id): int(fence) for slot_id, fence in stored.items()}
