#!/usr/bin/env bash
# Installs what only tests and benchmarks need: Caddy, nginx and Chromium from Debian, when root,
# and promtool into .venv/.
# Where they cannot be had the tests that need them are skipped, each with its reason.
set -euo pipefail
# promtool alone, out of Debian's package: a Prometheus that runs is not needed to check alerts.
if ! command -v promtool > /dev/null && [ ! -x .venv/bin/promtool ] && command -v apt-get > /dev/null
then
  fetched=$(mktemp -d)
  chmod 755 "$fetched"
  (cd "$fetched" && apt-get download -qq prometheus > /dev/null 2>&1 &&
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool) &&
    mv "$fetched/usr/bin/promtool" .venv/bin/promtool ||
    printf 'tools: promtool could not be fetched; its test will say that alerts are not checked\n' >&2
  rm -rf "$fetched"
fi
missing=()
command -v caddy > /dev/null || missing+=(caddy)
command -v chromium > /dev/null || missing+=(chromium)
[ -x /usr/sbin/nginx ] || missing+=(nginx-light)
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  printf 'tools: not root on Debian, so without %s: the tests that need them will say so\n' \
    "${missing[*]}" >&2
  exit 0
fi
printf 'tools: installing %s from Debian\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# A package's service must not start on this machine just because a test needs its program.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' > $policy
  chmod +x $policy
  made=1
fi
trap '[ -z "$made" ] || rm -f $policy' EXIT
apt-get update -qq > /dev/null
apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null 2>&1 ||
  printf 'tools: %s could not be installed; the tests that need them will say so\n' \
    "${missing[*]}" >&2
