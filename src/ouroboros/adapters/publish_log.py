"""The log of a publish: what each step printed, as files that are written while it runs.

`preview.publish.log` holds everything in order; `<step>.log` the part of one step. Known secrets
are masked before anything is written, also where a chunk boundary cuts one in two.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PUBLISH_LOG = "preview.publish.log"
_MASK = b"***"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished file with its identity."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    path: Path


class PublishLog:
    """Writes the log of one publish; one worker thread uses it at a time."""

    def __init__(self, directory: Path, secrets: Sequence[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._secrets = [secret.encode() for secret in secrets if secret]
        self._keep = max((len(secret) for secret in self._secrets), default=1) - 1
        self._held = b""
        self._step: str | None = None

    def step(self, name: str, title: str) -> None:
        """Begin the part of a step; a repeated step begins its own file anew."""
        self.flush()
        self._step = name
        (self._directory / f"{name}.log").write_bytes(b"")
        self.line(f"==> {title}")

    def line(self, text: str) -> None:
        """Write one line of our own, with the time of day (UTC)."""
        self.flush()
        stamp = datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3]
        self._write(self._masked(f"[{stamp}] {text}\n".encode("utf-8", "backslashreplace")))

    def output(self, chunk: bytes) -> None:
        """Write a chunk of a command's output."""
        data = self._masked(self._held + chunk)
        cut = len(data) - self._keep
        if cut > 0:
            self._write(data[:cut])
        self._held = data[max(cut, 0) :]

    def flush(self) -> None:
        """Write what was held back in case it began a secret."""
        held, self._held = self._held, b""
        if held:
            self._write(held if held.endswith(b"\n") else held + b"\n")

    def tail(self, name: str, lines: int = 20) -> str:
        """The last lines of a step's part; empty when it has none."""
        try:
            with (self._directory / f"{name}.log").open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - 16384))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def write(self, name: str, text: str) -> None:
        """Write a whole artifact of its own."""
        data = self._masked(text.encode("utf-8", "backslashreplace"))
        (self._directory / name).write_bytes(data)

    def artifact(self, name: str) -> Artifact:
        """The identity of a file as it stands now."""
        self.flush()
        path = self._directory / name
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        media_type = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
        return Artifact(name, media_type, path.stat().st_size, digest, path)

    def _masked(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, _MASK)
        return data

    def _write(self, data: bytes) -> None:
        names = [PUBLISH_LOG] if self._step is None else [PUBLISH_LOG, f"{self._step}.log"]
        for name in names:
            with (self._directory / name).open("ab") as file:
                file.write(data)
