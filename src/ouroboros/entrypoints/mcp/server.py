"""The tools of `ouroboros mcp`, the same over standard input and output and over HTTP.

What destroys something wants `confirm`; without it the tool says what would be lost, and does
nothing. A failure is a tool's error with our code and the next command.
"""

import base64
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError

from ouroboros import __version__
from ouroboros.client import Client
from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.cli.connect import client, path_of
from ouroboros.entrypoints.mcp.answers import (
    short_backend,
    short_difference,
    short_publish,
    short_slot,
    tail,
)

_INSTRUCTIONS = """Preview environments on fixed slots. Lease a slot for your run (allocate),
publish a branch into it (publish, then wait until `final`), look at it (screenshot, logs, db_diff),
and give the slot back (release). A lease ends by itself after half an hour without a publish."""
_LONGEST_WAIT_S = 50.0
_PATIENCE_S = 660.0
_BROWSER_S = 240.0
P = ParamSpec("P")
R = TypeVar("R")


def make_server(api: Callable[[], Client] = client) -> MCPServer:
    """The server; `api` gives each call its client of the control plane: the configured one."""
    server = MCPServer(
        "ouroboros", instructions=_INSTRUCTIONS, version=__version__, log_level="CRITICAL"
    )
    tools = _Tools(api)
    for tool in (
        tools.slots,
        tools.status,
        tools.allocate,
        tools.publish,
        tools.wait,
        tools.logs,
        tools.db_diff,
        tools.verify,
        tools.reset,
        tools.rollback,
        tools.release,
    ):
        server.tool()(_told(tool))
    server.tool(structured_output=False)(_told(tools.screenshot))
    return server


def _told(tool: Callable[P, R]) -> Callable[P, R]:
    """Let a failure be a tool's error with its code."""

    @wraps(tool)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return tool(*args, **kwargs)
        except PreviewError as error:
            hint = f" Next: {error.hint}" if error.hint else ""
            raise ToolError(f"{error.code}: {error.message}.{hint}") from error

    return told


class _Tools:
    """Each tool is one or two requests; its docstring is what the model reads."""

    def __init__(self, api: Callable[[], Client]) -> None:
        self._client = api

    @property
    def _api(self) -> Client:
        return self._client()

    def slots(self) -> dict[str, Any]:
        """All slots with who holds them and what they serve, and the runs that wait."""
        got = self._api.get("/api/slots")
        return {"slots": [short_slot(slot) for slot in got["slots"]], "queue": got["queue"]}

    def status(self, slot: str) -> dict[str, Any]:
        """One slot: its run, lease and URL, what it serves, its backend, and its last publish."""
        path = path_of("api", "slots", slot, "backend")
        backend = self._api.get(path)
        listed = self._api.get("/api/slots")["slots"]
        document = next(each for each in listed if each["slot_id"] == backend["slot_id"])
        latest = document["latest_publish"]
        shown = {**short_slot(document), "backend": short_backend(backend)}
        if latest is not None:
            shown["last_publish"] = short_publish(self._api.get(f"/api/publishes/{latest}"))
        return shown

    def allocate(
        self, run_id: str, seed_version: str = "v1", branch: str | None = None
    ) -> dict[str, Any]:
        """Lease a slot for a run and reset its database to a seed. Repeatable: the same slot."""
        asked = {"run_id": run_id, "seed_version": seed_version, "branch": branch}
        got = self._api.post("/api/slots/acquire", asked, time_limit_s=_PATIENCE_S)
        kept = ("slot_id", "run_id", "branch", "url", "db_name", "expires_at", "already_held")
        return {key: got[key] for key in kept}

    def publish(self, run_id: str, repo: str, ref: str) -> dict[str, Any]:
        """Build and show a branch, tag or commit in the run's slot; then call `wait`.

        `repo` is an absolute path on the host or a URL.
        """
        asked = {"run_id": run_id, "repo": repo, "ref": ref}
        return short_publish(self._api.post("/api/publishes", asked))

    def wait(self, publish_id: str, seconds: float = 45.0) -> dict[str, Any]:
        """Wait for the end of a publish, at most 50 seconds; call again until `final` is true."""
        deadline = time.monotonic() + min(seconds, _LONGEST_WAIT_S)
        seen = ""
        while True:
            left = max(0.0, deadline - time.monotonic())
            query = {"wait_s": left, "seen": seen}
            found = self._api.get(path_of("api", "publishes", publish_id), query, left + 30)
            seen = found["version"]
            if found["final"] or time.monotonic() >= deadline:
                return short_publish(found)

    def logs(self, publish_id: str, step: str | None = None, lines: int = 60) -> dict[str, Any]:
        """The end of a publish's log, or of one of its steps (source, frontend, backend, …)."""
        path, text, offset = path_of("api", "publishes", publish_id, "log"), "", 0
        while (part := self._api.get(path, {"offset": offset, "step": step}))["text"]:
            text, offset = text + part["text"], part["next_offset"]
        return {"publish_id": publish_id, "step": step, "text": tail(text, lines)}

    def screenshot(self, slot: str, path: str = "/") -> list[Any]:
        """What a page of the slot's preview looks like now, with its console errors.

        The picture shows a window of 1280 × 800; `path` begins with /.
        """
        asked = path_of("api", "slots", slot, "screenshot")
        got = self._api.post(asked, {"path": path}, _BROWSER_S)
        picture = Image(data=base64.b64decode(got.pop("png_base64")), format="png")
        return [{key: got[key] for key in got if key != "ok"}, picture]

    def db_diff(self, slot: str, samples: int = 3) -> dict[str, Any]:
        """What changed in a slot's database since its reset: schema and rows."""
        path = path_of("api", "slots", slot, "database", "diff")
        return short_difference(self._api.post(path, {"samples": samples}, _PATIENCE_S))

    def verify(self, slot: str) -> dict[str, Any]:
        """Whether a slot's database is exactly what its last reset made; an error when not."""
        path = path_of("api", "slots", slot, "database", "verify")
        got = self._api.post(path, time_limit_s=_PATIENCE_S)
        return {key: got[key] for key in ("slot_id", "matches", "fingerprint")}

    def reset(
        self, slot: str, run_id: str, seed_version: str = "v1", confirm: bool = False
    ) -> dict[str, Any]:
        """Replace the database of the run's slot by a seed. Loses its changes: wants `confirm`."""
        if not confirm:
            return _wants_confirm(f"everything in the database of {slot} is replaced")
        asked = {"run_id": run_id, "strategy": "seed", "seed_version": seed_version}
        path = path_of("api", "slots", slot, "database", "reset")
        got = self._api.post(path, asked, time_limit_s=_PATIENCE_S)
        return {key: got[key] for key in ("slot_id", "seed_version", "fingerprint", "duration_ms")}

    def rollback(self, slot: str, to: str | None = None, database: bool = False) -> dict[str, Any]:
        """Serve the release before the live one again, or `to`; then call `wait`.

        With `database` its state goes back, too; the present one is kept and comes back with its
        release.
        """
        path = path_of("api", "slots", slot, "rollback")
        return short_publish(self._api.post(path, {"to": to, "database": database}))

    def release(self, run_id: str, slot: str, confirm: bool = False) -> dict[str, Any]:
        """Give a slot back. Ends its preview and loses its data: wants `confirm`."""
        if not confirm:
            return _wants_confirm(f"the preview in {slot} goes away, with what is in its database")
        got = self._api.post(path_of("api", "slots", slot, "release"), {"run_id": run_id})
        return {key: got[key] for key in ("slot_id", "run_id", "lease_state")}


def _wants_confirm(loss: str) -> dict[str, Any]:
    return {"done": False, "would": loss, "next": "call again with confirm=true"}
