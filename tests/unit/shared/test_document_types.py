"""A paper is what its bytes say, whatever its name."""

from __future__ import annotations

import pytest

from shared.documents import LARGEST_DOCUMENT, DocumentRefusedError, check_document

PDF = b"%PDF-1.4\n...\n%%EOF\n"
JPEG = b"\xff\xd8\xff\xe0...\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n....IEND\xaeB`\x82"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(PDF, "application/pdf"), (JPEG, "image/jpeg"), (PNG, "image/png")],
)
def test_the_three_types_are_known_by_content(content: bytes, media_type: str) -> None:
    assert check_document(content) == media_type


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"GIF89a", "unknown_type"),
        (b"<html>%PDF-", "unknown_type"),
        (PDF[:-6], "damaged"),
        (JPEG[:-1], "damaged"),
        (PNG[:12], "damaged"),
        (b"%PDF-" + b"0" * LARGEST_DOCUMENT, "too_large"),
    ],
)
def test_anything_else_is_refused_with_a_code(content: bytes, code: str) -> None:
    with pytest.raises(DocumentRefusedError) as refused:
        check_document(content)
    assert refused.value.code == code
