"""Cases, inputs and recommendations for review's tests: good in every respect unless said."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from services.review.case import Case, HandOver, Recommendation, Scope, apply_recommendation
from services.review.limits import LimitTerms
from services.review.officers import Away, Officer
from services.review.policy import BureauRecord, Policy, PolicyInputs, ProductTerms
from services.review.policy_folder import Held, newest
from shared.events.intake import HandedDocument
from shared.events.lifecycle import State
from shared.events.payload import CreditConsent, Party, PartyRole
from shared.money import Money
from shared.privacy.sealing import Sealed
from shared.web.directory import StaffMember
from shared.web.permissions import Role

NOW = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)
SIGNED = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
SEALED = Sealed("bk1.0193a1b2-0000-7000-8000-000000000001." + "A" * 40)
TERMS = ProductTerms(
    LimitTerms(Money.of(3000), Money.of(50_000), Money.of(100), Money.of(200_000)), "6", 18, 65
)
PAPERS = ("application_form_signed", "id_front", "id_back", "work_proof", "income_proof")
FIELDS = (
    *("name", "id_number", "id_issued", "mobile", "home_address", "employer", "occupation"),
    *("work_address", "office_phone", "monthly_income"),
)
RECORD = BureauRecord(
    score=720,
    overdue_24m=0,
    max_overdue_days_24m=0,
    queries_3m=2,
    open_cards=2,
    other_bank_limits=600_000,
    monthly_debt=50_000,
    adverse=False,
    lenders_6m=1,
)


@cache
def shipped() -> Held:
    """The newest policy that ships; read once."""
    return newest()


@cache
def heedless() -> Policy:
    """A policy whose tables know of debt alone."""
    texts = json.loads(shipped().policy.source)
    (table,) = (one for one in texts["rules.json"]["nodes"] if one["id"] == "findings")
    rows = table["content"]["rules"]
    table["content"]["rules"] = [one for one in rows if one["_id"].startswith("debt")]
    return Policy(json.dumps(texts))


def inputs(**changes: Any) -> PolicyInputs:
    """A salaried existing relationship that the policy approves; `bureau_…` changes the record."""
    record = {
        name.removeprefix("bureau_"): changes.pop(name)
        for name in list(changes)
        if name.startswith("bureau_")
    }
    good = PolicyInputs(
        applicant_type="salaried",
        product="standard",
        product_version="2026.1",
        new_to_bank=False,
        age=30,
        monthly_income=1_000_000,
        stated_limits=0,
        requested_limit=None,
        own_existing=0,
        warnings=0,
        identity="match",
        watchlist="clear",
        bureau=replace(RECORD, **record),
        terms=TERMS,
    )
    return replace(good, **changes)


def paper(item: str) -> HandedDocument:
    return HandedDocument(
        document_id=f"d-{item}", item=item, sha256="0" * 64, media_type="image/png"
    )


def hand_over(**changes: Any) -> HandOver:
    good = HandOver(
        parties=[
            Party(
                party_id="0193a1b2-0000-7000-8000-00000000000a",
                person="0193a1b2-0000-7000-8000-00000000000b",
                role=PartyRole.APPLICANT,
                fields=dict.fromkeys(FIELDS, SEALED),
            )
        ],
        consent=CreditConsent(signed_at=SIGNED, purpose="信用卡审批"),
        documents=[paper(item) for item in PAPERS],
        new_to_bank=True,
        age_band="26-35",
        income_band="10000-19999",
        requested_limit=None,
        warnings=[],
        submitted_at=SIGNED,
        handed_at=NOW,
        waived=[],
    )
    return replace(good, **changes)


def case(state: State | None = State.CHECKING, **changes: Any) -> Case:
    """A case that was handed over; `state` and any field as wanted."""
    return Case(
        application_id="0193a1b2-0000-7000-8000-0000000000ff",
        state=state,
        state_version=4,
        scope=Scope("110120261103000017", "1101", "11", "web", "standard", "2026.1", "salaried"),
        hand_over=hand_over(),
        **changes,
    )


def recommendation(**changes: Any) -> Recommendation:
    good = Recommendation(
        outcome="refer",
        advice="approve",
        findings=("NEW_TO_BANK",),
        limit=Money.of(20_000),
        ceiling=Money.of(40_000),
        inputs=str(SEALED),
        verdict=str(SEALED),
        policy_version="2026.1",
        policy_digest="f" * 64,
        at=NOW,
    )
    return replace(good, **changes)


def officer(
    staff_id: str,
    *roles: Role,
    branches: Iterable[str] = ("*",),
    active: bool = True,
    away: Away | None = None,
    products: frozenset[str] | None = None,
) -> Officer:
    """An officer of every branch, unless said; a reviewer."""
    member = StaffMember(
        staff_id=staff_id,
        name="周启明",
        roles=frozenset(roles or (Role.REVIEWER,)),
        branches=frozenset(branches),
        region_branches=frozenset(),
        desk="credit_review",
        active=active,
        session_epoch=1,
    )
    return Officer(member, away, products)


def referred(**changes: Any) -> Case:
    """A case in the reviewers' queue."""
    waiting = case()
    list(apply_recommendation(waiting, recommendation(**changes), NOW))
    assert waiting.state is State.MANUAL_REVIEW
    return waiting
