"""Facts about accounts: the share of dormant cards against the bank's bound, and early arrears."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.review import case as cases
from services.review import reason_codes
from services.review.accounts import (
    OVER_BOUND,
    UNREPORTED,
    AccountMonth,
    Arrears,
    DormancyFigure,
    early_arrears,
    reached_by,
    standing_of,
    stop_of,
)
from shared.events.lifecycle import State
from shared.events.payload import BalanceBand
from shared.money import Money
from shared.parameters import EarlyArrears, load_accounts
from tests.unit.review.builders import NOW, case, hand_over, recommendation

TODAY = NOW.date()
TERMS = load_accounts().dormancy


def figure(dormant: int, issued: int = 1_000, age: int = 0) -> DormancyFigure:
    return DormancyFigure(TODAY, NOW, issued, dormant, TODAY - timedelta(days=age))


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (figure(149), "fine"),
        (figure(150), "near"),
        (figure(200), "near"),
        (figure(201), "over"),
        (figure(201, age=45), "over"),
        (figure(0, age=45), "fine"),
        (figure(0, age=46), "unreported"),
        (figure(200, age=46), "unreported"),
        (figure(201, age=46), "over"),  # silence lifts no stop
        (figure(0, issued=0), "unreported"),
        (None, "unreported"),
    ],
)
def test_the_share_stands_to_the_bound_by_the_facts_that_there_are(
    found: DormancyFigure | None, standing: str
) -> None:
    assert standing_of(found, TERMS, TODAY) == standing


def test_a_figure_that_nobody_counts_any_more_gets_old() -> None:
    wanted = TERMS.model_copy(update={"unreported_stops": True})
    last = TODAY + timedelta(days=TERMS.stale_days)
    assert standing_of(figure(0), wanted, last) == "fine"
    assert standing_of(figure(0), wanted, last + timedelta(days=1)) == "unreported"
    assert stop_of(figure(0), wanted, last) is None
    assert stop_of(figure(0), wanted, last + timedelta(days=1)) == UNREPORTED


@pytest.mark.parametrize(
    ("silent", "reached"), [(0, 0), (100, 0), (101, 60), (500, 60), (1_000, 60)]
)
def test_one_card_that_is_reported_does_not_speak_for_those_that_are_not(
    silent: int, reached: int
) -> None:
    """Of a thousand cards a tenth may be silent."""
    facts = {TODAY - timedelta(days=60): silent, TODAY: 1_000 - silent}
    assert reached_by(facts, TERMS) == TODAY - timedelta(days=reached)


def test_where_nothing_was_told_nothing_is_reached() -> None:
    assert reached_by({}, TERMS) is None
    everything = TERMS.model_copy(update={"silent_share": Decimal(0)})
    assert reached_by({TODAY: 9, TODAY - timedelta(days=1): 1}, everything) != TODAY


def test_a_share_is_dormant_of_issued() -> None:
    assert figure(200).share == Decimal("0.2")
    assert figure(0, issued=0).share is None


def test_issuing_stops_above_the_bound_and_where_the_bank_wants_the_share_known() -> None:
    wanted = TERMS.model_copy(update={"unreported_stops": True})
    assert stop_of(figure(200), wanted, TODAY) is None
    assert stop_of(figure(201), TERMS, TODAY) == OVER_BOUND
    assert stop_of(None, wanted, TODAY) == UNREPORTED
    assert stop_of(None, TERMS, TODAY) is None


def test_what_the_policy_would_approve_goes_to_a_person_while_issuing_stands_still() -> None:
    subject = case()
    subject.hand_over = hand_over(new_to_bank=False)
    subject.dormancy = figure(201)
    list(cases.apply_recommendation(subject, recommendation(outcome="approve", findings=()), NOW))
    assert subject.state is State.MANUAL_REVIEW
    assert subject.recommendation is not None
    assert OVER_BOUND in subject.recommendation.findings
    assert cases.approval_obstacles(subject, NOW) == [OVER_BOUND]
    subject.dormancy = figure(200)  # what was found stays, what hinders is gone
    assert cases.approval_obstacles(subject, NOW) == []


@pytest.mark.parametrize("told", [(), ("CARDS_MANY",), ("BUREAU_ADVERSE",)])
def test_a_suspicion_is_not_told_by_what_is_said_while_issuing_stands_still(
    told: tuple[str, ...],
) -> None:
    outcome = {(): "approve", ("CARDS_MANY",): "refer"}.get(told, "decline")
    shown = []
    for of_it, findings in ((outcome, told), ("hold", (*told, "WATCHLIST_HIT"))):
        subject = case()
        subject.hand_over = hand_over(new_to_bank=False)
        subject.dormancy = figure(201)
        found = recommendation(outcome=of_it, findings=findings)
        list(cases.apply_recommendation(subject, found, NOW, sampled=True))
        assert subject.recommendation is not None
        shown.append(reason_codes.without_suspicion(subject.recommendation.findings))
    assert shown[0] == shown[1]


def test_a_suspicion_is_not_told_by_the_amount() -> None:
    amounts = set()
    for outcome, findings, limit in (
        ("refer", ("BUREAU_ADVERSE", "SAMPLED"), 0),
        ("hold", ("BUREAU_ADVERSE", "WATCHLIST_HIT", "SAMPLED"), 20_000),
    ):
        subject = case()
        subject.need_hand_over().requested_limit = Money.of(50_000)
        subject.recommendation = recommendation(
            outcome=outcome, findings=findings, limit=Money.of(limit)
        )
        amounts.add(subject.amount)
    assert amounts == {Money.of(50_000)}


def test_a_decline_is_decided_while_issuing_stands_still() -> None:
    subject = case()
    subject.hand_over = hand_over(new_to_bank=False)
    subject.dormancy = figure(201)
    found = recommendation(outcome="decline", advice="decline", findings=("BUREAU_ADVERSE",))
    list(cases.apply_recommendation(subject, found, NOW))
    assert subject.state is State.DECLINED


def month(**changes: Any) -> AccountMonth:
    values: dict[str, Any] = {
        "card": "C-1",
        "application_id": "A-1",
        "person": "P-1",
        "month": "2026-11",
        "revision": 1,
        "opened_on": date(2025, 1, 5),
        "closed_on": None,
        "days_past_due": 0,
        "balance": BalanceBand.ZERO,
        "last_transaction": date(2025, 3, 1),
        "policy_card": False,
        "known_at": NOW,
        **changes,
    }
    return AccountMonth(**values)


def test_a_card_lies_idle_since_its_last_use_unless_anything_stands_on_it() -> None:
    assert month().idle_since == date(2025, 3, 1)
    assert month(last_transaction=None).idle_since == date(2025, 1, 5)
    for balance in (BalanceBand.OVERPAID, BalanceBand.UNDER_1K, BalanceBand.FROM_50K):
        assert month(balance=balance).idle_since is None
    assert month().as_of == date(2026, 11, 30)


EARLY = EarlyArrears(days_past_due=30, months=3)


@pytest.mark.parametrize(
    ("months", "found"),
    [
        ({}, "unknown"),
        ({"2026-11": 0}, "not yet"),
        ({"2026-11": 0, "2026-12": 29, "2027-01": 0}, "no"),
        ({"2026-11": 0, "2026-12": 30}, "yes"),
        ({"2027-01": 31}, "yes"),
        ({"2027-02": 90}, "unknown"),
        ({"2026-11": 0, "2026-12": 0, "2027-01": 0, "2027-02": 90}, "no"),
    ],
)
def test_arrears_are_early_within_the_first_months(months: dict[str, int], found: Arrears) -> None:
    assert early_arrears(months, date(2026, 11, 20), EARLY) == found


def test_of_an_account_that_nobody_told_of_nothing_is_known() -> None:
    assert early_arrears({}, None, EARLY) == "unknown"
