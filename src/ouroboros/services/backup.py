"""Backup and restore of the control plane: what cannot be made again, in one file.

That is the control plane's database, the settings of a host, what previews are protected by, and
the files of snapshots. Passwords of roles are no part of it: they are made for each cluster.
Databases of slots come from seeds and snapshots, releases from publishes.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from ouroboros import __version__
from ouroboros.adapters import backup_files as files
from ouroboros.adapters.backup_fences import highest_number, raise_fences, seen_fences
from ouroboros.adapters.cluster.control_dump import ControlDump
from ouroboros.adapters.control.schema import known_revisions, migrate_control_plane, revision_of
from ouroboros.domain.errors import Failed, NotFound, Refused
from ouroboros.plans import restoration
from ouroboros.settings import Settings


@dataclass(frozen=True, slots=True)
class ControlPlaneCopy:
    """The use cases. `dsn` is the control database's; `settings_file` a host's settings."""

    settings: Settings
    dsn: str
    dump: ControlDump
    host: str
    settings_file: Path | None = None

    def backup(self, path: Path) -> dict[str, Any]:
        """Write a backup of this moment; everything may go on meanwhile.

        Raises `file_exists`, `backup_failed`, `control_plane_missing`.
        """
        revision = self._revision()
        if revision is None:
            raise NotFound("control_plane_missing", "there is no control plane to back up")
        manifest = files.Manifest(__version__, revision, _now())
        names = [files.MANIFEST, files.DUMP]
        with _scratch(path.parent) as scratch, files.new_archive(path) as archive:
            self.dump.write(scratch / files.DUMP)
            files.add_manifest(archive, manifest, scratch)
            files.add_file(archive, scratch / files.DUMP, files.DUMP)
            for name, source in self._kept().items():
                files.add_file(archive, source, name)
                names.append(name)
        return {"path": str(path), "bytes": path.stat().st_size, "files": names,
                "made_at": manifest.made_at}  # fmt: skip

    def restore(self, path: Path, *, dry_run: bool, keep_present: bool) -> dict[str, Any]:
        """Replace the control plane by a backup, and raise every fence above what was seen.

        With `keep_present` a backup of what is replaced is made first. Raises
        `backup_not_found`, `not_a_backup`, `backup_too_new`, `control_plane_missing`,
        `restore_failed`; after each of them everything is as it was. `restore_incomplete`: the
        database was replaced, and what follows was not done to its end; to restore again is safe.
        """
        with files.open_archive(path) as archive:
            manifest = files.read_manifest(archive)
            _require_known(manifest)
            seen = seen_fences(self.settings)
            facts = {"made_at": manifest.made_at, "version": manifest.version,
                     "seen": {each.slot_id: each.fence for each in seen}}  # fmt: skip
            present = self._revision()
            if dry_run:
                return {"dry_run": True, **facts, "replaces": present}
            kept = self._keep_present() if keep_present and present else None
            number = highest_number(self.settings, self._databases())
            after = restoration.after(seen, number, self.host, manifest.made_at, manifest.version)
            with _scratch(path.parent) as scratch:
                if not files.extract(archive, files.DUMP, scratch / files.DUMP):
                    raise Refused("not_a_backup", f"{path} holds no {files.DUMP}")
                self.dump.load(scratch / files.DUMP, scratch, after)
            with _told_as_incomplete(path):
                migrate_control_plane(self.dsn)
                fences = self._fences()
                raise_fences(self.settings, fences)
                brought = self._bring_files(archive)
        return {"dry_run": False, **facts, "fences": fences, "kept": kept, "files": brought,
                "slots": self._slots()}  # fmt: skip

    def _kept(self) -> dict[str, Path]:
        """What is kept beside the database, by its name in the backup."""
        found: dict[str, Path] = {}
        if self.settings_file is not None and self.settings_file.is_file():
            found[files.SETTINGS] = self.settings_file
        if self.settings.git_hosts_file.is_file():
            found[files.GIT_HOSTS] = self.settings.git_hosts_file
        for directory, name in ((self.settings.snapshots_dir, files.SNAPSHOTS),
                                (self.settings.protection_dir, files.PROTECTION)):  # fmt: skip
            if directory.is_dir():
                found |= {
                    f"{name}/{each.name}": each
                    for each in sorted(directory.iterdir())
                    if each.is_file() and not each.name.startswith(".")
                }
        return found

    def _bring_files(self, archive: Any) -> list[str]:
        """Write the files that are not there; a snapshot's name means one state for ever."""
        brought = []
        if files.extract(archive, files.GIT_HOSTS, self.settings.git_hosts_file):
            brought.append(files.GIT_HOSTS)
        for directory, name in ((self.settings.snapshots_dir, files.SNAPSHOTS),
                                (self.settings.protection_dir, files.PROTECTION)):  # fmt: skip
            for each in files.names_below(archive, name):
                directory.mkdir(parents=True, exist_ok=True)
                if files.extract(archive, f"{name}/{each}", directory / each):
                    brought.append(f"{name}/{each}")
        return brought

    def _keep_present(self) -> str:
        directory = self.settings.state_dir / "backups"
        directory.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        return str(self.backup(directory / f"before-restore-{stamp}.tar.gz")["path"])

    def _revision(self) -> str | None:
        try:
            return revision_of(self.dsn)
        except psycopg.OperationalError as error:
            raise NotFound(
                "control_plane_missing",
                f"its database cannot be entered: {str(error).splitlines()[0][:200]}",
                "on a host: scripts/preview-slots-provision.sh; locally: ouroboros up",
            ) from error

    def _query(self, text: str) -> list[tuple[Any, ...]]:
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                return connection.execute(text).fetchall()
        except psycopg.OperationalError as error:
            raise Failed("restore_failed", str(error)[:200], "ouroboros doctor") from error

    def _databases(self) -> list[str]:
        return [row[0] for row in self._query("SELECT datname FROM pg_database")]

    def _fences(self) -> dict[str, int]:
        return dict(self._query("SELECT slot_id, fence FROM slots ORDER BY slot_num"))

    def _slots(self) -> Mapping[str, str | None]:
        return dict(self._query("SELECT slot_id, run_id FROM slots ORDER BY slot_num"))


def _require_known(manifest: files.Manifest) -> None:
    if manifest.revision not in known_revisions():
        raise Refused(
            "backup_too_new",
            f"its schema {manifest.revision} is not known to {__version__}",
            f"restore it with Ouroboros {manifest.version}",
        )


@contextmanager
def _told_as_incomplete(path: Path) -> Iterator[None]:
    """What fails after the database was replaced says so."""
    try:
        yield
    except Exception as error:  # whatever it was, the database was replaced
        raise Failed(
            "restore_incomplete",
            f"the database was replaced, but then: {error}",
            f"mend that, then ouroboros restore {path} again",
        ) from error


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """A private directory beside a file, for what is as large as it."""
    try:
        with tempfile.TemporaryDirectory(prefix=".ouroboros-", dir=directory) as made:
            yield Path(made)
    except FileNotFoundError as error:
        raise Failed("backup_failed", f"{error.filename}: {error.strerror}", "mkdir") from error


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
