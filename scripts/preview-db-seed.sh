#!/usr/bin/env bash
# --slot S --seed-version V [--dry-run]: make the slot's database that seed's state.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" db seed "$@" --json
