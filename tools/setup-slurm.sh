#!/usr/bin/env bash
# Bring Debian's Slurm for the tests that run jobs on a real one. Never fails: without it those tests
# are skipped, and say so. Its services are not started: a test starts its own on loopback.
set -uo pipefail

have() {
    command -v slurmctld && command -v slurmd && command -v munged && command -v openssl
} >/dev/null
have && exit 0

go_on() {
    echo "setup-slurm: $*; the tests on a real Slurm will be skipped."
    exit 0
}

command -v apt-get >/dev/null || go_on "no Slurm here, and no apt-get to bring it"
[[ $(id -u) -eq 0 ]] || go_on "no Slurm here, and its daemons want root (apt-get install slurm-wlm munge openssl)"
echo "setup-slurm: installing Debian's slurm-wlm, munge and openssl, since some tests run jobs on a real Slurm"
# Debian would start a cluster of its own beside ours.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && trap 'rm -f "$policy"' EXIT
fi
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 "$@" >/dev/null 2>&1
}
packages=(install --no-install-recommends slurm-wlm munge openssl)
apt "${packages[@]}" || { apt update && apt "${packages[@]}"; } || go_on "apt-get could not install slurm-wlm"
