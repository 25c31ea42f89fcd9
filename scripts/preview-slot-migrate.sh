#!/usr/bin/env bash
# --slot S [--dry-run]: run the live release's migrations on the slot's database.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" db migrate "$@" --json
