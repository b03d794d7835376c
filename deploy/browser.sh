#!/bin/sh
# The browser in which the pages are tested: Debian's Chromium without windows, which takes half of
# the processor's time, installed here where root may; else whichever is there.
# Where it cannot be had nothing is said now: the tests' run ends with the line that installs it.
set -eu
found() {
    for name in "$@"; do
        if command -v "$name" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}
if found ${BANKA_CHROMIUM:-} chromium-headless-shell; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then exit 0; fi
printf 'banka: installing Chromium from Debian for the tests of the pages\n' >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get -qq update &&
    apt-get -qq install --yes --no-install-recommends chromium-headless-shell; } >/dev/null ||
    found chromium chromium-browser google-chrome ||
    printf 'banka: Debian gave no Chromium; the pages will not be tested\n' >&2
