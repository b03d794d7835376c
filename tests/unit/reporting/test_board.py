"""The morning board tells each desk what to do, and who owes what to whom."""

from datetime import date, timedelta

import pytest

from services.reporting.board import last_working_day, make_board
from services.reporting.projections import find_silence
from shared.calendar import due_after, last_known_year
from shared.events import intake, review
from shared.parameters import load_clocks
from tests.unit.reporting.walks import MONDAY, Office

TUESDAY = MONDAY + timedelta(days=1)


def office_of_monday() -> Office:
    """One application waits for material, one for a reviewer; both were submitted on Monday."""
    office = Office()
    for name in ("owing", "reviewed"):
        office.happen(name, intake.ApplicationDrafted, MONDAY)
        office.happen(name, intake.ApplicationSubmitted, MONDAY)
        office.happen(name, intake.PreCheckStarted, MONDAY)
    office.happen(
        "owing",
        intake.MaterialRequested,
        MONDAY,
        items=[{"item": "work_proof", "code": "DOC_MISSING"}],
        deadline="2026-10-13T15:59:59Z",
    )
    office.happen("reviewed", intake.PreCheckPassed, MONDAY)
    office.happen("reviewed", review.ChecksCompleted, MONDAY)
    office.happen("reviewed", review.ApplicationReferred, MONDAY)
    return office


def test_yesterdays_results_are_those_of_the_last_working_day() -> None:
    office = office_of_monday()
    board = make_board(office.rows.values(), office.events, TUESDAY)
    assert board.yesterday == date(2026, 10, 12)
    assert board.results["submitted"].value == 2
    assert board.results["approved"].value == 0


def test_on_a_monday_the_results_of_the_weekend_are_told_too() -> None:
    assert last_working_day(date(2026, 10, 19)) == date(2026, 10, 16)
    office = Office()
    sunday = MONDAY + timedelta(days=6)
    office.happen("a", intake.ApplicationDrafted, sunday)
    office.happen("a", intake.ApplicationSubmitted, sunday)
    board = make_board(office.rows.values(), office.events, MONDAY + timedelta(days=7))
    assert board.results["submitted"].value == 1


def test_who_owes_which_material_and_that_it_is_due_today() -> None:
    office = office_of_monday()
    (owed,) = make_board(office.rows.values(), office.events, TUESDAY).owed
    assert owed.row.application_id == "owing"
    assert owed.row.wanted == [{"item": "work_proof", "code": "DOC_MISSING"}]
    assert owed.due_today
    monday = make_board(office.rows.values(), office.events, MONDAY)
    assert not monday.owed[0].due_today


def test_each_desk_sees_its_own_cases() -> None:
    office = office_of_monday()
    desks = {
        desk.name: desk for desk in make_board(office.rows.values(), office.events, TUESDAY).desks
    }
    assert (desks["assistant"].open, desks["assistant"].waiting_on_bank) == (1, 0)
    assert (desks["credit_review"].open, desks["credit_review"].waiting_on_bank) == (1, 1)
    assert sum(desk.open for desk in desks.values()) == 2


def test_a_case_is_due_on_its_last_day_and_silent_after_it() -> None:
    office = office_of_monday()
    row = office.row("reviewed")
    assert row.silence_due is not None
    morning = row.silence_due - timedelta(hours=14)
    board = make_board(office.rows.values(), office.events, morning)
    assert [due.application_id for due in board.due_today] == ["reviewed"]
    assert not board.stalled
    assert find_silence(row, row.silence_due) is not None
    (stalled,) = make_board(office.rows.values(), office.events, row.silence_due).stalled
    assert (stalled.desk, stalled.waiting_on) == ("credit_review", "bank")
    assert stalled.silent_for == row.silence_due - MONDAY
    assert not stalled.escalated


def test_what_is_silent_for_days_more_is_the_managers() -> None:
    office = office_of_monday()
    row = office.row("reviewed")
    assert row.silence_due is not None
    assert find_silence(row, row.silence_due) is not None
    days = load_clocks().escalation_working_days
    for more, escalated in ((days, False), (days + 1, True)):
        now = due_after(row.silence_due, more)
        (stalled,) = make_board(office.rows.values(), office.events, now).stalled
        assert stalled.escalated is escalated


def test_a_refused_card_fact_is_shown_to_operations_even_on_a_closed_case() -> None:
    office = office_of_monday()
    office.happen("reviewed", review.ApplicationDeclined, MONDAY)
    office.happen("reviewed", intake.CardFactRefused, MONDAY)
    board = make_board(office.rows.values(), office.events, TUESDAY)
    assert [row.application_id for row in board.refused] == ["reviewed"]
    later = make_board(office.rows.values(), office.events, MONDAY + timedelta(days=11))
    assert not later.refused


@pytest.mark.parametrize(("day", "left"), [((11, 1), None), ((11, 2), 59), ((12, 31), 0)])
def test_the_board_says_ahead_that_the_calendar_ends(
    day: tuple[int, int], left: int | None
) -> None:
    morning = MONDAY.replace(year=last_known_year(), month=day[0], day=day[1])
    assert make_board([], [], morning).calendar_days == left
