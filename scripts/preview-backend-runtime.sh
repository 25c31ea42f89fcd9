#!/usr/bin/env bash
# {status,start,restart,health,stop} --slot S: the backend of a slot.
set -euo pipefail
exec "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/ouroboros" backend "$@" --json
