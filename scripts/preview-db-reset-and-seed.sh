#!/usr/bin/env bash
# --slot S --run-id R --strategy seed|snapshot …: reset and load, for a run.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" db reset-and-seed "$@" --json
