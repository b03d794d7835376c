"""三亲见: did somebody of the bank see the customer, the original ID and the signing?

Ground: 商业银行信用卡业务监督管理办法 2011, Art. 42, no approval while what the bank has to see for
itself is missing. Made where the product demands it (`pre_check.meeting`), from the record that the
hand-over brings; no system is asked. Absence: nobody is approved, a person decides and may want
the meeting through intake.
"""

from __future__ import annotations

from services.review.checks.kind import CheckKind
from shared.events.intake import Meeting
from shared.web.i18n import mark


def complete(meeting: Meeting | None) -> bool:
    """Whether all three were seen, and by whom is known."""
    return (
        meeting is not None
        and meeting.saw_person
        and meeting.saw_original
        and meeting.saw_signing
        and bool(meeting.staff_id)
    )


CHECK = CheckKind(
    name="meeting",
    title=mark("Seen in person"),
    basis="商业银行信用卡业务监督管理办法 2011, 42",
    absence="MEETING_INCOMPLETE",
)
