"""A control plane comes back from its backup, and no fence, number or token goes back with it."""

import json
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from tests.control.conftest import Control

from ouroboros.adapters.control.schema import migrate_control_plane
from ouroboros.adapters.control.tokens import TokenStore
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.bootstrap import control_plane_copy
from ouroboros.domain.access import Kind, Scope
from ouroboros.domain.errors import BadInput, NotFound, PreviewError, Refused
from ouroboros.services.backup import ControlPlaneCopy


@dataclass
class World:
    """A control plane with a state directory, and its copies."""

    control: Control
    copy: ControlPlaneCopy
    roots: WebRoots
    file: Path

    def lease(self, run_id: str) -> tuple[str, int]:
        """Give a run a slot that it has entered: its web root has seen the fence."""
        claim = self.control.take(run_id)
        self.control.leases.mark_reset(claim.lease)
        self.roots.tell(claim.lease.slot, claim.lease.fence, "leased")
        return claim.lease.slot.id, claim.lease.fence

    def publish(self, run_id: str) -> str:
        """A publish that is ready, and served."""
        publish_id = self.control.publishes.queue(run_id, "/tmp/nowhere", "main")
        lease = self.control.leases.claim(run_id).lease
        release = self.copy.settings.state_dir / "releases" / lease.slot.id / publish_id
        release.mkdir(parents=True)
        self.roots.switch(lease.slot, release, lease.fence)
        self.control.sql(
            "UPDATE publishes SET state = 'ready', started_at = queued_at,"
            " finished_at = clock_timestamp() WHERE publish_id = %(id)s", id=publish_id,
        )  # fmt: skip
        self.control.sql(
            "UPDATE slots SET live_publish = %(id)s WHERE slot_id = %(slot)s",
            id=publish_id, slot=lease.slot.id,
        )  # fmt: skip
        return publish_id

    def restore(self, **options) -> dict:
        options = {"dry_run": False, "keep_present": True, **options}
        return self.copy.restore(self.file, **options)

    def slot(self, slot_id: str) -> dict:
        rows = self.control.sql("SELECT * FROM slots WHERE slot_id = %(s)s", s=slot_id)
        return rows[0] if rows else {}

    def destroy(self) -> None:
        """What a lost disk leaves when PostgreSQL is set up anew."""
        with psycopg.connect(self.control.dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        migrate_control_plane(self.control.dsn)
        self.control.leases.register()


@pytest.fixture
def world(control_plane, cluster, tmp_path) -> World:
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    settings = replace(cluster.settings, state_dir=tmp_path / "state", snapshots_dir=snapshots)
    settings.state_dir.mkdir()
    copy = control_plane_copy(settings, control_plane.dsn)
    roots = WebRoots(settings.state_dir)
    return World(control_plane, copy, roots, tmp_path / "control.tar.gz")


def test_after_a_loss_leases_publishes_and_events_are_there_again(world):
    slot, fence = world.lease("kept")
    publish = world.publish("kept")
    (world.copy.settings.snapshots_dir / "before.dump").write_bytes(b"a snapshot")
    events = len(world.control.sql("SELECT * FROM events"))
    made = world.copy.backup(world.file)
    assert world.file.stat().st_mode & 0o777 == 0o600 and made["bytes"] > 0
    assert "snapshots/before.dump" in made["files"]

    world.destroy()
    (world.copy.settings.snapshots_dir / "before.dump").unlink()
    assert world.slot(slot)["run_id"] is None
    done = world.restore()

    now = world.slot(slot)
    assert (now["run_id"], now["lease_state"], now["live_publish"]) == ("kept", "leased", publish)
    assert now["fence"] == now["reset_fence"] == done["fences"][slot] > fence
    assert world.control.publishes.get(publish)["state"] == "ready"
    assert len(world.control.sql("SELECT * FROM events")) == events + 1
    assert (world.copy.settings.snapshots_dir / "before.dump").read_bytes() == b"a snapshot"
    # The run goes on as if nothing had been: same slot, no second reset, its releases known.
    claim = world.control.leases.claim("kept")
    assert claim.is_reset and claim.lease.slot.id == slot
    assert world.control.leases.heartbeat(claim.lease.slot, "kept").fence == now["fence"]
    [document] = [each for each in world.control.reader.all() if each["slot_id"] == slot]
    assert (document["state"], document["latest_publish"]) == ("ready", publish)
    assert world.control.publishes.queue("kept", "/tmp/nowhere", "main") not in ("", publish)


def test_a_lease_that_came_after_the_backup_keeps_its_fence_from_coming_again(world):
    slot, first = world.lease("early")
    world.copy.backup(world.file)
    world.control.leases.release(world.copy.settings.pool.parse(slot), "early")
    for number in range(5):
        later = world.lease(f"later-{number}")
        assert later[0] == slot
        world.control.leases.release(world.copy.settings.pool.parse(slot), f"later-{number}")
    highest = world.roots.highest(world.copy.settings.pool.parse(slot))
    assert highest > first + 1

    world.restore()
    # The run of the backup has lost its slot since: others worked in it.
    assert world.slot(slot)["lease_state"] == "expired"
    assert world.control.leases.claim("early") is None
    again, fence = world.lease("after")
    assert again == slot and fence > highest
    with pytest.raises(Refused, match="old"):
        world.roots.clear(world.copy.settings.pool.parse(slot), highest)
    told = world.control.sql("SELECT run_id, details FROM events WHERE kind = 'lease.expired'")
    assert [(each["run_id"], each["details"]["reason"]) for each in told] == [("early", "restored")]


def test_fences_on_the_disk_count_also_when_every_table_was_lost(world):
    slot, _ = world.lease("early")
    world.copy.backup(world.file)
    parsed = world.copy.settings.pool.parse(slot)
    world.roots.raise_fence(parsed, 40)
    fences = world.copy.settings.state_dir / "backend-fences.json"
    fences.write_text(json.dumps({slot: 50, "preview-7": 9}))
    world.destroy()
    done = world.restore()
    assert done["seen"][slot] == 50 and done["fences"][slot] == 51
    # A slot that is configured no more may be again.
    assert done["fences"]["preview-7"] == 10
    assert world.lease("after")[1] >= 52


def test_two_leases_of_one_number_are_not_taken_for_one(world):
    """A control plane that began anew gave the same fence to somebody else."""
    slot, fence = world.lease("of-the-backup")
    world.copy.backup(world.file)
    world.destroy()
    assert world.lease("somebody-else") == (slot, fence)
    world.restore()
    assert world.slot(slot)["run_id"] is None and world.slot(slot)["fence"] == fence + 1


def test_on_another_host_a_lease_is_to_be_reset_again_and_nothing_is_served(world, tmp_path):
    slot, _ = world.lease("moves")
    world.publish("moves")
    world.copy.backup(world.file)
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    settings = replace(world.copy.settings, state_dir=empty)
    world.destroy()
    control_plane_copy(settings, world.control.dsn).restore(
        world.file, dry_run=False, keep_present=False
    )
    now = world.slot(slot)
    assert (now["run_id"], now["live_publish"]) == ("moves", None)
    assert not world.control.leases.claim("moves").is_reset


def test_numbers_of_publishes_and_resets_go_on_above_what_is_on_the_disk(world):
    world.lease("early")
    world.copy.backup(world.file)
    later = [world.publish("early") for _ in range(3)]
    (world.copy.settings.state_dir / "artifacts" / "p77").mkdir(parents=True)
    world.destroy()
    world.restore()
    fresh = world.control.publishes.queue("early", "/tmp/nowhere", "main")
    assert fresh not in later and int(fresh[1:]) > 77


def test_what_was_under_way_is_settled(world):
    slot, _ = world.lease("busy")
    queued = world.control.publishes.queue("busy", "/tmp/nowhere", "main")
    world.control.sql(
        "INSERT INTO preview_db_resets (slot_id, db_name, strategy) VALUES (%(s)s, 'x', 'seed')",
        s=slot,
    )
    world.copy.backup(world.file)
    world.restore()
    assert world.control.publishes.get(queued)["state"] == "cancelled"
    assert world.control.sql("SELECT reset_status AS s FROM preview_db_resets") == [{"s": "failed"}]


def test_a_revoked_token_stays_revoked_and_sessions_end(world):
    tokens = TokenStore(world.control.pool)
    kept = tokens.create("kept", Scope.READ, None, 3600, "test")
    revoked = tokens.create("revoked", Scope.OPERATE, None, 3600, "test")
    session = tokens.create_session("person", Scope.OPERATE, 3600, "test")
    world.copy.backup(world.file)
    tokens.revoke(revoked.row["token_id"])
    world.restore()
    assert tokens.find(kept.text, Kind.TOKEN) is not None
    assert tokens.find(revoked.text, Kind.TOKEN) is None
    assert tokens.find(session.text, Kind.SESSION) is None


def test_what_is_replaced_is_backed_up_and_can_be_brought_back(world):
    world.lease("old")
    world.copy.backup(world.file)
    world.lease("young")
    kept = Path(world.restore()["kept"])
    assert world.control.leases.claim("young") is None
    world.copy.restore(kept, dry_run=False, keep_present=False)
    held = world.control.sql("SELECT run_id FROM slots WHERE run_id IS NOT NULL")
    assert {each["run_id"] for each in held} <= {"old", "young"}
    assert world.control.sql("SELECT 1 FROM runs WHERE run_id = 'young'")


def test_a_restore_that_fails_changes_nothing(world, monkeypatch):
    slot, fence = world.lease("kept")
    world.copy.backup(world.file)
    world.control.sql("UPDATE runs SET priority = 7 WHERE run_id = 'kept'")
    monkeypatch.setattr("ouroboros.plans.restoration._AFTER", "SELECT 1/0;")
    with pytest.raises(PreviewError) as failed:
        world.restore(keep_present=False)
    assert failed.value.code == "restore_failed" and "division" in failed.value.message
    assert world.control.sql("SELECT priority FROM runs") == [{"priority": 7}]
    assert world.slot(slot)["fence"] == fence
    assert not list(world.file.parent.glob(".ouroboros-*"))


def test_what_is_no_backup_is_refused(world, tmp_path):
    world.lease("kept")
    other = tmp_path / "other.tar.gz"
    for make in (lambda: other.write_bytes(b"nonsense"),
                 lambda: tarfile.open(other, "w:gz").close()):  # fmt: skip
        make()
        with pytest.raises(BadInput, match=r"other|ours"):
            world.copy.restore(other, dry_run=True, keep_present=False)
    with pytest.raises(NotFound):
        world.copy.restore(tmp_path / "none", dry_run=True, keep_present=False)
    world.copy.backup(world.file)
    with pytest.raises(Refused, match="exists"):
        world.copy.backup(world.file)
    told = world.restore(dry_run=True)
    assert told["dry_run"] and world.slot("preview-1")["run_id"] == "kept"


def test_a_version_that_is_gone_back_to_leaves_the_later_schema_as_it_is(world):
    world.lease("kept")
    world.control.sql("UPDATE alembic_version SET version_num = '9999'")
    migrate_control_plane(world.control.dsn)
    assert world.control.sql("SELECT version_num AS v FROM alembic_version") == [{"v": "9999"}]
    assert world.control.leases.claim("kept") is not None


def test_a_backup_of_a_later_version_is_refused(world):
    world.control.sql("UPDATE alembic_version SET version_num = '9999'")
    world.copy.backup(world.file)
    with pytest.raises(Refused) as refused:
        world.restore()
    assert refused.value.code == "backup_too_new"


def test_what_fails_after_the_database_was_replaced_says_so_and_can_be_done_again(world):
    slot_id, fence = world.lease("kept")
    (world.copy.settings.snapshots_dir / "s1.dump").write_bytes(b"a snapshot")
    world.copy.backup(world.file)
    world.copy.settings.snapshots_dir.joinpath("s1.dump").unlink()
    world.copy.settings.snapshots_dir.rmdir()
    world.copy.settings.snapshots_dir.write_text("in the way")
    with pytest.raises(PreviewError) as failed:
        world.restore()
    assert failed.value.code == "restore_incomplete", failed.value
    world.copy.settings.snapshots_dir.unlink()
    assert world.restore()["files"] == ["snapshots/s1.dump"]
    assert world.slot(slot_id)["fence"] > fence
