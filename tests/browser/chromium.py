"""Where the browser is: Debian's Chromium, or another named by `BANKA_CHROMIUM`. The one without
windows comes first: it takes half of the processor's time."""

from __future__ import annotations

import os
import shutil

INSTALL = (
    "apt-get install --no-install-recommends chromium-headless-shell fonts-noto-cjk fontconfig"
)
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The browser's command; None where the machine has none."""
    named = os.environ.get("BANKA_CHROMIUM")
    if named:
        return shutil.which(named)
    return next((found for name in _NAMES if (found := shutil.which(name))), None)
