"""A rehearsal: a branch's migrations run on a throw-away clone, and what they do is reported.

The clone is of the template the slot was reset to, so the slot is not touched and its backend is
not paused. The commands of the branch run as a role that exists for the rehearsal alone, with a
password of its own, and can enter nothing else.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.catalog import bytes_of
from ouroboros.adapters.cluster.failures import translated
from ouroboros.adapters.cluster.fingerprints import reading, take_fingerprint
from ouroboros.adapters.cluster.locks import Lock, holding
from ouroboros.adapters.cluster.observation import Observed, observing
from ouroboros.adapters.cluster.prepared import roll_back_prepared
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.database_url import DatabaseUrl
from ouroboros.domain.scram import make_verifier
from ouroboros.domain.slot import Slot
from ouroboros.plans import databases as plan
from ouroboros.plans.postgres_config import OWNER
from ouroboros.plans.rehearsal import REHEARSAL, Steps, plan_steps
from ouroboros.plans.sql import Text, statement
from ouroboros.services.databases.compare import promise_of
from ouroboros.services.databases.workbench import Workbench

_WAIT_S = 600.0
_MOST_STEPS = 200


def rehearse(bench: Workbench, slot: Slot, command: Command) -> dict[str, Any]:
    """Run a slot's migration command on a clone of the state the slot was reset to.

    `command` is what would run on the slot; its URL is exchanged for the clone's. For each
    migration: duration, locks that block others, tables rewritten, rows touched. Then whether
    the command can run again without changing anything, and whether one step down and up again
    comes back to the same state (Alembic only; None otherwise). A migration that fails is a
    result, not an error.
    """
    promise = promise_of(bench, slot)
    with (
        bench.own(f"rehearsing the migrations of {slot.id}") as connection,
        holding(connection, Lock.REHEARSAL, 0, _WAIT_S),
    ):
        size = bytes_of(connection, promise.template)
        bench.require_room(2 * size, f"a rehearsal on {promise.template}")
        with _stage(bench, connection, promise.template, size) as url:
            stage = _Stage(bench, url, _aimed_at(command, bench.access.slot_url(slot), url))
            return {"slot_id": slot.id, "template": promise.template, **stage.play()}


@contextmanager
def observed_slot(bench: Workbench, slot: Slot) -> Iterator[Observed]:
    """Observe what a block does to a slot's own database; complete when the block has ended."""
    name = slot.database.name
    url = bench.access.slot_url(slot).text()
    with translated(f"observing {name}"), observing(bench.access.admin_dsn(), url, name) as seen:
        yield seen


@dataclass(frozen=True, slots=True)
class _Stage:
    """A clone with the command that is aimed at it."""

    bench: Workbench
    url: DatabaseUrl
    command: Command

    def play(self) -> dict[str, Any]:
        """Run everything and report."""
        steps = plan_steps(self.command.argv)
        migrations = self._step_up(steps) if steps else []
        if all(each["succeeded"] for each in migrations):
            rest = self._observe(self.command)
            # Stepwise, the command itself only confirms that nothing is left.
            if not steps or not rest["succeeded"] or rest["version"] != rest["version_before"]:
                migrations.append(rest)
        done = all(each["succeeded"] for each in migrations)
        return {
            "succeeded": done,
            "migrations": migrations,
            "runs_again": self._runs_again() if done else None,
            "downgrade": self._down_and_up(steps) if done and steps and migrations else None,
        }

    def _step_up(self, steps: Steps) -> list[dict[str, Any]]:
        migrations: list[dict[str, Any]] = []
        for _ in range(_MOST_STEPS):
            found = self._observe(replace(self.command, argv=steps.one_up))
            if found["version"] == found["version_before"]:
                # At the head there is no next step, which Alembic reports as a failure. A real
                # failure shows again, with its output, when the whole command runs.
                break
            migrations.append(found)
        return migrations

    def _runs_again(self) -> bool:
        before = self._fingerprint()
        return self._run(self.command).succeeded and self._fingerprint() == before

    def _down_and_up(self, steps: Steps) -> dict[str, Any]:
        before, version = self._fingerprint(), self._version()
        down = self._run(replace(self.command, argv=steps.one_down))
        went_down = down.succeeded and self._version() != version
        up = self._run(self.command)
        return {
            "works": went_down,
            "comes_back_the_same": went_down and up.succeeded and self._fingerprint() == before,
            "output": "" if went_down else down.output[-2000:],
        }

    def _observe(self, command: Command) -> dict[str, Any]:
        before = self._version()
        admin, inside = self.bench.access.admin_dsn(), self.url.text()
        with observing(admin, inside, REHEARSAL) as observed:
            finished = self._run(command)
        return {
            "command": command.shown().replace(self.url.text(), self.url.redacted()),
            "version_before": before,
            "version": self._version(),
            "succeeded": finished.succeeded,
            "duration_ms": round(finished.duration_s * 1000, 1),
            "output": "" if finished.succeeded else finished.output[-4000:],
            **observed.document(),
        }

    def _run(self, command: Command) -> Finished:
        return self.bench.runner.run(command)

    def _fingerprint(self) -> str:
        with reading(self.url.text()) as connection:
            return take_fingerprint(connection).whole

    def _version(self) -> str | None:
        """What Alembic says is applied; read as the rehearsal's own role."""
        with psycopg.connect(self.url.text(), autocommit=True) as connection:
            if not run(connection, statement("SELECT 1 WHERE to_regclass('alembic_version') <> 0")):
                return None
            rows = run(connection, statement("SELECT version_num::text FROM alembic_version"))
        return ",".join(sorted(row[0] for row in rows)) or None


@contextmanager
def _stage(
    bench: Workbench, connection: Connection[Any], template: str, size: int
) -> Iterator[DatabaseUrl]:
    """The clone and its role, which can log in for the time of the block only."""
    password = secrets.token_urlsafe(24)
    try:
        run(connection, plan.drop(REHEARSAL))
        if not run(
            connection, statement("SELECT 1 FROM pg_roles WHERE rolname = %s", params=[REHEARSAL])
        ):
            run_all(
                connection,
                statement("CREATE ROLE {}", REHEARSAL),
                statement("GRANT {} TO {}", OWNER, REHEARSAL),
                statement("GRANT {} TO {}", REHEARSAL, bench.access.admin),
            )
        run(connection, plan.clone(template, REHEARSAL, size))
        verifier = make_verifier(password, bench.access.scram_iterations)
        run_all(
            connection,
            statement("ALTER ROLE {} LOGIN PASSWORD {}", REHEARSAL, Text(verifier)),
            statement("ALTER ROLE {} RESET ALL", REHEARSAL),
            statement("ALTER ROLE {} SET role = {}", REHEARSAL, Text(OWNER)),
            *plan.grant(REHEARSAL, REHEARSAL),
            plan.allow_connections(REHEARSAL, True),
        )
        yield bench.access.url(REHEARSAL, REHEARSAL, password)
    finally:
        strike(bench, connection)


def strike(bench: Workbench, connection: Connection[Any]) -> None:
    """Drop the clone of a rehearsal and lock its role out; may be repeated."""
    roll_back_prepared(connection, bench.access, REHEARSAL, REHEARSAL)
    run(connection, plan.drop(REHEARSAL))
    if run(connection, statement("SELECT 1 FROM pg_roles WHERE rolname = %s", params=[REHEARSAL])):
        run(connection, statement("ALTER ROLE {} NOLOGIN PASSWORD NULL", REHEARSAL))


def _aimed_at(command: Command, slot_url: DatabaseUrl, url: DatabaseUrl) -> Command:
    """The command with the slot's URL and database name exchanged for the clone's."""

    def exchange(text: str) -> str:
        return text.replace(slot_url.text(), url.text())

    env = {key: exchange(value) for key, value in command.env.items()}
    if "SLOT_DB_NAME" in env:
        env["SLOT_DB_NAME"] = url.database
    return replace(command, argv=tuple(map(exchange, command.argv)), env=env)
