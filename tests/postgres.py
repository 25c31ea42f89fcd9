"""PostgreSQL for the tests: real servers on unix sockets in short temporary directories."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from ouroboros.adapters.cluster.embedded import (
    STOP_SIGNAL,
    EmbeddedServer,
    initialise,
    plan_server,
    server_argv,
    server_env,
    stop_leftover,
    wait_until_ready,
)
from ouroboros.adapters.cluster.prepare import prepare_cluster
from ouroboros.adapters.control.schema import migrate_control_plane
from ouroboros.domain.command import Command, Finished
from ouroboros.settings import Settings, read_settings

CONTROL_TEMPLATE = "ouroboros_control_template"
_numbers = itertools.count(1)


class PlainRunner:
    """The port CommandRunner in its simplest form, for tests that are not about processes."""

    def run(self, command: Command, on_output=None, cancelled=None) -> Finished:
        done = subprocess.run(
            command.argv,
            cwd=command.cwd,
            env=dict(command.env),
            input=command.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=command.time_limit_s,
            check=False,
        )
        if on_output:
            on_output(done.stdout)
        text = done.stdout.decode(errors="replace")
        return Finished(done.returncode, 0.0, text[-65536:], len(done.stdout))


@dataclass
class TestCluster:
    """A running server of our own with its settings; `kill` and `start` are for crash tests."""

    __test__ = False
    settings: Settings
    server: EmbeddedServer
    process: subprocess.Popen | None = None

    @property
    def access(self):
        return self.server.access

    def start(self) -> None:
        log = self.server.log_path
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                server_argv(self.server),
                env=server_env(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until_ready(self.server, 30)

    def kill(self) -> None:
        """End the postmaster as a power cut would; its sessions notice by themselves."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(STOP_SIGNAL)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        stop_leftover(self.server)

    def superuser(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.access.superuser_dsn(database), autocommit=True)

    def admin(self, database: str | None = None) -> psycopg.Connection:
        return psycopg.connect(self.access.admin_dsn(database), autocommit=True)

    def databases(self) -> set[str]:
        with self.superuser() as connection:
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
        return {row[0] for row in rows}

    def slot_databases(self) -> set[str]:
        """Names of databases of slots, standbys, workshops and templates."""
        ours = ("app_preview_", "ouroboros_tpl_", "ouroboros_loader")
        return {name for name in self.databases() if name.startswith(ours)}

    def drop_slot_databases(self, kept: Collection[str] = ()) -> None:
        """Drop what tests of other files have left of slots, but for some."""
        with self.superuser() as connection:
            for name in self.slot_databases() - set(kept):
                connection.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def running_cluster(
    environ: Mapping[str, str] | None = None, *, durable: bool = False
) -> Iterator[TestCluster]:
    """Start a cluster in a directory of its own under /tmp and end it, whatever happened."""
    directory = Path(tempfile.mkdtemp(prefix="obt", dir="/tmp"))
    directory.chmod(0o755)
    try:
        # A checkout is what a host is installed from: no test writes into it.
        own = {"OUROBOROS_STATE_DIR": "s", "OUROBOROS_SNAPSHOTS_DIR": "snapshots"}
        values = {key: str(directory / name) for key, name in own.items()} | dict(environ or {})
        for passed in ("OUROBOROS_PG_BIN",):
            if passed in os.environ:
                values.setdefault(passed, os.environ[passed])
        settings = read_settings(values)
        cluster = TestCluster(settings, plan_server(settings))
        try:
            initialise(cluster.server, PlainRunner(), durable=durable)
            cluster.start()
            prepare_cluster(cluster.server, settings.pool)
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def make_control_template(cluster: TestCluster) -> None:
    """A migrated control database that `fresh_control_database` clones."""
    with cluster.admin() as connection:
        connection.execute(f"CREATE DATABASE {CONTROL_TEMPLATE}")
    migrate_control_plane(cluster.access.admin_dsn(CONTROL_TEMPLATE))


@contextlib.contextmanager
def fresh_control_database(cluster: TestCluster) -> Iterator[str]:
    """The URL of an empty, migrated control database of its own, dropped at the end."""
    name = f"control_test_{os.getpid()}_{next(_numbers)}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with cluster.admin() as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(CONTROL_TEMPLATE)))
    try:
        yield cluster.access.admin_dsn(name)
    finally:
        with cluster.admin() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def end(process: subprocess.Popen) -> None:
    """Kill a process that a test started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
