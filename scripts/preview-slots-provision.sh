#!/usr/bin/env bash
# [--dry-run | --check | --uninstall [--with-data]]: install or update what the slots need, and start
# their services. As root under systemd that is the whole host (docs/operator.md).
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" provision "$@"
