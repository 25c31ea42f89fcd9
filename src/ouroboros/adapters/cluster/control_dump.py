"""The control plane's database as a dump, and back: pg_dump, pg_restore and psql as the admin."""

from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from ouroboros.adapters.cluster.embedded import server_env
from ouroboros.domain.command import Command, Finished
from ouroboros.domain.errors import Failed
from ouroboros.plans.restoration import BEFORE, LEFT_OUT
from ouroboros.ports import CommandRunner

_TIME_LIMIT_S = 1800.0
_VARIABLES = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
    "dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "channel_binding": "PGCHANNELBINDING",
    "passfile": "PGPASSFILE",
}  # fmt: skip


class ControlDump:
    """Dumps and loads one control database. `programs` holds PostgreSQL's client programs."""

    def __init__(self, dsn: str, programs: Path, runner: CommandRunner) -> None:
        self._programs = programs
        self._runner = runner
        told = conninfo_to_dict(dsn)
        self._env = server_env() | {
            name: str(told[key]) for key, name in _VARIABLES.items() if told.get(key) is not None
        }

    def write(self, path: Path) -> None:
        """Write a dump of one moment; raises `backup_failed`."""
        argv = ("--format=custom", "--no-owner", "--no-privileges", "--schema=public")
        done = self._run(path.parent, "pg_dump", *argv, "--file", str(path))
        if not done.succeeded:
            raise Failed(
                "backup_failed",
                f"pg_dump ended with status {done.exit_status}: {done.output.strip()[-400:]}",
                "ouroboros doctor",
            )

    def load(self, path: Path, scratch: Path, after: str) -> None:
        """Replace everything by a dump, in one transaction that ends with `after`.

        Raises `restore_failed`; nothing was changed then.
        """
        listed = self._restore(scratch, "--list", str(path))
        kept = [line for line in listed.splitlines() if not any(word in line for word in LEFT_OUT)]
        files = {
            "wanted": "\n".join(kept) + "\n",
            "before.sql": BEFORE,
            "after.sql": after,
        }
        for name, text in files.items():
            (scratch / name).write_text(text, encoding="utf-8")
        self._restore(
            scratch,
            *("--no-owner", "--no-privileges", "--use-list", str(scratch / "wanted")),
            *("--file", str(scratch / "load.sql"), str(path)),
        )
        parts = ("before.sql", "load.sql", "after.sql")
        named = [item for part in parts for item in ("--file", str(scratch / part))]
        options = ("-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null")
        done = self._run(scratch, "psql", *options, *named)
        if not done.succeeded:
            raise _not_restored("psql", done)

    def _restore(self, cwd: Path, *arguments: str) -> str:
        done = self._run(cwd, "pg_restore", *arguments)
        if not done.succeeded:
            raise _not_restored("pg_restore", done)
        return done.output

    def _run(self, cwd: Path, program: str, *arguments: str) -> Finished:
        argv = (str(self._programs / program), *arguments)
        return self._runner.run(Command(argv, cwd, self._env, time_limit_s=_TIME_LIMIT_S))


def _not_restored(program: str, done: Finished) -> Failed:
    return Failed(
        "restore_failed",
        f"{program} ended with status {done.exit_status}: {done.output.strip()[-400:]}",
        "nothing was changed; ouroboros doctor",
    )
