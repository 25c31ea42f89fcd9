#!/usr/bin/env bash
# Check each slot, directly and routed.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" health-check "$@"
