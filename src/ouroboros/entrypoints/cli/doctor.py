"""`ouroboros doctor`: what is wrong or weaker in this installation, and what mends it."""

from typing import Any

from ouroboros.domain.errors import PreviewError
from ouroboros.entrypoints.cli.connect import client
from ouroboros.entrypoints.cli.output import Document, Output, answer, bold, printable

_PATIENCE_S = 120.0


def doctor() -> None:
    """Look the installation over: findings with what mends each; exit 3 for errors."""
    try:
        got = client().get("/api/doctor", time_limit_s=_PATIENCE_S)
    except PreviewError as error:
        if not Output.wants_json() and "findings" in error.details:
            print(_told(error.details))
        raise
    answer("doctor", got, _told)


def _told(document: Document) -> str:
    if not document["findings"]:
        return f"Nothing found ({', '.join(document['areas'])})"
    return "\n".join(_told_finding(each) for each in document["findings"])


def _told_finding(finding: dict[str, Any]) -> str:
    head = f"{finding['severity']:8}{finding['area']}: {printable(finding['message'])}"
    lines = [f"{bold(head)} ({finding['code']})"]
    if finding["fix"]:
        lines.append(f"        {printable(finding['fix'])}")
    return "\n".join(lines)


COMMANDS = {"doctor": doctor}
