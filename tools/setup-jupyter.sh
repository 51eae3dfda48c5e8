#!/usr/bin/env bash
# Bring Debian's Jupyter for the tests that open a real one. Never fails: without one those tests are
# skipped, and say so.
set -uo pipefail

for program in jupyter-lab jupyter-notebook jupyter-server; do
    command -v "$program" >/dev/null && exit 0
done

go_on() {
    echo "setup-jupyter: $*; the tests that open a Jupyter will be skipped."
    exit 0
}

command -v apt-get >/dev/null || go_on "no Jupyter here, and no apt-get to bring it"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    sudo -n true 2>/dev/null || go_on "no Jupyter here (as root: apt-get install jupyter-server python3-ipykernel)"
    as_root=(sudo -n)
fi
echo "setup-jupyter: installing Debian's jupyter-server and a kernel, since the tests open a real one"
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o Dpkg::Use-Pty=0 "$@" >/dev/null 2>&1
}
packages=(install --no-install-recommends jupyter-server python3-ipykernel)
apt "${packages[@]}" || { apt update && apt "${packages[@]}"; } || go_on "apt-get could not install it"
