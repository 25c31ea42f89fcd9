"""The keys of `preview.toml`, as its reader asks for them.

The reader itself is run over a file that has every table, and each key it takes is recorded with
its type and default; so a key is in the reference when it is read.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ouroboros.domain.application import read_application
from ouroboros.domain.errors import Failed
from ouroboros.domain.strict_table import StrictTable
from ouroboros.entrypoints.reference.markdown import code, page, rows

_EVERY_TABLE = """
[frontend]
[backend]
[database]
[[smoke]]
[[redirects]]
[[redirects]]
source = "/"
destination = "/"
statusCode = 307
[[redirects]]
permanent = true
[[headers]]
[[headers]]
source = "/"
[[headers.headers]]
"""
_TYPES = {str: "string", int: "whole number", bool: "true or false", list: "list", dict: "table"}
_MEANINGS = {
    "frontend": "how to make the static files; left out for an API alone",
    "frontend.dir": "where its commands run",
    "frontend.install": "the command that installs what the build needs",
    "frontend.build": "the command that builds the files",
    "frontend.output": "below `dir`, where the built files are",
    "frontend.lock_file": "below `dir`; installed packages are kept while it is unchanged",
    "frontend.spa": "whether navigations to unknown paths show index.html",
    "backend": "how to run the server; left out for a static site",
    "backend.dir": "where its commands run",
    "backend.install": "the command that installs what the server needs",
    "backend.start": "the command that is the server; required",
    "backend.listen": "`socket`: takes the inherited listener; `port`: binds `{port}`",
    "backend.health": "the path that answers 200 when the server is ready",
    "backend.env": "variables of its environment, with placeholders",
    "backend.egress": "addresses and networks to reach, or `any`; the operator allows them",
    "backend.proxy": "paths beside `/api` that the web surface passes on to it",
    "database": "how to migrate the slot's database",
    "database.dir": "where the migration runs; the backend's `dir` without it",
    "database.migrate": "the command that migrates",
    "database.migrations": "files and directories; while they are unchanged nothing is migrated",
    "smoke": "a request to the new backend before visitors see it",
    "smoke.kind": "`http`: a request; `page`: a visit by a real browser",
    "smoke.path": "the path that is asked for; required",
    "smoke.status": "the status that must come",
    "smoke.contains": "text that must be in the answer",
    "smoke.method": "the method of the request",
    "redirects": "a redirect, or a file shown under another address; the first match wins",
    "redirects.from": "the pattern of the path; required",
    "redirects.source": "another name for `from`",
    "redirects.to": "the target; required",
    "redirects.destination": "another name for `to`",
    "redirects.status": "301, 302, 303, 307, 308 redirect; 200, 404, 410 show a file",
    "redirects.statusCode": "another name for `status`",
    "redirects.permanent": "308 when true, 307 when false, instead of a status",
    "redirects.force": "also where the release has a file for `from`",
    "headers": "header lines for the files of the release; all that match hold",
    "headers.for": "the pattern of the path; required",
    "headers.source": "another name for `for`",
    "headers.values": "header lines by their names",
    "headers.headers": "the same as a list of tables",
    "headers.headers.key": "the name of a header line",
    "headers.headers.value": "its value",
}


class _Record(dict[str, str]):
    """The problems of a file, which all of its tables share, and so what they record, too."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_taken: dict[str, tuple[type, Any]] = {}


class _RecordingTable(StrictTable):
    """A table that remembers what was taken from it and from those inside of it."""

    def __init__(self, data: Mapping[str, Any], name: str, record: _Record) -> None:
        super().__init__(data, name, record)
        self._prefix = re.sub(r"\[\d+\]", "", name)
        self._record = record

    def take(self, key: str, kind: type, default: Any) -> Any:
        """See `StrictTable.take`."""
        name = f"{self._prefix}.{key}" if self._prefix else key
        self._record.keys_taken.setdefault(name, (kind, default))
        return super().take(key, kind, default)


def read_preview_keys() -> dict[str, tuple[type, Any]]:
    """Every key by its full name, with its type and its default."""
    record = _Record()
    read_application(_RecordingTable(tomllib.loads(_EVERY_TABLE), "", record))
    return record.keys_taken


def render_preview_keys() -> str:
    """The page of keys; raises `keys_without_meaning` for those that this module does not tell."""
    keys = read_preview_keys()
    unlike = sorted(keys.keys() ^ _MEANINGS.keys())
    if unlike:
        raise Failed("keys_without_meaning", ", ".join(unlike), "tell them in reference/keys.py")
    cells = [
        (code(name), _TYPES[kind], _shown(default), _MEANINGS[name])
        for name, (kind, default) in keys.items()
    ]
    return page(
        "Keys of preview.toml",
        "Every key that is read; any other is refused. With an example and the placeholders: "
        "[preview.toml](../preview-toml.md).",
        [rows(("key", "type", "default", "meaning"), cells)],
    )


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return code(str(default).lower())
    return code(str(default)) if default else ""
