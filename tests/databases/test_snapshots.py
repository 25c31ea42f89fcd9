"""A snapshot keeps a slot's state under a name that is given once, and any slot can have it."""

import pytest
from tests.databases.conftest import seed

from ouroboros.domain.errors import BadInput, NotFound, Refused
from ouroboros.domain.reset import ResetPath, Source, Strategy


def snapshot(version: str) -> Source:
    return Source(Strategy.SNAPSHOT, version)


@pytest.fixture(scope="module")
def taken(shared_world):
    """Slot 1 with a rake more than the seed, and snapshot `monday` of it."""
    world = shared_world
    world.reset(world.slot, seed("v1"))
    with world.as_slot(world.slot) as connection:
        connection.execute("INSERT INTO tools (name) VALUES ('rake')")
        connection.execute("SET ROLE NONE; CREATE TABLE mine (n int)")
        told = world.databases.snapshot(world.slot, "monday", archive=True)
    return world, told


def test_a_snapshot_brings_its_state_to_any_slot(taken):
    world, told = taken
    other = world.settings.pool.slots[1]
    report = world.reset(other, snapshot("monday"))
    assert report.path is ResetPath.CLONE
    assert report.fingerprint == told["fingerprint"]
    assert world.query(other, "SELECT name FROM tools WHERE id = 4") == [("rake",)]
    assert world.databases.verify(other)["matches"]
    row = world.row(report.reset_id)
    assert (row["strategy"], row["snapshot_version"], row["seed_version"]) == (
        "snapshot", "monday", None)  # fmt: skip
    with world.as_slot(other) as connection:
        connection.execute("DROP TABLE mine")  # the other slot's role does not own it any more


def test_the_slot_serves_on_after_its_snapshot(taken):
    world, told = taken
    assert world.query(world.slot, "SELECT count(*) FROM tools") == [(4,)]
    assert told["paused_ms"] > 0
    assert told["tables"]["public.tools"] == 4


def test_a_name_is_never_given_twice(taken):
    world, _ = taken
    for name in ("monday",):
        with pytest.raises(Refused) as refused:
            world.databases.snapshot(world.slot, name)
        assert refused.value.code == "snapshot_exists"
    with pytest.raises(BadInput):
        world.databases.snapshot(world.slot, "../etc")


def test_an_archive_is_a_snapshot_where_there_is_no_template(taken):
    world, told = taken
    archive = world.settings.snapshots_dir / "monday.dump"
    assert archive.stat().st_size > 0
    (world.settings.snapshots_dir / "carried.dump").write_bytes(archive.read_bytes())
    third = world.settings.pool.slots[2]
    report = world.reset(third, snapshot("carried"))
    assert report.path is ResetPath.BUILD
    assert world.query(third, "SELECT name FROM tools WHERE id = 4") == [("rake",)]
    assert report.fingerprint == told["fingerprint"]


def test_a_plain_file_is_a_snapshot_too_and_two_files_are_ambiguous(taken):
    world, _ = taken
    place = world.settings.snapshots_dir
    (place / "plain.sql").write_text("CREATE TABLE p (n int);")
    third = world.settings.pool.slots[2]
    world.reset(third, snapshot("plain"))
    assert world.query(third, "SELECT count(*) FROM p") == [(0,)]
    (place / "plain.dump").write_bytes(b"")
    with pytest.raises(BadInput) as ambiguous:
        world.databases.check(snapshot("plain"))
    assert ambiguous.value.code == "snapshot_ambiguous"
    (place / "plain.dump").unlink()


def test_a_missing_snapshot_is_refused(taken):
    world, _ = taken
    with pytest.raises(NotFound) as missing:
        world.reset(world.slot, snapshot("never"))
    assert missing.value.code == "snapshot_not_found"
    with pytest.raises(NotFound):
        world.databases.delete_snapshot("never")


def test_a_list_shows_every_version_and_who_is_on_it(taken):
    world, _ = taken
    listed = {(each["strategy"], each["version"]): each for each in world.databases.sources()}
    assert {("seed", "v1"), ("seed", "v2"), ("snapshot", "monday")} <= listed.keys()
    assert listed[("seed", "v2")]["templates"] == []
    assert "app_preview_1" in listed[("seed", "v1")]["used_by"]


def test_a_snapshot_in_use_is_not_deleted_and_another_goes_with_its_archive(taken):
    world, _ = taken
    world.databases.snapshot(world.slot, "tuesday")
    other = world.settings.pool.slots[1]
    world.reset(other, snapshot("tuesday"))
    with pytest.raises(Refused) as refused:
        world.databases.delete_snapshot("tuesday")
    assert refused.value.code == "snapshot_in_use"
    file = world.databases.archive_snapshot("tuesday")["file"]
    world.reset(other, seed("v1"))
    assert world.databases.delete_snapshot("tuesday")["file"] == file
    with pytest.raises(NotFound):
        world.databases.check(snapshot("tuesday"))


def test_the_pool_shows_slots_standbys_and_templates(taken):
    world, _ = taken
    world.settle()
    told = world.databases.pool()
    assert [slot["slot_id"] for slot in told["slots"]] == ["preview-1", "preview-2", "preview-3"]
    assert all(slot["state"] == "open" and slot["bytes"] > 0 for slot in told["slots"])
    assert any(slot["standby"]["ready_for_same"] for slot in told["slots"])
    assert {template["source"]["version"] for template in told["templates"]} >= {"v1", "monday"}
    assert told["being_made"] == told["to_be_dropped"] == told["failures"] == []
