"""What cannot come over from another system."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.intake.imports import ImportedApplication, obstacle_to
from tests.unit.intake.builders import form

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("submitted", "since", "place", "code"),
    [
        (NOW - DAY, None, None, None),
        (NOW - DAY, NOW - DAY, None, None),
        (NOW + DAY, None, "/submitted_at", "in-future"),
        (NOW - DAY, NOW + DAY, "/state_since", "in-future"),
        (NOW - DAY, NOW - 2 * DAY, "/state_since", "before-submission"),
    ],
)
def test_no_application_comes_over_with_dates_that_cannot_be(
    submitted: datetime, since: datetime | None, place: str | None, code: str | None
) -> None:
    entry = ImportedApplication.model_validate(
        {
            **form().model_dump(mode="json"),
            "state": "checking",
            "submitted_at": submitted.isoformat(),
            "state_since": since and since.isoformat(),
        }
    )
    found = obstacle_to(entry, NOW) or {}
    assert (found.get("pointer"), found.get("code")) == (place, code)
