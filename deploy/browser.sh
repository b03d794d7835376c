#!/bin/sh
# The browser in which the pages are tested: Debian's Chromium, installed here where root may.
# Where it cannot be had nothing is said now: the tests' run ends with the line that installs it.
set -eu
for name in ${BANKA_CHROMIUM:-} chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then exit 0; fi
printf 'banka: installing Chromium from Debian for the tests of the pages\n' >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null ||
    printf 'banka: Debian gave no Chromium; the pages will not be tested\n' >&2
