#!/usr/bin/env bash
# Installs this project, editable, into a virtual environment that is made when it is not there.
#     scripts/install.sh VENV REQUIREMENT [ALONE]
# REQUIREMENT is '.' or '.[test,lint]'; ALONE is a package to install without what it depends on.
# Uses uv when the machine has it, else any Python 3.11 or later with venv and pip.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
requirement=$2
alone=${3:-}

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Python 3.11 or later is needed; set PYTHON to one that is not on the PATH" >&2
    return 1
}

echo "Installing into $venv (once; it takes a minute or two) ..."
if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python)
    if command -v uv >/dev/null; then
        uv venv --quiet --python "$python" "$venv"
    elif ! "$python" -m venv "$venv" 2>/dev/null; then
        # Debian keeps ensurepip in a package of its own; the machine's pip can fill in for it.
        rm -rf "$venv"
        if ! { "$python" -m venv --without-pip "$venv" && "$python" -m pip --python "$venv/bin/python" install --quiet pip; }; then
            rm -rf "$venv"
            echo "This Python can make no virtual environment. On Debian: apt-get install python3-venv" >&2
            exit 1
        fi
    fi
fi
if command -v uv >/dev/null; then
    uv pip install --quiet --python "$venv/bin/python" --editable "$requirement"
    if [ -n "$alone" ]; then uv pip install --quiet --python "$venv/bin/python" --no-deps "$alone"; fi
else
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip --upgrade >/dev/null
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$requirement"
    if [ -n "$alone" ]; then
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$alone"
    fi
fi
