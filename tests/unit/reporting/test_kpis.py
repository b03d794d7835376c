"""Every figure is the number of its events, and parts sum to their whole."""

from datetime import date, timedelta
from io import BytesIO
from itertools import pairwise

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reporting import kpis
from services.reporting.reports.daily import DailyReport, make_daily_report
from services.reporting.reports.excel import write_workbook
from services.reporting.reports.manifest import (
    Cut,
    Manifest,
    Parked,
    Position,
    changed_since,
    make_manifest,
)
from shared.calendar import end_of_day
from shared.events import intake, notify, reporting, review
from shared.events.lifecycle import OWNERS
from shared.events.payload import Payload
from tests.unit.reporting.walks import MONDAY, Office, Step, live, walks

DAY = date(2026, 10, 16)
FRIDAY_NIGHT = MONDAY + timedelta(days=5)


def decided(
    office: Office, name: str, *, hours: int = 5, category: str | None = None, branch: str = "3101"
) -> None:
    """An application that is submitted on Monday and decided so many hours later."""
    at = MONDAY
    office.happen(name, intake.ApplicationDrafted, at, branch=branch)
    office.happen(name, intake.ApplicationSubmitted, at, branch=branch)
    office.happen(name, intake.PreCheckStarted, at, branch=branch)
    office.happen(name, intake.PreCheckPassed, at, branch=branch)
    office.happen(name, review.ChecksCompleted, at, branch=branch)
    end = at + timedelta(hours=hours)
    if category is None:
        office.happen(name, review.ApplicationApproved, end, branch=branch)
    else:
        office.happen(name, review.ApplicationDeclined, end, branch=branch, category=category)


def report_of(office: Office, day: date = date(2026, 10, 12)) -> DailyReport:
    return make_daily_report(office.events, day, MONDAY + timedelta(days=60))


@given(st.lists(walks(), min_size=1, max_size=6))
@settings(max_examples=60)
def test_sums_hold_for_whatever_happened(lives: list[list[Step]]) -> None:
    office = Office()
    live(office, lives)
    report = make_daily_report(office.events, DAY, FRIDAY_NIGHT)
    for figure in report.figures.values():
        if figure.unit == "count":
            assert figure.value == len(figure.events)
    for place in (0, 1):
        whole = (report.headline["declined"], report.declined_in_window)[place]
        assert sum(pair[place].value or 0 for pair in report.declines.values()) == whole.value
    by_region = sum(day.value or 0 for day, _window in report.regions.values())
    assert by_region == report.headline["submitted"].value
    steps = [figure.value or 0 for figure in report.funnel]
    assert steps[0] == max(steps)
    known = {e.application_id for e in office.events if e.time <= FRIDAY_NIGHT}
    ended = {
        e.application_id
        for e in office.events
        if e.time <= FRIDAY_NIGHT and e.moves and e.state_after not in OWNERS
    }
    assert sum(figure.value or 0 for figure in report.stock.values()) == len(known - ended)


@given(st.lists(walks(), min_size=1, max_size=5), st.randoms())
@settings(max_examples=40)
def test_a_report_does_not_depend_on_the_order_in_which_rows_are_read(
    lives: list[list[Step]], random: object
) -> None:
    office = Office()
    live(office, lives)
    shuffled = list(office.events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert make_daily_report(shuffled, DAY, FRIDAY_NIGHT) == make_daily_report(
        office.events, DAY, FRIDAY_NIGHT
    )


def test_declines_are_counted_by_category_and_sum_up() -> None:
    office = Office()
    for number, category in enumerate(
        ["credit_history", "credit_history", "eligibility", "internal"]
    ):
        decided(office, f"a{number}", category=category)
    decided(office, "approved")
    report = report_of(office)
    counts = {category: pair[0].value for category, pair in report.declines.items()}
    assert counts["credit_history"] == 2
    assert counts["eligibility"] == counts["internal"] == 1
    assert sum(value or 0 for value in counts.values()) == 4
    assert report.figures["rate.approval"].value == pytest.approx(1 / 5)


@given(st.lists(st.sampled_from([one.value for one in review.DeclineCategory]), max_size=12))
def test_whatever_was_declined_for_the_primary_reasons_sum_to_the_declines(
    categories: list[str],
) -> None:
    office = Office()
    for number, category in enumerate(categories):
        decided(office, f"a{number}", category=category)
    report = report_of(office)
    for place, whole in ((0, report.headline["declined"]), (1, report.declined_in_window)):
        parts = {name: pair[place].value or 0 for name, pair in report.declines.items()}
        assert sum(parts.values()) == whole.value == len(categories)
        assert parts == {name: categories.count(name) for name in parts}


def test_the_time_of_the_customer_is_no_time_of_the_bank() -> None:
    office = Office()
    at = MONDAY
    for what, after in (
        (intake.ApplicationDrafted, 0),
        (intake.ApplicationSubmitted, 1),
        (intake.PreCheckStarted, 0),
        (intake.MaterialRequested, 0),
        (intake.MaterialCompleted, 48),
        (intake.PreCheckPassed, 1),
        (review.ChecksCompleted, 1),
        (review.ApplicationApproved, 2),
    ):
        at += timedelta(hours=after)
        office.happen("a", what, at)
    tat = report_of(office, at.date()).tat_day
    assert tat.gross_median.value == 52 * 3600
    assert tat.net_median.value == 4 * 3600
    waiting = report_of(office, at.date()).waiting
    assert waiting["customer"].value == 48 * 3600


def test_an_application_is_submitted_once_however_often_it_is_looked_at() -> None:
    office = Office()
    decided(office, "a")
    decided(office, "b", branch="1101")
    report = report_of(office)
    assert report.headline["submitted"].value == 2
    assert {region: pair[0].value for region, pair in report.regions.items()} == {"11": 1, "31": 1}


def test_an_event_after_the_day_is_not_in_the_report_of_the_day() -> None:
    office = Office()
    decided(office, "a", hours=30)
    as_of = MONDAY + timedelta(hours=14, minutes=59)
    report = make_daily_report(office.events, date(2026, 10, 12), as_of)
    assert report.tat_day.decided.value == 0
    assert report.figures["stock.scoring"].value == 1


def test_imported_history_is_no_work_of_the_day() -> None:
    office = Office()
    office.happen("a", intake.ApplicationImported, MONDAY, origin="imported", state="manual_review")
    report = report_of(office)
    assert report.headline["submitted"].value == 0
    assert report.figures["stock.manual_review"].value == 1


def test_a_message_counts_once_in_the_state_it_has_reached() -> None:
    office = Office()
    decided(office, "a")
    office.happen("a", notify.MessageRequested, MONDAY, message_id="m1", channel="sms")
    office.happen("a", notify.MessageSent, MONDAY, message_id="m1", channel="sms")
    office.happen("a", notify.MessageRequested, MONDAY, message_id="m2", channel="sms")
    report = report_of(office)
    assert {key: figure.value for key, figure in report.messages.items()} == {
        ("sms", "requested"): 1,
        ("sms", "sent"): 1,
    }


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40))
def test_nine_in_ten_do_not_exceed_the_90th_percentile(values: list[int]) -> None:
    p90 = kpis.percentile_90(values)
    assert sum(value <= p90 for value in values) * 10 >= len(values) * 9
    assert p90 in values
    assert kpis.median(values) <= max(values)


def manifest_of(report: DailyReport, language: str = "zh-CN") -> Manifest:
    return make_manifest(
        kind="daily",
        day=report.day,
        as_of=report.as_of,
        zone="Asia/Shanghai",
        language=language,
        branches=["3101", "1101"],
        knows_holds=True,
        cut=Cut((Position("banka.applications", 0, 99),), (Parked("banka.contacts", 1, 7),)),
    )


def test_the_way_of_an_application_says_how_long_where_and_for_whom_it_waited() -> None:
    office = Office()
    hour = timedelta(hours=1)
    for what, hours in (
        (intake.ApplicationDrafted, 0),
        (intake.ApplicationSubmitted, 2),
        (intake.PreCheckStarted, 2),
        (intake.MaterialRequested, 3),
        # neither a message nor a paper ends a stay
        (notify.MessageRequested, 4),
        (intake.DocumentReceived, 9),
        (intake.MaterialCompleted, 10),
    ):
        office.happen("a", what, MONDAY + hours * hour)
    way = kpis.passages(office.events, MONDAY + 15 * hour)
    assert [
        (one.state.value, one.desk, one.waiting_on, one.seconds // 3600, one.until is None)
        for one in way
    ] == [
        ("draft", "assistant", "customer", 2, False),
        ("submitted", "assistant", "bank", 0, False),
        ("pre_check", "assistant", "bank", 1, False),
        ("awaiting_material", "assistant", "customer", 7, False),
        ("pre_check", "assistant", "bank", 5, True),
    ]
    assert way[3].since == MONDAY + 3 * hour
    assert way[3].until == MONDAY + 10 * hour
    office.happen("a", intake.ApplicationWithdrawn, MONDAY + 16 * hour)
    assert [one.until for one in kpis.passages(office.events, MONDAY + 20 * hour)].count(None) == 0


def test_the_rates_of_a_cohort_are_those_of_its_own_steps() -> None:
    begun = (intake.ApplicationDrafted, intake.ApplicationSubmitted, intake.PreCheckStarted)
    asked = (*begun, intake.MaterialRequested)
    at_once = (*begun, intake.PreCheckPassed, review.ChecksCompleted)
    mended = (*asked, intake.MaterialCompleted, intake.PreCheckPassed, review.ChecksCompleted)
    approved = (review.ApplicationApproved, intake.CardOrdered)
    lives = [
        begun,
        (*asked, intake.ApplicationExpired),
        asked,
        at_once,
        (*at_once, review.ApplicationDeclined),
        (*at_once, review.ApplicationApproved),
        (*at_once, *approved),
        (*at_once, *approved, intake.CardFirstUsed),
        (*mended, *approved),
        (*mended, *approved, intake.CardActivated, intake.CardFirstUsed),
    ]
    office = Office()
    for number, events in enumerate(lives):
        for what in events:
            office.happen(f"a{number}", what, MONDAY)
    rates = {figure.key: figure for figure in kpis.rates([*kpis.journeys(office.events).values()])}
    assert {key: (figure.value, len(figure.events)) for key, figure in rates.items()} == {
        "rate.material": (4 / 9, 9),
        "rate.first_pass": (5 / 9, 9),
        "rate.pre_check": (7 / 9, 9),
        "rate.approval": (5 / 6, 6),
        "rate.activation": (2 / 4, 4),
    }
    monday = kpis.Period(date(2026, 10, 12), date(2026, 10, 12))
    counted = {key: kpis.flow(key, office.events, monday).value for key in kpis.FLOWS}
    assert {key: value for key, value in counted.items() if value} == {
        "submitted": 10,
        "material_requested": 4,
        "pre_check_passed": 7,
        "approved": 5,
        "declined": 1,
        "expired": 1,
        "card_ordered": 4,
        "card_activated": 1,
        "card_first_used": 2,
    }


def test_each_time_that_a_customer_is_asked_again_counts() -> None:
    office = Office()
    for what in (intake.ApplicationDrafted, intake.ApplicationSubmitted, intake.PreCheckStarted):
        office.happen("a", what, MONDAY)
    for item in ("work_proof", "work_proof", "id_front"):
        told = office.happen("a", intake.ItemAskedAgain, MONDAY, item=item, codes=["NO_STAMP"])
    assert told.facts["items"] == [{"item": "id_front", "code": "NO_STAMP"}]
    assert (told.facts["asked_again"], told.facts["staff_id"]) == ("REVIEW_WISH", "R0101")
    monday = kpis.Period(date(2026, 10, 12), date(2026, 10, 12))
    assert kpis.flow("asked_again", office.events, monday).value == 3


APPEAL = {"appeal_id": "q", "appeal_number": "1-1"}
DISPUTE = {"dispute_id": "d", "dispute_number": "1-D1"}


def asked_after(office: Office, last: date = date(2026, 11, 30)) -> dict[str, float | None]:
    """{kind and what became of it: how often}, of what there is any of, up to that day."""
    period = kpis.Period(date(2026, 10, 12), last)
    as_of = end_of_day(last)
    known = [event for event in office.events if event.time <= as_of]
    found = kpis.after_decisions(known, period, as_of)
    assert all(figure.value == len(figure.events) for figure in found.values())
    return {f"{kind} {became}": one.value for (kind, became), one in found.items() if one.value}


@pytest.mark.parametrize(
    ("days", "answer", "counted"),
    [
        (10, "corrected", {"dispute in_time": 1, "dispute changed": 1}),
        (20, "annotated", {"dispute in_time": 1, "dispute upheld": 1}),
        (21, "upheld", {"dispute late": 1, "dispute upheld": 1}),
        (None, "", {"dispute overdue": 1}),
    ],
)
def test_a_dispute_is_answered_in_time_late_or_overdue_by_days_of_the_calendar(
    days: int | None, answer: str, counted: dict[str, int]
) -> None:
    office = Office()
    decided(office, "a", category="credit_history")
    for hours in (6, 7):  # asked for again: opened once
        at = MONDAY + timedelta(hours=hours)
        office.happen("a", review.DisputeOpened, at, **DISPUTE, days=20)
    if days is not None:
        at = MONDAY + timedelta(days=days)
        office.happen("a", review.DisputeAnswered, at, **DISPUTE, outcome=answer)
    assert asked_after(office) == {"dispute opened": 1, **counted}
    # on the last day nothing is overdue yet
    assert "dispute overdue" not in asked_after(office, date(2026, 11, 1))


@pytest.mark.parametrize(
    ("days", "answer", "counted"),
    [
        (1, "explained", {"appeal in_time": 1}),
        (21, "upheld", {"appeal in_time": 1, "appeal upheld": 1}),
        (22, "changed", {"appeal late": 1, "appeal changed": 1}),
        (None, "", {"appeal overdue": 1}),
    ],
)
def test_an_appeal_has_the_working_days_that_its_event_names(
    days: int | None, answer: str, counted: dict[str, int]
) -> None:
    office = Office()
    decided(office, "a", category="credit_history")
    office.happen("a", review.AppealOpened, MONDAY, **APPEAL, wish="human-review", working_days=15)
    if days is not None:
        at = MONDAY + timedelta(days=days)
        office.happen("a", review.AppealAnswered, at, **APPEAL, outcome=answer, automatic=True)
    assert asked_after(office) == {"appeal opened": 1, **counted}


def test_a_reconsideration_is_upheld_or_changed_by_the_new_decision() -> None:
    office = Office()
    for name, category in (("a", None), ("b", "internal"), ("c", None)):
        again = {} if name == "c" else {"reopens": "earlier"}
        office.happen(name, intake.ApplicationDrafted, MONDAY)
        office.happen(name, intake.ApplicationSubmitted, MONDAY, **again)
        office.happen(name, intake.PreCheckStarted, MONDAY)
        office.happen(name, intake.PreCheckPassed, MONDAY)
        office.happen(name, review.ChecksCompleted, MONDAY)
        if category is None:
            office.happen(name, review.ApplicationApproved, MONDAY)
        else:
            office.happen(name, review.ApplicationDeclined, MONDAY, category=category)
    assert asked_after(office) == {
        "reconsideration opened": 2,
        "reconsideration changed": 1,
        "reconsideration upheld": 1,
    }


@pytest.mark.parametrize("how", [intake.ApplicationWithdrawn, review.WithdrawalGranted])
def test_a_withdrawal_is_counted_whoever_let_the_application_go(how: type[Payload]) -> None:
    office = Office()
    begun: tuple[type[Payload], ...] = (
        intake.ApplicationDrafted,
        intake.ApplicationSubmitted,
        intake.PreCheckStarted,
    )
    if how is review.WithdrawalGranted:
        begun = (*begun, intake.PreCheckPassed)
    for what in (*begun, how):
        office.happen("a", what, MONDAY)
    monday = kpis.Period(date(2026, 10, 12), date(2026, 10, 12))
    assert kpis.flow("withdrawn", office.events, monday).value == 1


def busy_office() -> Office:
    office = Office()
    decided(office, "a")
    decided(office, "b", category="credit_history", branch="1101")
    decided(office, "c", hours=20, category="eligibility", branch="4401")
    office.happen("a", notify.MessageRequested, MONDAY, message_id="m1", channel="sms")
    return office


def test_the_same_report_is_the_same_bytes_and_another_one_is_not() -> None:
    report = report_of(busy_office())
    manifest = manifest_of(report)
    first = write_workbook(report, manifest)
    again = write_workbook(report_of(busy_office()), Manifest.from_json(manifest.to_json()))
    assert first == again
    other = busy_office()
    decided(other, "d")
    assert write_workbook(report_of(other), manifest) != first


def test_a_manifest_survives_being_written_down() -> None:
    manifest = manifest_of(report_of(busy_office()))
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.id == manifest.id
    assert changed_since(again) == []


def test_a_manifest_of_other_code_is_known_as_such() -> None:
    text = manifest_of(report_of(busy_office())).to_json()
    manifest = Manifest.from_json(text)
    other = Manifest.from_json(text.replace(manifest.code, "0" * 16))
    assert changed_since(other) == ["code"]
    assert other.id != manifest.id


def test_day_and_workbook_say_what_was_asked_after_decisions() -> None:
    office = busy_office()
    office.happen("b", review.DisputeOpened, MONDAY - timedelta(days=9), **DISPUTE, days=20)
    office.happen("b", review.AppealOpened, MONDAY, **APPEAL, wish="explanation", working_days=15)
    report = report_of(office)
    named = {key: one.value for key, one in report.figures.items() if key.startswith("after")}
    assert len(named) == 36  # three kinds, what became of each, of a day and of thirty
    assert (named["after.dispute.opened"], named["after30.dispute.opened"]) == (0, 1)
    assert (named["after.appeal.opened"], named["after30.appeal.opened"]) == (1, 1)
    assert named["after.dispute.overdue"] == 1  # at the cut-off, sixty days later
    book = openpyxl.load_workbook(BytesIO(write_workbook(report, manifest_of(report, "en"))))
    heads, *rows = book["After the decision"].iter_rows(min_row=4, values_only=True)
    told = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows if row[0]}
    assert told["Disputes about the credit report"]["Opened"] == 1
    assert told["Appeals"]["Answered late"] == 0


def test_the_workbook_shows_the_figures_with_charts_and_the_manifest() -> None:
    report = report_of(busy_office())
    manifest = manifest_of(report, "en")
    book = openpyxl.load_workbook(BytesIO(write_workbook(report, manifest)))
    assert book.sheetnames[0] == "Summary"
    cells = {
        row[0].value: row[1].value
        for row in book["Summary"].iter_rows(min_row=5, max_col=2)
        if row[0].value
    }
    assert cells["Handed in"] == 3
    assert cells["Declined"] == 1  # the other decision fell on the next day
    charts = sum(len(sheet._charts) for sheet in book)  # type: ignore[attr-defined,misc]
    assert charts >= 5
    recipe = {row[0].value: row[1].value for row in book["Manifest"].iter_rows(max_col=2)}
    assert recipe["Manifest"] == manifest.id
    assert recipe["banka.contacts [1]"] == "≠ 7"
    evidence = list(book["Behind the numbers"].iter_rows(min_row=5, values_only=True))
    counted = sum(figure.value or 0 for figure in report.headline.values())
    assert len(evidence) == counted


def test_silent_cases_are_open_until_they_move() -> None:
    office = Office()
    decided(office, "a", category="eligibility")
    office.happen("b", intake.ApplicationDrafted, MONDAY)
    row = office.row("b")
    stalled = _stall(office, "b", row.state_version)
    journeys = kpis.journeys(office.events)
    assert kpis.open_stalls([*office.events, stalled], journeys).value == 1
    office.happen("b", intake.ApplicationSubmitted, MONDAY + timedelta(days=40))
    journeys = kpis.journeys(office.events)
    assert kpis.open_stalls([*office.events, stalled], journeys).value == 0


def _stall(office: Office, name: str, version: int):  # type: ignore[no-untyped-def]
    from services.reporting.projections import Seen, apply_case
    from tests.unit.reporting.walks import payload

    at = MONDAY + timedelta(days=31)
    data = payload(reporting.CaseStalled.type, application_id=name, state_version=version)
    seen = Seen("banka.cases", 0, 0, "s", data.type, "/banka/reporting", name, at, at)
    return apply_case(office.row(name), seen, data)


def test_the_funnel_never_widens_for_a_life_without_gaps() -> None:
    office = busy_office()
    values = [figure.value or 0 for figure in report_of(office).funnel]
    assert all(before >= after for before, after in pairwise(values))
