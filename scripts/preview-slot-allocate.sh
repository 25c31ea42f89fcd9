#!/usr/bin/env bash
# --run-id R --strategy S …: lease a slot and reset its database, as one flow.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" allocate "$@" --json
