#!/usr/bin/env bash
# Bring Debian's chromium and a Korean font for the browser tests. Never fails: without a browser
# those tests are skipped, and say so.
set -uo pipefail

found="$(command -v chromium || command -v chromium-browser || true)"
[[ -n $found || -n ${DURE_CHROMIUM:-} ]] && exit 0

go_on() {
    echo "setup-browser: $*; the browser tests will be skipped."
    exit 0
}

command -v apt-get >/dev/null || go_on "no chromium here, and no apt-get to bring it"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    sudo -n true 2>/dev/null || go_on "no chromium here (as root: apt-get install chromium fonts-noto-cjk)"
    as_root=(sudo -n)
fi
echo "setup-browser: installing Debian's chromium and fonts-noto-cjk, since the browser tests open real pages"
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o Dpkg::Use-Pty=0 "$@" >/dev/null 2>&1
}
packages=(install --no-install-recommends chromium fonts-noto-cjk)
# A fresh machine has no package lists yet, an old one has lists that name files since replaced.
apt "${packages[@]}" || { apt update && apt "${packages[@]}"; } || go_on "apt-get could not install chromium"
