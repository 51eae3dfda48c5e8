#!/usr/bin/env bash
# Bring Debian's prometheus for the tests of its meter. Never fails: without one those tests are
# skipped, and say so.
set -uo pipefail

command -v prometheus >/dev/null && exit 0

go_on() {
    echo "setup-prometheus: $*; the tests that ask a Prometheus will be skipped."
    exit 0
}

command -v apt-get >/dev/null || go_on "no prometheus here, and no apt-get to bring it"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    sudo -n true 2>/dev/null || go_on "no prometheus here (as root: apt-get install prometheus)"
    as_root=(sudo -n)
fi
echo "setup-prometheus: installing Debian's prometheus, since the tests ask a real one"
apt() {
    # The package would start a service of its own; the tests start theirs.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get -qq -y -o Dpkg::Use-Pty=0 "$@" >/dev/null 2>&1
}
packages=(install --no-install-recommends prometheus)
apt "${packages[@]}" || { apt update && apt "${packages[@]}"; } || go_on "apt-get could not install it"
