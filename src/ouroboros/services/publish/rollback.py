"""Rollback: serve a release again that is kept, and on request the database's state of it.

Going back is a publish whose release is made already: the same candidate, the same proof, the
same switch, and the same undoing when something fails. Where the database goes back, the state
it leaves is kept too, so one can go forward again and has lost nothing.
"""

from dataclasses import dataclass
from typing import Any

from ouroboros.adapters.control.releases import ReleaseStore
from ouroboros.adapters.control.slots import SlotReader
from ouroboros.adapters.release_files import read_release
from ouroboros.domain.errors import Refused
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.slot import Slot
from ouroboros.plans.layout import Layout
from ouroboros.services.publish.hold import give_back, hold_visitors
from ouroboros.services.publish.work import Work


@dataclass(frozen=True, slots=True)
class Rollback:
    """The use case with what it needs."""

    releases: ReleaseStore
    slots: SlotReader
    layout: Layout

    def list(self, slot: Slot) -> list[dict[str, Any]]:
        """The releases of a slot's present lease, newest first: which is live, which are kept."""
        live = self.slots.get(slot)["publish_id"]
        return [
            {
                "publish_id": row["publish_id"],
                "commit_sha": row["commit_sha"],
                "ref": row["ref"],
                "ready_at": row["finished_at"],
                "live": row["publish_id"] == live,
                "kept": self.layout.release(slot, row["publish_id"]).is_dir(),
            }
            for row in self.releases.of_lease(slot)
        ]

    def queue(self, slot: Slot, target: str | None, *, with_database: bool) -> str:
        """Queue a rollback; without a target to the release that was ready before the live one.

        Raises `no_lease`, `nothing_to_roll_back_to`, `release_not_kept`, `already_live`,
        `not_a_release_of_the_slot`.
        """
        releases = self.list(slot)
        chosen = target or _before_live(slot, releases)
        for each in releases:
            if each["publish_id"] == chosen and not each["kept"]:
                raise _not_kept(chosen, each["commit_sha"])
        return self.releases.queue_rollback(slot, chosen, with_database=with_database)


def go_back_to_state(work: Work) -> dict[str, Any]:
    """Exchange the database for the kept one that fits the release, if that was asked for.

    Raises `release_not_kept`, `no_checkpoint`.
    """
    publish, databases = work.publish, work.backends.databases
    slot = publish.slot
    if not work.release.is_dir():
        raise _not_kept(publish.release_id, publish.commit_sha)
    wanted = read_release(work.release).get("migrations")
    if not publish.with_database or wanted is None:
        work.log.line("the database stays as it is")
        return {"database": "kept"}
    with work.backends.slots.exclusive_work(slot):
        if databases.migrations(slot) == wanted and not databases.has_checkpoint(slot, publish.seq):
            work.log.line("the database has seen the very migrations of that release: it stays")
            return {"database": "kept"}
        held = hold_visitors(work)
        failpoint("rollback.held")
        found = databases.exchange_states(slot, publish.fence, publish.seq, wanted)
    work.log.line(f"{slot.database.name} is what {publish.release_id} left")
    return {"database": "exchanged", "held": held, **found}


def undo_go_back(work: Work) -> None:
    """Exchange the databases again, and run the backend of the live release."""
    give_back(work, work.backends.databases.undo_exchange)


def _before_live(slot: Slot, releases: list[dict[str, Any]]) -> str:
    """The newest kept release that became ready before the one that is served."""
    live = next((at for at, each in enumerate(releases) if each["live"]), -1)
    kept = [each["publish_id"] for each in releases[live + 1 :] if each["kept"]]
    if not kept:
        raise Refused(
            "nothing_to_roll_back_to",
            f"{slot.id} keeps no release from before the one it serves",
            f"ouroboros releases --slot {slot.id}",
        )
    return str(kept[0])


def _not_kept(publish_id: str, commit: str | None) -> Refused:
    return Refused(
        "release_not_kept",
        f"the release of {publish_id} is no longer kept",
        f"publish its commit again: --ref {commit}",
    )
