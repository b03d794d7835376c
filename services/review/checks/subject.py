"""Whom bureau and watchlists are asked about.

A card's number is one person's; a passport's is not without its country, and tells no birth.
"""

from __future__ import annotations

from collections.abc import Mapping

DOCUMENT_FIELDS = ("id_type", "nationality", "birth_date")
"""What goes with the number of who has a passport; of who has a card it need not be there."""


def subject(person: Mapping[str, str]) -> dict[str, str]:
    """Who is meant, out of the opened fields: {name of the field: its text}."""
    asked = {"name": person["name"], "id_number": person["id_number"]}
    if person.get("id_type") == "passport":
        asked |= {name: person[name] for name in DOCUMENT_FIELDS if name in person}
    return asked
