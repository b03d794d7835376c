"""Tables as CSV that Excel opens as it is meant: its own character mark, and nothing that it would
compute."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from fastapi.responses import Response

# a spreadsheet computes what begins so
COMPUTED = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "'")


def neutral(text: str) -> str:
    """The text so that a spreadsheet neither computes it nor takes digits off it; `'` is what
    people write before such a cell, and is not read."""
    spoilt = text.isdigit() and (len(text) > 11 or text.startswith("0"))
    return f"'{text}" if spoilt or text.startswith(COMPUTED) else text


def csv_bytes(lines: Sequence[Sequence[str]]) -> bytes:
    """The cells as they are; whoever has not made them neutralises them first."""
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode("utf-8-sig")  # without the mark Excel takes it for another code


def download(lines: Sequence[Sequence[str]], name: str) -> Response:
    """The table as a file of that name, every cell neutral."""
    return Response(
        csv_bytes([[neutral(cell) for cell in line] for line in lines]),
        media_type="text/csv",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )
