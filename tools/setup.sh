#!/usr/bin/env bash
# Make .venv (run: what the platform needs; dev: and what checks it). The Makefile calls this only
# when a requirement file is newer than the stamp that the last line leaves.
set -euo pipefail
cd "$(dirname "$0")/.."
part="${1:?run or dev}"

stop() {
    echo "setup: $*" >&2
    exit 1
}

# Two shells may ask at once; the second waits its turn and then finds little to do.
exec 9>.setup.lock
if command -v flock >/dev/null; then flock 9; fi

install() {
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input \
        --prefer-binary --require-hashes -r "$1" ||
        stop "pip could not install $1 (see above). It needs a package index it can reach; run" \
             "'make setup' again once it can."
}

if ! .venv/bin/python -c '' 2>/dev/null || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    command -v python3 >/dev/null ||
        stop "python3 was not found on PATH. On Debian: apt-get install python3 python3-venv"
    found="$(python3 -c 'import platform; print(platform.python_version())')"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "python3 on PATH is $found; Dure needs 3.11 or newer. Put a newer python3 first on PATH."
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        stop "python3 $found cannot make virtual environments. On Debian: apt-get install python3-venv"
    echo "setup: making .venv with Python $found"
    python3 -m venv --clear .venv
fi

if [[ $part == run ]]; then
    echo "setup: installing what the platform needs (a minute or two the first time)"
    install requirements.txt
    echo "setup: installing the dure command"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input \
        --no-deps --no-build-isolation -e .
    touch .venv/.setup
else
    echo "setup: installing what checks it (ruff, mypy, pytest, ...)"
    install requirements-dev.txt
    touch .venv/.setup-dev
fi
