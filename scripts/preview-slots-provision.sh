#!/usr/bin/env bash
# [--dry-run]: install or update what the slots need, and start their services.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" provision "$@" --json
