"""A case's history as managers see it: with a hold in it, it reads like one without."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.review.case import Entry
from services.review.reason_codes import advice_on, without_suspicion
from services.review.viewing import (
    shown_decision,
    shown_history,
    shown_recommendation,
    without_opinions,
)
from shared.money import Money
from shared.web import Permission, Viewer
from shared.web.permissions import GRANTS, Scope, roles_with
from tests.unit.review.builders import inputs, recommendation, shipped
from tests.unit.review.test_explaining import decision

MANAGER = cast("Viewer", SimpleNamespace(knows_holds=False))
AUDITOR = cast("Viewer", SimpleNamespace(knows_holds=True))
AT = datetime(2026, 11, 10, 2, tzinfo=UTC)


def history(*lines: str) -> list[Entry]:
    """Lines like `imported:on_hold`: an action, and the state in its details."""
    entries = []
    for line in lines:
        action, _, state = line.partition(":")
        details: dict[str, Any] = {"state": state} if state else {}
        entries.append(Entry(AT, "R0001", action, details))
    return entries


def read(entries: Sequence[Entry]) -> list[tuple[str, str | None]]:
    return [(entry.action, entry.details.get("state")) for entry in entries]


@pytest.mark.parametrize(
    ("held", "plain"),
    [
        (("handed_over", "held", "finding", "released"), ("handed_over", "referred")),
        (
            ("handed_over", "referred", "claimed", "suspected", "held", "released", "decided"),
            ("handed_over", "referred", "claimed", "proposed", "signed", "decided"),
        ),
        (("imported:on_hold", "released"), ("imported:manual_review",)),
        (("imported:manual_review", "held"), ("imported:manual_review",)),
        (
            ("handed_over", "held", "released", "wanted_material", "handed_over", "held"),
            ("handed_over", "referred", "wanted_material", "handed_over", "referred"),
        ),
    ],
)
def test_a_hold_leaves_no_trace(held: tuple[str, ...], plain: tuple[str, ...]) -> None:
    assert read(shown_history(history(*held), MANAGER)) == read(
        shown_history(history(*plain), MANAGER)
    )


@pytest.mark.parametrize("permission", [Permission.REVIEW_DECIDE, Permission.REVIEW_COMPLIANCE])
def test_whoever_decides_knows_of_holds_so_that_trying_tells_nobody_of_one(
    permission: Permission,
) -> None:
    deciding = roles_with(permission)
    assert deciding
    assert {GRANTS[role].get(Permission.HOLD_VIEW) for role in deciding} == {Scope.ALL}


def test_who_may_know_reads_every_line() -> None:
    lines = history("handed_over", "held", "finding", "released", "claimed", "proposed")
    assert shown_history(lines, AUDITOR) == lines


def test_who_decided_and_why_is_not_told() -> None:
    decided = Entry(AT, "C0001", "decided", {"outcome": "decline", "reasons": ["INTERNAL_RISK"]})
    assert shown_history([decided], MANAGER) == [
        Entry(AT, "review", "decided", {"outcome": "decline"})
    ]


A, B, C = "R0001", "R0002", "R0003"
SAID = {"outcome": "approve", "note": "sealed"}


def line(actor: str, action: str, **details: str) -> Entry:
    return Entry(AT, actor, action, details)


def test_with_a_proposal_all_that_its_proposer_wrote_is_hidden_and_no_line_is_missing() -> None:
    lines = [
        line(A, "escalated", note="sealed"),
        line(B, "noted", note="theirs"),
        line(A, "snoozed", until="2026-11-11", note="sealed"),
        line(A, "proposed", **SAID),
    ]
    told = without_opinions(lines, B)
    assert [one.details for one in told] == [{}, {"note": "theirs"}, {"until": "2026-11-11"}, {}]
    assert [one.action for one in told] == [one.action for one in lines]
    assert without_opinions(lines, A) == lines


def test_what_comes_back_unseen_is_read_by_nobody_who_has_not_spoken() -> None:
    back = [line(A, "noted", note="w"), line(A, "proposed", **SAID), line("review", "returned")]
    again = [*back, line(A, "proposed", **SAID)]
    for reader in (B, C):
        assert [one.details for one in without_opinions(back, reader)] == [{}, {}, {}]
        assert [one.details for one in without_opinions(again, reader)] == [{}, {}, {}, {}]
    assert without_opinions(again, A) == again


def test_whoever_gave_their_opinion_reads_the_first_and_the_first_reads_theirs() -> None:
    lines = [line(A, "proposed", **SAID), line(B, "opinion", **SAID), line(B, "returned")]
    assert without_opinions(lines, A) == without_opinions(lines, B) == lines
    assert [one.details for one in without_opinions(lines, C)] == [{}, {}, {}]
    # what is proposed anew is judged anew
    anew = [*lines, line(A, "proposed", **SAID)]
    assert [bool(one.details) for one in without_opinions(anew, B)] == [True, True, False, False]
    # and of the first person, who is now the second
    turned = [*lines, line(B, "proposed", **SAID)]
    assert [bool(one.details) for one in without_opinions(turned, A)] == [True, True, False, False]


def test_what_compliance_proposes_is_nobodys_opinion() -> None:
    lines = [
        line("C0001", "released"),
        line("C0001", "proposed", outcome="decline", reasons="INTERNAL_RISK"),
    ]
    assert without_opinions(lines, B) == lines
    theirs = [line("C0001", "released"), line(A, "proposed", **SAID)]
    assert [one.details for one in without_opinions(theirs, B)] == [{}, {}]


def test_what_was_decided_for_is_told_to_who_may_know_of_holds_without_a_suspicion() -> None:
    made = decision("INTERNAL_RISK", "WATCHLIST_HIT")
    assert shown_decision(made, AUDITOR).reasons == ("INTERNAL_RISK",)
    assert shown_decision(made, AUDITOR).decided_by == made.decided_by
    untold = shown_decision(made, MANAGER)
    assert (untold.reasons, untold.decided_by) == ((), ())


@pytest.mark.parametrize(
    ("findings", "told", "advice", "limit"),
    [
        (("WATCHLIST_HIT", "NEW_TO_BANK"), ("NEW_TO_BANK",), "approve", 20_000),
        (("WATCHLIST_HIT", "CARDS_MANY"), ("CARDS_MANY",), "examine", 20_000),
        (
            ("WATCHLIST_HIT", "NEW_TO_BANK", "AGE_OUTSIDE"),
            ("NEW_TO_BANK", "AGE_OUTSIDE"),
            "decline",
            0,
        ),
        (("WATCHLIST_HIT",), (), "approve", 20_000),
    ],
)
def test_without_the_suspicion_the_policy_says_what_it_would_say_of_any_other(
    findings: tuple[str, ...], told: tuple[str, ...], advice: str, limit: int
) -> None:
    found = recommendation(outcome="hold", advice="examine", findings=findings)
    shown = shown_recommendation(found, confidential=False)
    assert shown is not None
    assert (shown.outcome, shown.advice, shown.findings) == ("refer", advice, told)
    assert shown.limit == Money.of(limit)
    assert shown_recommendation(found, confidential=True) is found


def test_the_advice_without_a_suspicion_is_the_policys_own() -> None:
    """Of every finding that there is, alone and with a new customer."""
    policy = shipped().policy
    for changes in (
        {},
        {"age": 80},
        {"warnings": 1},
        {"identity": "mismatch"},
        {"bureau_score": 570},
    ):
        for new in (False, True):
            plain = policy.evaluate(inputs(**changes, new_to_bank=new))
            hit = policy.evaluate(inputs(**changes, new_to_bank=new, watchlist="hit"))
            assert hit.outcome == "hold"
            assert advice_on(without_suspicion(hit.findings)) == plain.advice
