#!/bin/sh
# Makes .venv from the lock: every file that is installed is checked against a hash of the lock.
# Run by `make setup`; needs nothing but a Python of 3.11 or later with its venv module.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'banka: %s\n' "$*" >&2; }

find_python() {
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

if ! python=$(find_python); then
    say "needs Python 3.11 or later, and PATH has none; on Debian: apt install python3 python3-venv"
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian leaves the module out; where root may, it is put in
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing python3-venv from Debian"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes \
            --no-install-recommends python3-venv; } >/dev/null || true
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "$python lacks the venv module; on Debian: apt install python3-venv"
        exit 1
    fi
fi

# A virtual environment of another, or since removed, Python is made anew.
if ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    rm -rf .venv
    "$python" -m venv .venv
fi

# The installer comes first, by the hash that the same lock gives for it.
wanted=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements-dev.lock)
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$wanted" ]; then
    sed -n '/^uv==/,/^    # /p' requirements-dev.lock >.venv/installer.lock
    if ! .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r .venv/installer.lock; then
        say "could not install uv $wanted with pip; is a package registry reachable? (pip config list)"
        exit 1
    fi
fi

# Compiled here, once: a dozen processes start from it, and some machines keep Python from doing so.
# uv is quick; pip knows the machine's own settings (mirror, proxy), so it is asked where uv cannot.
export VIRTUAL_ENV="$PWD/.venv" UV_PYTHON_DOWNLOADS=never
if ! .venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode requirements-dev.lock; then
    say "uv could not install the lock; trying pip, which takes longer"
    if ! .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes \
        -r requirements-dev.lock; then
        say "the packages of requirements-dev.lock could not be installed; is a registry reachable?"
        exit 1
    fi
fi
if ! .venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable . &&
    ! .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --editable .; then
    say "the checkout itself could not be installed into .venv; is it writable? (make clean, then again)"
    exit 1
fi
