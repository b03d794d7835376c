"""The officers of review, out of its copy of the staff."""

from __future__ import annotations

from typing import Any

from services.review.officers import Officer
from shared.web import Permission
from shared.web.directory import staff_with


async def officers(conn: Any) -> list[Officer]:
    """Everybody who may claim cases somewhere, by name."""
    return [Officer(member) for member in await staff_with(conn, Permission.REVIEW_CLAIM)]


async def officer(conn: Any, staff_id: str) -> Officer | None:
    """One of them."""
    return next((one for one in await officers(conn) if one.staff_id == staff_id), None)
