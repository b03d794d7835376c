"""The read model says of each application what its events said, and nothing personal."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings

from services.reporting.handlers import SILENCE, on_lifecycle_event, on_silence
from services.reporting.projections import (
    ApplicationRow,
    Seen,
    apply_case,
    find_silence,
    limit_band,
)
from shared.events import intake, lifecycle, notify, reporting, review
from shared.events.catalog import EVENTS
from shared.events.payload import FIELD_CLASSES, Payload
from shared.messaging import ClearDeadline, Deadline, Fact, Received
from shared.messaging.errors import Permanent
from shared.money import Money
from tests.unit.reporting.walks import MONDAY, Office, Step, example, live, payload, walks

ID = "application-0"


def received(what: type[Payload], at=MONDAY, *, offset: int = 0, origin: str = "live", **changes):  # type: ignore[no-untyped-def]
    """An event as the kernel hands it to a handler."""
    return Received(
        id=f"event-{offset}",
        type=what.type,
        source="/banka/intake",
        subject=ID,
        time=at,
        recorded_time=at,
        sequence=offset + 1,
        state_version=None,
        causation_id=None,
        correlation_id="c",
        traceparent=None,
        origin=origin,
        data=payload(what.type, **changes),
        topic=what.topic,
        partition=0,
        offset=offset,
    )


def submitted(office: Office) -> ApplicationRow:
    office.happen(ID, intake.ApplicationDrafted, MONDAY)
    office.happen(ID, intake.ApplicationSubmitted, MONDAY)
    office.happen(ID, intake.PreCheckStarted, MONDAY)
    return office.row(ID)


@given(walks())
@settings(max_examples=150)
def test_any_legal_walk_ends_in_the_state_that_the_lifecycle_says(steps: list[Step]) -> None:
    office = Office()
    live(office, [steps])
    state, moved = None, 0
    for step in steps:
        transition = lifecycle.advance(state, step.payload)
        state, moved = transition.state, moved + transition.moves
    row = office.row(ID)
    assert row.state == state
    assert row.state_version == moved
    assert [event.type for event in office.events] == [step.payload.type for step in steps]
    assert office.events[-1].state_after == state
    assert (row.closed_at is not None) == (state in lifecycle.TERMINAL)


@given(walks())
@settings(max_examples=100)
def test_all_time_since_the_beginning_was_spent_waiting_for_somebody(steps: list[Step]) -> None:
    office = Office()
    live(office, [steps])
    row = office.row(ID)
    moves = [event for event in office.events if event.moves]
    assert row.since == moves[-1].time
    assert sum(row.waited.values()) == int((moves[-1].time - moves[0].time).total_seconds())


@given(walks())
@settings(max_examples=100)
def test_what_is_kept_of_an_event_holds_no_personal_field(steps: list[Step]) -> None:
    office = Office()
    live(office, [steps])
    for event in office.events:
        text = json.dumps(dict(event.facts))
        assert "ciphertext" not in text
        assert not set(event.facts) & (set(FIELD_CLASSES) | {"parties", "fields", "limit"})


def test_no_golden_example_leaves_an_amount_or_a_party_in_the_facts() -> None:
    from services.reporting.projections import clear_facts

    for event_type, model in EVENTS.items():
        if model.topic in {"banka.applications", "banka.contacts", "banka.cases"}:
            facts = clear_facts(model.model_validate(example(event_type)))
            assert "minor" not in json.dumps(facts)
            assert not set(facts) & {"parties", "limit", "requested_limit", "sha256"}


def test_an_impossible_event_is_parked_and_changes_nothing() -> None:
    row = ApplicationRow(ID)
    with pytest.raises(Permanent):
        list(on_lifecycle_event(received(intake.PreCheckPassed), row, MONDAY))
    assert row == ApplicationRow(ID)


def test_a_message_may_come_before_its_application() -> None:
    office = Office()
    kept = office.happen(ID, notify.MessageSent, MONDAY)
    assert kept.state_after is None
    assert office.row(ID).number is None
    row = submitted(office)
    assert row.state == "pre_check"
    assert [message.state for message in row.new_messages.values()] == ["sent"]


def test_owed_material_shrinks_with_each_paper_and_is_gone_when_complete() -> None:
    office = Office()
    row = submitted(office)
    items = [
        {"item": "work_proof", "code": "DOC_MISSING"},
        {"item": "income_proof", "code": "DOC_STALE"},
    ]
    office.happen(ID, intake.MaterialRequested, MONDAY, items=items)
    assert [item["item"] for item in row.wanted] == ["work_proof", "income_proof"]
    office.happen(ID, intake.DocumentReceived, MONDAY, item="work_proof")
    assert [item["item"] for item in row.wanted] == ["income_proof"]
    office.happen(ID, intake.MaterialCompleted, MONDAY)
    assert row.wanted == []
    assert row.wanted_deadline is None


def test_a_paper_mends_no_field_and_a_correction_only_what_it_names() -> None:
    office = Office()
    row = submitted(office)
    paper = {"item": "id_front", "code": "PHOTO_UNCLEAR"}
    digit = {"item": "id_front", "code": "ID_CHECK_DIGIT", "field": "id_number"}
    phone = {"item": "application_form_signed", "code": "PHONE_FORM", "field": "mobile"}
    signature = {"item": "application_form_signed", "code": "UNSIGNED"}
    office.happen(ID, intake.MaterialRequested, MONDAY, items=[paper, digit, phone, signature])
    office.happen(ID, intake.DocumentReceived, MONDAY, item="id_front")
    assert row.wanted == [digit, phone, signature]
    office.happen(ID, intake.ApplicationCorrected, MONDAY, fields=["mobile"], items=[])
    assert row.wanted == [digit, signature]
    office.happen(ID, intake.ApplicationCorrected, MONDAY, fields=["name"], items=["id_front"])
    assert row.wanted == [signature]
    assert row.new_events[-1].facts["mended"] == ["name"]


def test_every_event_row_says_which_product_version_it_was() -> None:
    office = Office()
    office.happen(ID, intake.ApplicationDrafted, MONDAY, product_version="2031.4")
    assert office.events[-1].product_version == "2031.4"


def test_each_move_sets_the_silence_clock_and_the_end_clears_it() -> None:
    row = ApplicationRow(ID)
    effects = list(on_lifecycle_event(received(intake.ApplicationDrafted), row, MONDAY))
    assert effects == [Deadline(SILENCE, MONDAY + timedelta(days=31))]
    ended = list(on_lifecycle_event(received(intake.ApplicationWithdrawn, offset=1), row, MONDAY))
    assert ended == [ClearDeadline(SILENCE)]


def test_a_late_reading_gives_the_backlog_time_before_it_raises_an_alarm() -> None:
    row = ApplicationRow(ID)
    now = MONDAY + timedelta(days=40)
    effects = list(on_lifecycle_event(received(intake.ApplicationDrafted), row, now))
    assert effects == [Deadline(SILENCE, now + timedelta(hours=1))]


def test_silence_is_reported_once_and_moving_again_is_reported() -> None:
    office = Office()
    row = submitted(office)
    assert row.silence_due is not None
    before = row.silence_due - timedelta(seconds=1)
    assert list(on_silence(row, before)) == []
    (fact,) = list(on_silence(row, row.silence_due))
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, reporting.CaseStalled)
    assert fact.data.desk == "assistant"
    assert fact.data.silent_since == MONDAY
    assert row.stalled
    assert list(on_silence(row, row.silence_due + timedelta(days=9))) == []
    effects = list(
        on_lifecycle_event(
            received(intake.PreCheckPassed, MONDAY + timedelta(days=12), offset=9), row, MONDAY
        )
    )
    resumed = [e for e in effects if isinstance(e, Fact)]
    assert [type(fact.data) for fact in resumed] == [reporting.CaseResumed]
    assert not row.stalled


def test_a_milestone_does_not_resume_a_stalled_case() -> None:
    office = Office()
    row = submitted(office)
    assert row.silence_due is not None
    assert find_silence(row, row.silence_due) is not None
    effects = list(
        on_lifecycle_event(
            received(intake.DocumentReceived, MONDAY + timedelta(days=12), offset=9), row, MONDAY
        )
    )
    assert effects == [ClearDeadline(SILENCE)]
    assert row.stalled


def test_our_own_reminder_does_not_end_a_silence() -> None:
    office = Office()
    row = submitted(office)
    office.happen(ID, intake.MaterialRequested, MONDAY)
    due = row.silence_due
    office.happen(ID, intake.MaterialReminded, MONDAY + timedelta(days=5))
    assert row.silence_due == due
    office.happen(ID, intake.DocumentReceived, MONDAY + timedelta(days=5))
    assert row.silence_due is not None
    assert due is not None
    assert row.silence_due > due


def test_an_imported_application_raises_no_alarm() -> None:
    row = ApplicationRow(ID)
    event = received(intake.ApplicationImported, origin="imported", state="manual_review")
    assert list(on_lifecycle_event(event, row, MONDAY + timedelta(days=90))) == [
        ClearDeadline(SILENCE)
    ]
    assert row.state == "manual_review"
    assert find_silence(row, MONDAY + timedelta(days=200)) is None


def test_a_stalled_case_read_before_its_application_is_stalled_once_it_is_there() -> None:
    office = Office()
    row = office.row(ID)
    data = payload(
        reporting.CaseStalled.type, application_id=ID, state="pre_check", state_version=3
    )
    seen = Seen("banka.cases", 0, 0, "x", data.type, "/banka/reporting", ID, MONDAY, MONDAY)
    apply_case(row, seen, data)
    assert not row.stalled
    submitted(office)
    assert row.stalled


def test_a_refused_card_fact_is_counted_and_moves_nothing() -> None:
    office = Office()
    row = submitted(office)
    office.happen(ID, intake.CardFactRefused, MONDAY)
    assert (row.state, row.refused_facts, row.refused_at) == ("pre_check", 1, MONDAY)


def test_a_decline_leaves_its_category_and_an_approval_its_band() -> None:
    office = Office()
    row = submitted(office)
    office.happen(ID, intake.PreCheckPassed, MONDAY)
    office.happen(ID, review.ChecksCompleted, MONDAY)
    office.happen(ID, review.ApplicationDeclined, MONDAY, category="credit_history")
    assert (row.state, row.decline_category) == ("declined", "credit_history")


@pytest.mark.parametrize(
    ("yuan", "band"),
    [(0, "0-9999"), (9_999, "0-9999"), (10_000, "10000-29999"), (99_999, "50000-99999"),
     (100_000, "100000+")],
)  # fmt: skip
def test_a_limit_is_kept_as_a_band(yuan: int, band: str) -> None:
    assert limit_band(Money(minor=yuan * 100)) == band
