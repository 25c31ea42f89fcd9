"""Where a host's installation lies, and as whom its processes run."""

INSTALL_ROOT = "/srv/oroboros"
CURRENT = f"{INSTALL_ROOT}/current"
STEWARD_DIR = f"{INSTALL_ROOT}/steward"
"""What the steward writes for PID 1 to read; root's alone, because it holds passwords."""
SETTINGS_FILE = f"{INSTALL_ROOT}/ouroboros.env"
SECRET_SETTINGS_FILE = f"{INSTALL_ROOT}/secrets/control.env"
RUNTIME_UNITS = "/run/systemd/system"
"""Units and drop-ins until the next boot (systemd.unit(5))."""
SERVICE_USER = "ouroboros"
SURFACE_USER = "ouroboros-web"
NOTICE = "# Rendered from the slot pool by `ouroboros render`; edit the renderer, not this file.\n"

_PYTHON = f"{CURRENT}/.venv/bin/python"

PYTHON = f"{CURRENT}/.venv/bin/python"
SOURCES = f"{CURRENT}/src/ouroboros"
