"""The font for what the office draws itself: the watermark on papers, and PDFs. See README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FONT: Final = Path(__file__).parent / "NotoSansCJKsc-names.ttf"
