"""What a case's page shows of its telephone verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.review import reason_codes, words
from services.review.case import Case
from services.review.telephone import HEARD, Telephone, script_of
from shared.events.lifecycle import State
from shared.parameters import load_telephone
from shared.web import Permission, Viewer
from shared.web.i18n import _, current_language


@dataclass(frozen=True, slots=True)
class Section:
    """What the page shows about calls. `why`: words of the findings that asked (message ids)."""

    asked: Telephone | None
    awaited: bool
    tone: str
    why: Sequence[str]
    may_record: bool
    may_order: bool
    opening: str
    questions: Sequence[str]
    closing: str
    outcomes: Sequence[tuple[str, str, str]]


def section_of(case: Case, viewer: Viewer, findings: Sequence[str]) -> Section | None:
    """The section for this viewer; None where nobody asked for a call and the viewer cannot either.
    findings: those that the viewer may see."""
    asked, terms, language = case.telephone, load_telephone(), current_language()
    mine = (
        case.state is State.MANUAL_REVIEW
        and case.proposal is None
        and case.claimed_by == viewer.staff_id
        and viewer.may_in(Permission.REVIEW_DECIDE, case.need_scope().branch)
    )
    if asked is None and not mine:
        return None
    awaited = asked is not None and not asked.ended
    heard = asked.last.heard if asked is not None and asked.last else ""
    reasons = asked.reasons if asked is not None else ()
    script = script_of(terms, case.need_scope().product, [*findings, *reasons])
    return Section(
        asked=asked,
        awaited=awaited,
        tone={"confirmed": "good", "contradicted": "bad"}.get(heard, "waiting"),
        why=[reason_codes.REASONS[code].words for code in reasons],
        may_record=mine and awaited,
        may_order=mine and not awaited,
        opening=terms.opening.in_language(language),
        questions=[one.words.in_language(language) for one in script],
        closing=terms.closing.in_language(language),
        outcomes=[
            (code, _(label), _(means)) for code in HEARD for label, means in [words.HEARD[code]]
        ],
    )
