#!/usr/bin/env bash
# Renew requirements*.txt from pyproject.toml: every version pinned, every file by its hash, for
# Python 3.11 and later on any platform. No address is written, so that a pip with an index of its
# own (a ministry's mirror) installs the very same files. Pass --upgrade to move to newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."

UV="${UV:-uv}"
if ! command -v "$UV" >/dev/null; then
    echo "requirements: uv was not found. Install it in a venv of its own and set UV=path/to/uv." >&2
    exit 1
fi
options=(--quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate
         --no-emit-index-url --no-emit-find-links)
"$UV" pip compile pyproject.toml --extra build "${options[@]}" "$@" -o requirements.txt
"$UV" pip compile pyproject.toml --extra build --extra postgres "${options[@]}" "$@" \
    -c requirements.txt -o requirements-postgres.txt
"$UV" pip compile pyproject.toml --extra build --extra postgres --extra dev "${options[@]}" "$@" \
    -c requirements-postgres.txt -o requirements-dev.txt
if grep -nE '://|@ ' requirements*.txt; then
    echo "requirements: the lines above name an address; remove it before committing." >&2
    exit 1
fi
