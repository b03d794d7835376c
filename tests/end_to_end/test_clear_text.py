"""The search for personal data sees through what a place wraps around it, and is not misled."""

import base64
import gzip
import io
import json
from decimal import Decimal

import pytest
from openpyxl import Workbook

from tests.end_to_end.clear_text import Secrets

SECRETS = Secrets({"王芳", "13900001234", "恒远科技有限公司"})
CARD = "6212345678901232"


def _workbook(*cells: str | int) -> bytes:
    book = Workbook()
    assert book.active is not None
    book.active.append(cells)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("call 13900001234 now", {"13900001234"}),
        (b'{"employer":"\xe6\x81\x92\xe8\xbf\x9c' + "科技有限公司".encode() + b'"}',
         {"恒远科技有限公司"}),
        (json.dumps({"employer": "恒远科技有限公司"}), {"恒远科技有限公司"}),  # escaped
        ('{"name": "王芳"}', {"王芳"}),
        (json.dumps({"name": "王芳"}), {"王芳"}),
        ("1101,王芳,standard", {"王芳"}),
        ("name=王芳", {"王芳"}),
        ("尊敬的王芳女士：", {"王芳女士"}),
        (["x", ("y", {"z": "王芳"})], {"王芳"}),
        (gzip.compress("王芳".encode()), {"王芳"}),
        (_workbook("王芳", 13900001234), {"王芳", "13900001234"}),
        (gzip.compress(_workbook("王芳")), {"王芳"}),
        (json.dumps([["ce_subject", _base64("王芳")]]), {"王芳"}),
        (json.dumps([["ce_subject", _base64('{"mobile":"13900001234"}')]]), {"13900001234"}),
        (base64.urlsafe_b64encode(_workbook("王芳")).decode(), {"王芳"}),
        (f"card {CARD}.", {CARD}),
        (int(CARD), {CARD}),
        (Decimal(CARD), {CARD}),
        ("6212 3456 7890 1232", {"6212 3456 7890 1232"}),
        ("6212-3456-7890-1232", {"6212-3456-7890-1232"}),
        (_workbook(int(CARD)), {CARD}),
    ],
    # what was packed is other bytes each second, and processes side by side want the same names
    ids=lambda _: "case",
)  # fmt: skip
def test_what_is_in_clear_is_seen(content: object, found: set[str]) -> None:
    assert SECRETS.in_clear(content) == found


@pytest.mark.parametrize(
    "content",
    [
        None,
        "北京市王芳路1号",  # a name of two characters within another text
        "6212345678901233",  # no Luhn number
        "4212345678901237",  # of another bank
        f"1{CARD}",
        f"a{CARD}",  # a digest may hold anything
        b"\x1f\x8b broken",
        b"PK\x03\x04 broken",
        "applications",
    ],
)
def test_what_only_looks_like_it_is_passed_over(content: object) -> None:
    assert SECRETS.in_clear(content) == set()
