"""What systemd keeps of our units: their states, and the ends of what they said."""

import subprocess

_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0"}
_TIME_LIMIT_S = 30.0
_LINES = 400


def unit_states() -> str:
    """A line for each unit of ours, and the whole status of those that failed."""
    units = ("systemctl", "list-units", "--all", "--no-pager", "--full", "--plain", "ouroboros*")
    failed = ("systemctl", "status", "--no-pager", "--full", "--state=failed", "ouroboros*")
    return f"{_said(units)}\n{_said(failed)}"


def installed_units() -> list[str]:
    """The names of our services."""
    listed = _said(
        ("systemctl", "list-units", "--all", "--plain", "--no-legend", "ouroboros*.service")
    )
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def journal_tail(unit: str) -> str:
    """The last lines that a unit wrote into the journal."""
    lines = ("--lines", str(_LINES), "--output", "short-iso")
    return _said(("journalctl", "--no-pager", "--quiet", *lines, "--unit", unit))


def _said(argv: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=_TIME_LIMIT_S, env=_ENV, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{' '.join(argv)}: {error}\n"
    return (done.stdout + done.stderr).decode("utf-8", "replace")
