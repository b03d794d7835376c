"""How personal values are shown to people who need to recognise but not to know them.

A value that does not have the expected form is masked whole: a mask never shows more than it may.
"""

from __future__ import annotations

HIDDEN = "***"


def mask_mobile(number: str) -> str:
    """`138****1234`."""
    return f"{number[:3]}****{number[-4:]}" if len(number) == 11 and number.isdigit() else HIDDEN


def mask_id_number(number: str) -> str:
    """`110***********0012`: the first 3 and the last 4 of 18 characters, or of 15; of a passport's,
    which are fewer, the last 3: `******567`."""
    if len(number) in (15, 18):
        return f"{number[:3]}{'*' * (len(number) - 7)}{number[-4:]}"
    is_passport = 7 <= len(number) <= 12 and number.isascii() and number.isalnum()
    return f"{'*' * (len(number) - 3)}{number[-3:]}" if is_passport else HIDDEN


def mask_card(number: str) -> str:
    """`**** 1234`: the last 4 digits only."""
    return f"**** {number[-4:]}" if len(number) >= 13 and number.isdigit() else HIDDEN


def mask_name(name: str) -> str:
    """`张*`, `欧**`; Latin names keep their first letter."""
    name = name.strip()
    return name[0] + "*" * min(len(name) - 1, 3) if len(name) > 1 else HIDDEN


def mask_email(address: str) -> str:
    """`l***@example.cn`."""
    user, at, domain = address.partition("@")
    return f"{user[0]}***@{domain}" if user and at and domain else HIDDEN


def mask_address(address: str) -> str:
    """The first 6 characters (province, city), the rest hidden."""
    address = address.strip()
    return address[:6] + "****" if len(address) > 12 else HIDDEN
