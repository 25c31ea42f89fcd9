"""Findings: what `ouroboros doctor` says about an installation, each with what mends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding hurts."""

    ERROR = "error"
    """Something does not hold that must hold, or does not work."""
    WARNING = "warning"
    """It works, and is weaker or dearer than it need be."""
    NOTE = "note"
    """Worth knowing; nothing has to be done."""


_ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `code` is stable, `message` has the values, `fix` is what to type."""

    code: str
    severity: Severity
    message: str
    fix: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def document(self, area: str) -> dict[str, Any]:
        """The finding as JSON, with the area it was found in."""
        return {
            "area": area,
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
            "fix": self.fix,
            **({"details": dict(self.details)} if self.details else {}),
        }


def worst_first(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents of findings, errors before warnings before notes, else in their order."""
    return sorted(documents, key=lambda each: _ORDER.index(Severity(each["severity"])))
