"""What all payloads have in common."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.events.payload import CreditConsent, Instant


def test_an_instant_goes_out_in_utc_whatever_offset_it_came_with() -> None:
    consent = CreditConsent.model_validate(
        {"signed_at": "2026-10-12T09:30:00+08:00", "purpose": "credit card"}
    )
    assert '"signed_at":"2026-10-12T01:30:00Z"' in consent.model_dump_json()


@pytest.mark.parametrize("text", ["2026-10-12T09:30:00", "0001-01-01T00:00:00+08:00"])
def test_an_instant_without_an_offset_or_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="instant"):
        TypeAdapter(Instant).validate_python(text)
