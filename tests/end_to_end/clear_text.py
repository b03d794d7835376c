"""Looks for personal data in clear, however a place has wrapped it up.

A value is read as text, and as what base64, gzip or a workbook in it holds. Long values are found
anywhere; names of two characters, which may be part of any Chinese text, only where they are a
whole value or somebody is addressed by them; card numbers by their form.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping

from shared.identifiers import luhn_check_digit

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_BETWEEN_VALUES = re.compile(r"[\W_]+")
_ADDRESSED = ("{}先生", "{}女士", "{}您好", "{}，您好")
# of the bank's own range, whole or in groups of four; digits within a word are no card number
_CARD = re.compile(r"(?<![0-9A-Za-z])62\d{2}(?:([ -]?)\d{4})(?:\1\d{4}){2}(?![0-9A-Za-z])")


class Secrets:
    """What must not be read anywhere: `values`, and every card number."""

    def __init__(self, values: Iterable[str]) -> None:
        wanted = set(values)
        self._short = {value for value in wanted if len(value) <= 2}
        addressed = {form.format(name) for name in self._short for form in _ADDRESSED}
        long = sorted((wanted - self._short) | addressed)
        self._long = re.compile("|".join(map(re.escape, long)) or r"(?!)")

    def in_clear(self, content: object) -> set[str]:
        """The secrets that `content` shows: bytes, text, a number, or many of them."""
        found: set[str] = set()
        for text in readings(content):
            found.update(self._long.findall(text))
            found |= self._short.intersection(_BETWEEN_VALUES.split(text))
            found.update(match[0] for match in _CARD.finditer(text) if _is_card(match[0]))
        return found


def readings(content: object) -> Iterator[str]:
    """Every text that `content` can be read as."""
    match content:
        case None:
            return
        case bytes():
            yield from _of_bytes(content)
        case str():
            yield from _of_text(content)
        case Mapping():
            yield from readings([*content.keys(), *content.values()])
        case Iterable():
            for one in content:
                yield from readings(one)
        case _:
            yield str(content)


def _of_bytes(content: bytes) -> Iterator[str]:
    try:
        if content.startswith(b"\x1f\x8b"):
            yield from readings(gzip.decompress(content))
            return
        if content.startswith(b"PK\x03\x04"):  # a workbook is an archive of XML
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield from readings([name, archive.read(name)])
            return
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
        pass  # it only begins like one
    yield from _of_text(content.decode("utf-8", "replace"))


def _of_text(text: str) -> Iterator[str]:
    yield text
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    if plain != text:
        yield plain
    for token in set(_BASE64.findall(text)):
        body = token.rstrip("=").translate(_URL_SAFE)
        try:
            content = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        except binascii.Error:
            continue
        if content.startswith((b"\x1f\x8b", b"PK\x03\x04")) or _is_text(content):
            yield from _of_bytes(content)


_URL_SAFE = str.maketrans("-_", "+/")


def _is_text(content: bytes) -> bool:
    """Most words are base64 of something, but of no text."""
    try:
        return bool(re.fullmatch(r"[^\x00-\x08\x0e-\x1f\x7f]+", content.decode("utf-8")))
    except UnicodeDecodeError:
        return False


def _is_card(number: str) -> bool:
    digits = re.sub(r"\D", "", number)
    return luhn_check_digit(digits[:-1]) == digits[-1]
