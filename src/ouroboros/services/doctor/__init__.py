"""The doctor: looks an installation over and says what is wrong or weaker, and what mends it.

It only looks. One module here for each area (`databases.py`: the cluster and what is left in it),
each with a function that takes what it needs and returns an `Examine`: no arguments, yields
`Finding`s (`domain/finding.py`). To add an area, write its module and name it where
`bootstrap.compose` makes the `Doctor`; command, route and exit status follow. A code is stable for
ever, and `docs/doctor.md` lists them all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ouroboros.domain.errors import PreviewError, Unhealthy
from ouroboros.domain.finding import Finding, Severity, worst_first

Examine = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Doctor:
    """The areas to examine, by name, in the order in which they are told."""

    areas: Mapping[str, Examine]

    def examine(self) -> dict[str, Any]:
        """Every finding, the worst first; raises `doctor_found_errors` with all of them.

        An area that cannot be examined is a finding itself, so the others are still told.
        """
        found = worst_first(
            [each.document(area) for area, examine in self.areas.items() for each in _of(examine)]
        )
        counts = {
            str(severity): sum(each["severity"] == severity for each in found)
            for severity in Severity
        }
        answer = {"areas": list(self.areas), "findings": found, "counts": counts}
        if counts[Severity.ERROR]:
            raise Unhealthy(
                "doctor_found_errors",
                f"{counts[Severity.ERROR]} of {len(found)} findings are errors; the first:"
                f" {found[0]['message']}",
                found[0]["fix"],
                answer,
            )
        return answer


def _of(examine: Examine) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(examine())
    except PreviewError as error:
        found.append(
            Finding(
                "area_not_examined",
                Severity.ERROR,
                f"{error.message} ({error.code})",
                error.hint,
                {"error": error.code},
            )
        )
    return found
