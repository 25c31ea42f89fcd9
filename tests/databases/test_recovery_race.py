"""Recovery settles what a crash left, and nothing that somebody is working on."""

from ouroboros.domain.failpoint import armed


def test_recovery_leaves_a_reset_alone_that_is_still_building(world):
    """A worker that starts while the API resets must not fail the API's reset."""
    world.databases.recover()
    settled: list[str] = []
    with armed("reset.begun", lambda _: settled.extend(world.databases.recover())):
        report = world.reset(world.slot, world.seed_file("v3", "CREATE TABLE t (i int);"))
    assert settled == []
    assert world.row(report.reset_id)["reset_status"] == "completed"
