#!/usr/bin/env python3
"""Run the web surface of one slot; needs nothing but Python 3.11.

Usage: run-web-surface.py --root infra/web-preview-1 --port 3101 --api-target http://127.0.0.1:8101
"""

# pathlib would be loaded for these few paths alone.
# ruff: noqa: PTH112, PTH118, PTH120, PTH208
import gc
import os
import sys

CHECKOUT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(CHECKOUT, ".venv", "bin", "python")


def prefer_the_checkout_s_python() -> None:
    """Continue in the checkout's environment when only that one has uvloop.

    The environment may be half made or of another machine, so what it has is looked up in its
    files first, and it is tried once only.
    """
    if os.environ.get("OUROBOROS_SURFACE_PYTHON") or not os.access(VENV, os.X_OK):
        return
    library = os.path.join(CHECKOUT, ".venv", "lib")
    wanted = [os.path.join(library, name, "site-packages", "uvloop") for name in _list(library)]
    if os.path.realpath(sys.prefix) == os.path.realpath(os.path.join(CHECKOUT, ".venv")):
        return
    if any(os.path.isdir(path) for path in wanted):
        os.environ["OUROBOROS_SURFACE_PYTHON"] = VENV
        try:
            os.execv(VENV, [VENV, os.path.realpath(__file__), *sys.argv[1:]])  # noqa: S606
        except OSError:
            return


def _list(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


if __name__ == "__main__":
    prefer_the_checkout_s_python()
    # Nothing that a start makes is garbage; the process turns the collector on again.
    gc.disable()
    sys.path.insert(0, os.path.join(CHECKOUT, "src"))
    # Keep compiled modules whatever the environment prefers: without them a start takes twice
    # as long. Where the checkout cannot be written to, nothing is written.
    sys.dont_write_bytecode = False
    from ouroboros.entrypoints.surface.without_tls import leave_out_tls

    leave_out_tls()
    from ouroboros.entrypoints.surface.process import main

    sys.exit(main(sys.argv[1:], os.environ))
