"""What a session counts against others, where the kernel weighs sessions as autogroups (sched(7)).

There nice(2) counts within one session only, so who steps back does it as a session (ADR 0032).
"""

import os
import time
from pathlib import Path

OURS_STEP_BACK = 5
"""How much what visitors do not wait for steps back for what they do, in steps of nice(2)."""
_PATIENCE_S = 1.0
_AGAIN_S = 0.05


def step_back() -> None:
    """Let the session that this process leads step back for others.

    A session that somebody else leads, such as a person's terminal, is left alone.
    """
    if os.getsid(0) == os.getpid():
        _weigh(os.getpid())


def steps_back() -> bool:
    """Whether the session of this process steps back, so that what it starts may share it."""
    try:
        return int(Path("/proc/self/autogroup").read_text(encoding="ascii").split()[-1]) > 0
    except (OSError, ValueError, IndexError):
        return False


def let_step_back(pid: int, named: bytes) -> None:
    """The same for another process of this user that leads a session and has this name.

    The name is asked for because the id may be one of another machine.
    """
    try:
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(named):
            _weigh(pid)
    except OSError:
        pass


def _weigh(pid: int) -> None:
    """Try for a while: the kernel takes one change in 100 ms from all users but root together."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at:
        try:
            Path(f"/proc/{pid}/autogroup").write_text(str(OURS_STEP_BACK), encoding="ascii")
        except BlockingIOError:
            time.sleep(_AGAIN_S)
        except OSError:
            return  # no autogroups here, or not ours
        else:
            return
