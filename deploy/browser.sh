#!/bin/sh
# The browser in which the pages are tested: Debian's Chromium without windows, which takes half of
# the processor's time, and a font with Chinese, in which they are measured. Both are installed here
# where root may; else whichever is there.
# Where no browser can be had nothing is said now: the tests' run ends with the line that installs it.
set -eu
found() {
    for name in "$@"; do
        if command -v "$name" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}
missing=
if ! found ${BANKA_CHROMIUM:-} chromium-headless-shell; then missing=chromium-headless-shell; fi
if ! found fc-list || ! fc-list :lang=zh-cn | grep -q .; then missing="$missing fonts-noto-cjk fontconfig"; fi
if [ -z "$missing" ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then exit 0; fi
printf 'banka: installing for the tests of the pages, from Debian: %s\n' "$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # names of packages
{ apt-get -qq update && apt-get -qq install --yes --no-install-recommends $missing; } >/dev/null ||
    found chromium chromium-browser google-chrome ||
    printf 'banka: Debian gave no Chromium; the pages will not be tested\n' >&2
