#!/usr/bin/env bash
# --slot S [--dry-run]: replace the slot's database by an empty one.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" db reset "$@" --json
