"""The workshop: the one database in which a state is built, and how it becomes a template.

It is named like the loader, the only role that may enter it (pg_hba's `sameuser` rule), and is
renamed when it is complete, so a template is never half visible. One state is built at a time,
under the workshop's lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from ouroboros.adapters.cluster.access import ClusterAccess
from ouroboros.adapters.cluster.catalog import read_catalog
from ouroboros.adapters.cluster.fingerprints import (
    TableShape,
    digest_columns,
    read_tables,
    reading,
    take_fingerprint,
)
from ouroboros.adapters.cluster.loading import load_file
from ouroboros.adapters.cluster.prepared import roll_back_prepared
from ouroboros.adapters.cluster.seed_files import SeedFile
from ouroboros.adapters.cluster.sql import run, run_all
from ouroboros.adapters.cluster.swap import close_and_empty
from ouroboros.domain.failpoint import failpoint
from ouroboros.domain.template import Fingerprint, Mark
from ouroboros.plans import databases as plan
from ouroboros.plans.postgres_config import LOADER, OWNER
from ouroboros.plans.roles import assert_loader_role
from ouroboros.plans.sql import statement
from ouroboros.ports import CommandRunner

_FIRST_BUILD = f"{LOADER}__first"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Builds states on a connection of the admin's that holds the workshop's lock."""

    connection: Connection[Any]
    access: ClusterAccess
    programs: Path
    runner: CommandRunner
    scratch_dir: Path
    time_limit_s: float

    def build(
        self, file: SeedFile | None, time_zone: str = "UTC", *, keep_first: bool = False
    ) -> Fingerprint:
        """Make the workshop database anew, load the file (None: nothing), take its fingerprint.

        Leaves the database open for the loader; `keep_first` leaves what was set aside. Raises
        what `load_file` raises.
        """
        if not keep_first:
            self.clear()
        run(self.connection, plan.create_empty(LOADER))
        self.furnish()
        with self.inside() as inside:
            run_all(inside, *plan.own_public_schema())
        failpoint("build.created")
        if file is not None:
            load_file(
                self.access,
                self.programs,
                self.runner,
                file,
                scratch_dir=self.scratch_dir,
                time_zone=time_zone,
                time_limit_s=self.time_limit_s,
            )
        failpoint("build.loaded")
        self.tidy()
        return self.fingerprint()

    def copy_in(self, template: str, template_bytes: int) -> None:
        """Make the workshop database a copy of a template, to read or to try things on."""
        self.clear()
        run(self.connection, plan.clone(template, LOADER, template_bytes))
        self.furnish()

    def furnish(self) -> None:
        """Open what is in the workshop to the loader, who is what it must be."""
        self._assert_loader()
        run_all(
            self.connection, *plan.grant_to_loader(LOADER), plan.allow_connections(LOADER, True)
        )

    @contextmanager
    def inside(self) -> Iterator[Connection[Any]]:
        """A connection of the admin's to what is in the workshop, to change owners and rights.

        It runs no code of the database: only superusers make event triggers.
        """
        with psycopg.connect(self.access.admin_dsn(LOADER), autocommit=True) as connection:
            yield connection

    def clear(self) -> None:
        """Drop what is in the workshop."""
        roll_back_prepared(self.connection, self.access, LOADER, LOADER)
        for name in (LOADER, _FIRST_BUILD):
            run(self.connection, plan.drop(name))

    def tidy(self) -> None:
        """Give everything to the shared owner, and freeze rows so that clones need no vacuum."""
        self._assert_loader()
        with self.inside() as inside:
            run(inside, statement("REASSIGN OWNED BY {} TO {}", LOADER, OWNER))
            run(inside, statement("VACUUM (FREEZE, ANALYZE)"))

    def fingerprint(self) -> Fingerprint:
        """The fingerprint of what is in the workshop."""
        with reading(self.access.loader_dsn()) as inside:
            return take_fingerprint(inside)

    def columns_that_differ(self, tables: list[str]) -> list[str]:
        """Which columns of tables differ between the workshop and the state set aside."""
        second = self._column_digests(tables)
        self._change_places()
        first = self._column_digests(tables)
        self._change_places()
        return sorted(
            column for column in first | second if first.get(column) != second.get(column)
        )

    def set_aside(self) -> None:
        """Keep what is in the workshop under another name, to build once more beside it."""
        close_and_empty(self.connection, LOADER)
        run(self.connection, plan.rename(LOADER, _FIRST_BUILD))

    def take_back(self) -> None:
        """Drop what is in the workshop and bring back what was set aside."""
        run(self.connection, plan.drop(LOADER))
        run(self.connection, plan.rename(_FIRST_BUILD, LOADER))

    def publish(self, mark: Mark) -> None:
        """Make the workshop database the template that its mark names, in one transaction."""
        close_and_empty(self.connection, LOADER)
        failpoint("build.before_rename")
        with self.connection.transaction():
            run_all(
                self.connection,
                statement("SET LOCAL synchronous_commit = on"),
                plan.rename(LOADER, mark.template),
                plan.comment(mark.template, mark.text()),
                plan.make_template(mark.template),
            )
        failpoint("build.renamed")

    def _assert_loader(self) -> None:
        """Bring the loader back to what it must be: a seed may change its own role."""
        verifier = self.access.verifier(LOADER)
        run_all(self.connection, *assert_loader_role(verifier))

    def _column_digests(self, tables: list[str]) -> dict[str, str]:
        with reading(self.access.loader_dsn()) as inside:
            shapes: list[TableShape] = [
                shape for shape in read_tables(inside) if shape.qualified in tables
            ]
            return {
                f"{shape.qualified}.{column}": digest
                for shape in shapes
                for column, digest in digest_columns(inside, shape).items()
            }

    def _change_places(self) -> None:
        """Exchange the workshop and the state set aside; the loader can enter only the one."""
        closed = LOADER + "__second"
        close_and_empty(self.connection, LOADER)
        run_all(
            self.connection,
            plan.rename(LOADER, closed),
            plan.rename(_FIRST_BUILD, LOADER),
            plan.rename(closed, _FIRST_BUILD),
            plan.allow_connections(LOADER, True),
        )


def leftovers(connection: Connection[Any]) -> list[str]:
    """What an interrupted build left behind; nothing works on it while the lock is free."""
    return [name for name in read_catalog(connection) if name.startswith(LOADER)]
