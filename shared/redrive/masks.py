"""What an operator may see of a payload or an error: its shape and its codes, nobody's data."""

from __future__ import annotations

import json
import re
from typing import Any

from shared.observability import mask_numbers

#: keys whose values are codes or identifiers and may be shown
_SHOWN = (
    "id", "ids", "type", "code", "codes", "reason", "status", "state", "version", "product",
    "channel", "branch", "region", "role", "item", "name_of_field", "currency", "minor", "at",
    "deadline", "round",
)  # fmt: skip
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,79}")  # what a code, an id or an instant may be
_LONG_NUMBER = re.compile(r"\d{8,}")  # a person's, as far as anybody can tell
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_QUOTED = re.compile(r"([\"'])(?![a-z][a-z0-9_.-]{0,60}\1).*?\1")
_HAN = re.compile("[\u3400-\u9fff]+")


def masked_payload(body: bytes | None) -> Any:
    """A payload's shape with its codes and ids; every other text is masked."""
    try:
        return _masked(json.loads(body or b""), "")
    except (ValueError, RecursionError):
        return f"({len(body or b'')} bytes that are not JSON)"


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        # names of fields are whatever the sender made of them
        return {
            name if _is_code(name) else "…": _masked(item, name) for name, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, key) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    named = key in _SHOWN or key.endswith(("_id", "_at", "_code", "_version", "_type"))
    return value if named and _is_code(str(value)) else "…"


def _is_code(text: str) -> bool:
    """A code, an id or an instant, and no number that could be a person's."""
    return bool(_CODE.fullmatch(text)) and not _LONG_NUMBER.search(_ID.sub("", text))


def masked_line(text: str) -> str:
    """An error's line, or a key, without what could be a person's: numbers, quotations, names."""
    return _HAN.sub("…", _QUOTED.sub(r"\1…\1", mask_numbers(text)))


def masked_result(result: str | None) -> Any:
    """[kind of answer, its values masked]"""
    if result is None:
        return None
    name, values = json.loads(result)
    return [name, _masked(values, "")]
