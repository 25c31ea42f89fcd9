"""systemctl(1) and systemd-run(1): the one place that speaks to systemd.

Only ever called with unit names made from slots, and only by a process that is root.
"""

import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from ouroboros.domain.errors import Failed, TimedOut

_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_PROPERTIES = (
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestamp",
    "NRestarts",
    "LoadState",
    "NeedDaemonReload",
    "UnitFileState",
    "ActiveEnterTimestamp",
)


def act(verb: str, *units: str, time_limit_s: float = 90.0, wait: bool = True) -> None:
    """Start, stop, restart… units; raises `unit_failed` with what systemd says, `unit_timed_out`.

    With `wait` it returns when the job is done, which for Type=notify means ready.
    """
    options = () if wait else ("--no-block",)
    done = _run(("systemctl", verb, "--quiet", *options, *units), time_limit_s)
    if done.returncode != 0:
        raise Failed(
            "unit_failed",
            f"systemctl {verb} {' '.join(units)}: {done.stderr.strip()[-400:]}",
            f"journalctl -u {units[0] if units else 'ouroboros.target'} -n 50",
        )


def forget_failure(*units: str) -> None:
    """`reset-failed`, so that a start limit of earlier starts does not refuse this one."""
    _run(("systemctl", "reset-failed", "--quiet", "--", *units), 30.0)


def show(unit: str) -> dict[str, str]:
    """The state of a unit, by systemd's property names."""
    done = _run(
        (
            "systemctl",
            "show",
            "--timestamp=us+utc",
            f"--property={','.join(_PROPERTIES)}",
            "--",
            unit,
        ),
        30.0,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def start_transient(
    unit: str, properties: Sequence[str], argv: Sequence[str], output: int | IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Run a command in a transient unit of its own with stdout and stderr in `output`.

    The process that is returned lives as long as the unit.
    """
    options = [f"--property={item}" for item in properties]
    return subprocess.Popen(
        ("systemd-run", "--quiet", "--pipe", "--wait", f"--unit={unit}", *options, "--", *argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_ENV,
    )


def _run(argv: Sequence[str], time_limit_s: float) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=time_limit_s, env=_ENV, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TimedOut(
            "unit_timed_out", f"{' '.join(argv)} took more than {time_limit_s:g} s"
        ) from error


def exit_text(state: Mapping[str, str]) -> str:
    """How the main process of a unit ended, for people (ExecMainCode: 1 exited, 2 and 3 killed)."""
    result = state.get("Result", "")
    status = state.get("ExecMainStatus", "0")
    told = f"signal {status}" if state.get("ExecMainCode") in ("2", "3") else f"status {status}"
    return told if result in ("", "success", "exit-code", "signal") else f"{told} ({result})"
