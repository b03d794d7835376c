"""What a customer sees and may do; the rest of the page stands in the integration tests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.intake.application import Application, Withdrawal
from services.intake.checklist import Line
from services.intake.customer_view import (
    SAYS,
    may_withdraw,
    shown,
    state_outside,
    steps,
    wanted_fields,
    wanted_of,
)
from services.intake.items import ItemState
from shared.events.lifecycle import State
from shared.events.payload import PartyRole

NOW = datetime(2026, 10, 12, tzinfo=UTC)


def app(state: State, **more: object) -> Application:
    return Application("1", state=state, **more)  # type: ignore[arg-type]


def line(
    item: str, state: ItemState, *reasons: tuple[str, str | None], documents: tuple[str, ...] = ()
) -> Line:
    return Line(
        party="applicant",
        item=item,
        state=state,
        need="mandatory",
        group=None,
        reasons=reasons,
        documents=documents,
        taken_from=None,
        asked=0,
        asked_again=0,
        waiver=None,
        since=None,
        by="intake",
    )


@pytest.mark.parametrize("state", State)
def test_every_state_is_told_in_words(state: State) -> None:
    assert SAYS[state_outside(app(state))]


@pytest.mark.parametrize("state", [State.SCORING, State.MANUAL_REVIEW, State.ON_HOLD])
def test_what_review_does_is_one_step_to_a_customer(state: State) -> None:
    assert steps(app(state)) == steps(app(State.CHECKING))
    assert state_outside(app(state)) is State.CHECKING


@pytest.mark.parametrize(
    ("state", "now"),
    [
        (State.DRAFT, 0),
        (State.AWAITING_MATERIAL, 1),
        (State.CHECKING, 2),
        (State.CARD_PRODUCING, 4),
        (State.DELIVERED, 5),
        (State.IN_USE, None),
    ],
)
def test_how_far_it_is(state: State, now: int | None) -> None:
    progress = [progress for _label, progress in steps(app(state))]
    assert progress == ["done" if now is None or n < now else "now" if n == now else "ahead"
                        for n in range(6)]  # fmt: skip


@pytest.mark.parametrize("state", [State.DECLINED, State.WITHDRAWN, State.EXPIRED])
def test_an_end_without_a_card_has_no_way_to_show(state: State) -> None:
    assert steps(app(state)) == []


MISSING = line("id_front", ItemState.WANTED, ("DOC_MISSING", None))
WRONG_FIELD = line(
    "application_form_signed", ItemState.RETURNED, ("MOBILE_FORM", "mobile"), documents=("1",)
)
OTHER_NAME = line("id_front", ItemState.RETURNED, ("NAME_MISMATCH", None), documents=("1",))
NO_CONSENT = line("credit_authorization", ItemState.WANTED, ("NO_CREDIT_AUTH", None))
RECEIVED = line("id_back", ItemState.RECEIVED, documents=("1",))
ACCEPTED = line("id_back", ItemState.ACCEPTED, documents=("1",))


@pytest.mark.parametrize(
    ("one", "bring", "again", "fields", "agree"),
    [
        (MISSING, True, False, (), False),
        (WRONG_FIELD, False, False, ("mobile",), False),
        (OTHER_NAME, True, False, ("name",), False),
        (NO_CONSENT, False, False, (), True),
        (RECEIVED, False, True, (), False),
        (ACCEPTED, False, False, (), False),
    ],
)
def test_what_may_be_done_about_an_item(
    one: Line, bring: bool, again: bool, fields: tuple[str, ...], agree: bool
) -> None:
    (seen,) = shown(app(State.AWAITING_MATERIAL), [one])
    assert (seen.bring, seen.again, seen.fields, seen.agree) == (bring, again, fields, agree)
    (later,) = shown(app(State.PRE_CHECK), [one])
    assert (later.bring, later.again, later.fields, later.agree) == (False, False, (), False)


def test_fields_are_asked_for_once_in_the_forms_order() -> None:
    both = line("id_front", ItemState.RETURNED, ("ID_FORM", "id_number"), ("NAME_FORM", "name"))
    items = shown(app(State.DRAFT), [both, OTHER_NAME])
    assert wanted_fields(items) == ["name", "id_number"]


def test_a_field_is_asked_for_of_the_person_of_whom_it_is_wrong() -> None:
    both = line("id_front", ItemState.RETURNED, ("ID_FORM", "id_number"), ("NAME_FORM", "name"))
    items = shown(app(State.DRAFT), [both, OTHER_NAME])
    faults = {
        (PartyRole.GUARDIAN, "ID_FORM", "id_number"),
        (PartyRole.CONTACT, "NAME_FORM", "name"),
        (PartyRole.CONTACT, "ID_LAPSED", "id_number"),
    }
    assert wanted_of(items, faults) == {
        PartyRole.APPLICANT: ["name"],  # by the paper, which is the applicant's
        PartyRole.GUARDIAN: ["id_number"],
        PartyRole.CONTACT: ["name"],
    }
    assert wanted_of(items, ()) == {PartyRole.APPLICANT: ["name", "id_number"]}


@pytest.mark.parametrize(
    ("state", "outcome", "may"),
    [
        (State.AWAITING_MATERIAL, None, True),
        (State.ON_HOLD, None, True),
        (State.CHECKING, "asked", False),
        (State.APPROVED, "refused", True),
        (State.CARD_PRODUCING, None, False),
        (State.WITHDRAWN, None, False),
    ],
)
def test_until_when_one_may_withdraw(state: State, outcome: str | None, may: bool) -> None:
    asked = Withdrawal("1", NOW, outcome=outcome) if outcome else None  # type: ignore[arg-type]
    assert may_withdraw(app(state, withdrawal=asked)) is may
