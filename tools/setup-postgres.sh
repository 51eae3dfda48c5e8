#!/usr/bin/env bash
# Bring Debian's PostgreSQL for the tests of ledgers in a database; they start a server of their own
# in a temporary directory. Never fails: without it those tests are skipped, and say so.
set -uo pipefail

compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && exit 0

go_on() {
    echo "setup-postgres: $*; the tests of ledgers in a database will be skipped."
    exit 0
}

command -v apt-get >/dev/null || go_on "no PostgreSQL here, and no apt-get to bring it"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    sudo -n true 2>/dev/null || go_on "no PostgreSQL here (as root: apt-get install postgresql)"
    as_root=(sudo -n)
fi
echo "setup-postgres: installing Debian's postgresql, since tests keep ledgers in a real one"
# The package's own cluster is not wanted: it would start a server for nobody.
"${as_root[@]}" mkdir -p /etc/postgresql-common
[[ -e /etc/postgresql-common/createcluster.conf ]] ||
    echo "create_main_cluster = false" |
    "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o Dpkg::Use-Pty=0 "$@" >/dev/null 2>&1
}
packages=(install --no-install-recommends postgresql)
# A fresh machine has no package lists yet, an old one has lists that name files since replaced.
apt "${packages[@]}" || { apt update && apt "${packages[@]}"; } ||
    go_on "apt-get could not install postgresql"
