"""The error tree: every way a command can fail, as a stable code with its exit status.

It stands apart because codes are promises: a run worker branches on them, so a code is never
renamed or given a second meaning. Each edge (command line, HTTP, worker) translates a
`PreviewError` once; nothing inside the house turns an error into text.

    PreviewError
    ├── BadInput        exit 2    HTTP 422   the request cannot be right, nothing was changed
    ├── NotFound        exit 2    HTTP 404   the named thing does not exist
    ├── SignInRequired  exit 1    HTTP 401   nobody known asked for what needs somebody
    ├── Denied          exit 1    HTTP 403   whoever asked may not do this
    ├── TooMany         exit 1    HTTP 429   asked more often than is answered
    ├── Refused         exit 1    HTTP 409   right in form, wrong in the present state
    ├── Failed          exit 1    HTTP 500   it was tried and did not work
    ├── Unhealthy       exit 3    HTTP 503   something that must run does not
    ├── WaitingForSlot  exit 75   HTTP 202   no slot is free, the run keeps its place
    └── TimedOut        exit 124  HTTP 504   a limit in seconds was reached
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class PreviewError(Exception):
    """A failure with a stable code, a message with values in it, and the next command to type.

    `details` holds further machine-readable facts (never secrets); they are laid beside
    `error`, `message` and `hint` in the answer.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def document(self) -> dict[str, Any]:
        """The error as the JSON fields every edge answers with."""
        return {
            "ok": False,
            "error": self.code,
            "message": self.message,
            "hint": self.hint,
            **self.details,
        }


class BadInput(PreviewError):
    """The request cannot be right, whatever the state; nothing was changed."""

    exit_code = 2
    http_status = 422


class NotFound(PreviewError):
    """The named thing does not exist; nothing was changed."""

    exit_code = 2
    http_status = 404


class SignInRequired(PreviewError):
    """Nobody who is known asked for what needs somebody; nothing was changed."""

    exit_code = 1
    http_status = 401


class Denied(PreviewError):
    """Whoever asked may not do this; nothing was changed."""

    exit_code = 1
    http_status = 403


class TooMany(PreviewError):
    """Asked more often than is answered; nothing was changed."""

    exit_code = 1
    http_status = 429


class Refused(PreviewError):
    """The request is well formed and the present state forbids it; nothing was changed."""

    exit_code = 1
    http_status = 409


class Failed(PreviewError):
    """It was tried and did not work."""

    exit_code = 1
    http_status = 500


class Unhealthy(PreviewError):
    """Something that must be running is not, or does not answer as it should."""

    exit_code = 3
    http_status = 503


class WaitingForSlot(PreviewError):
    """Every slot is taken; the run keeps its place in the queue."""

    exit_code = 75
    http_status = 202


class TimedOut(PreviewError):
    """A limit in seconds was reached."""

    exit_code = 124
    http_status = 504
