"""Every clock of `clocks.yaml` is read: whoever changes one changes what the office does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from services.intake import application as applications
from services.intake import cards, desk, inbound, tables
from services.intake.appeals import may_be_taken_up
from services.intake.application import Application, Scope, dues
from services.notify import app as notify
from services.review import appeals, disputes, holds, queue
from shared.calendar import escalated_before, urgency_of
from shared.events import lifecycle
from shared.events.intake import WantedItem
from shared.events.lifecycle import BESIDE_DECISION, BESIDE_REVIEW, OWNERS, State
from shared.events.payload import Party, PartyRole
from shared.messaging import Call, Deadline
from shared.parameters import load, load_clocks, product_of
from shared.parameters.models import Clocks, LongestSilence

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)  # a Monday


def application(state: State | None = None, **changed: Any) -> Application:
    product = product_of("standard")
    scope = Scope(
        "1", "1101", "11", "counter", "standard", product.version, "salaried", product.digest
    )
    known = {"state_since": NOW, "created_at": NOW, "submitted_at": NOW} | changed
    party = Party(party_id="p", person="person", role=PartyRole.APPLICANT, fields={})
    return Application("a", state, scope=scope, parties=[party], **known)


def requested(name: str) -> datetime:
    item = WantedItem(item="work_proof", code="DOC_MISSING")
    effects = applications.request_material(application(State.PRE_CHECK), [item], NOW)
    return next(one.at for one in effects if isinstance(one, Deadline) and one.name == name)


def retained() -> Any:
    (call,) = applications.retention(application(State.WITHDRAWN))
    assert isinstance(call, Call)
    return call.payload["until"]


def term(name: str) -> datetime:
    """When the deadline of that name falls, of a draft or of a card that was delivered."""
    effects = [
        *applications.draft_term(application(), NOW),
        *cards.activation_term(application(State.DELIVERED), NOW, NOW),
    ]
    return next(one.at for one in effects if isinstance(one, Deadline) and one.name == name)


def silent(state: str) -> Callable[[], str]:
    return lambda: str(OWNERS[State(state)].silence)


READ: dict[str, Callable[[], object]] = {
    "material.working_days": lambda: requested("material"),
    "material.remind_working_days_before": lambda: requested("material-reminder"),
    "draft_days": lambda: term("draft"),
    "draft_remind_days_before": lambda: term("draft-reminder"),
    "pre_check_working_days": lambda: applications.step_due(application(State.PRE_CHECK)),
    "first_contact_working_days": lambda: dues(application(State.CHECKING, passed_at=NOW)),
    "interview_days": lambda: dues(application(State.CHECKING, passed_at=NOW)),
    "activation_days": lambda: term("activation"),
    "activation_remind_days_before": lambda: term("activation-reminder"),
    "review_working_days": lambda: queue.due_at(NOW, "salaried"),
    "existing_customer_working_days": lambda: queue.due_at(NOW, "existing_customer"),
    "reconsideration_days": lambda: [
        may_be_taken_up(application(State.DECLINED, state_since=NOW), NOW + timedelta(days=n))
        for n in range(100)
    ],
    "appeal_working_days": lambda: appeals.due_at(NOW),
    "dispute_days": lambda: disputes.due_at(NOW),
    "hold_working_days": lambda: holds.begin(holds.HoldReason.OTHER, "staff", NOW),
    "warning_days": lambda: urgency_of(NOW + timedelta(days=2), NOW),
    "escalation_working_days": lambda: escalated_before(NOW.date()),
    "late_facts_days": lambda: term("activation"),
    "early_withdrawal_days": lambda: inbound.early_until(NOW),
    "request_keys_days": lambda: desk.remembered_since(NOW),
    "table_days": lambda: tables.kept_until(NOW),
    "retention_years": retained,
    "reminder_time": lambda: requested("material-reminder"),
    "send_window.opens": notify.send_window,
    "send_window.closes": notify.send_window,
    **{f"longest_silence.{state}": silent(state) for state in LongestSilence.model_fields},
}
"""Where each clock shows in what the office does."""


def names_of(model: Any, prefix: str = "") -> set[str]:
    """The clocks by their names in the file."""
    found: set[str] = set()
    for name in type(model).model_fields:
        value = getattr(model, name)
        if hasattr(type(value), "model_fields") and "unit" not in type(value).model_fields:
            found |= names_of(value, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def with_another(clocks: Clocks, name: str) -> Clocks:
    """The same with one clock changed."""
    first, _dot, rest = name.partition(".")
    held = getattr(clocks, first)
    if rest and hasattr(held, rest):
        value = getattr(held, rest)
        inner = another(value)
        return clocks.model_copy(update={first: held.model_copy(update={rest: inner})})
    return clocks.model_copy(update={first: another(held)})


def another(value: Any) -> Any:
    if isinstance(value, time):
        return time(value.hour + 1)
    return (
        value - 1 if isinstance(value, int) else value.model_copy(update={"days": value.days + 9})
    )


def test_every_clock_is_named_here() -> None:
    assert names_of(load_clocks()) - {"version", "digest"} == READ.keys()


@pytest.mark.parametrize("name", READ)
def test_a_clock_that_is_changed_changes_what_the_office_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = READ[name]()
    held, changed = load.held(), with_another(load_clocks(), name)

    class Changed:
        def __getattr__(self, attribute: str) -> Any:
            return getattr(held, attribute)

        def file(self, part: str, model: Any) -> Any:
            return changed if part == "clocks" else held.file(part, model)

    monkeypatch.setattr(load, "held", Changed)
    assert load_clocks() is changed
    assert READ[name]() != before


# Clocks by which nobody is ever late, and why.
NOBODY_IS_LATE = {
    "material.remind_working_days_before": "the office's own machine sends it",
    "draft_remind_days_before": "the office's own machine sends it",
    "activation_remind_days_before": "the office's own machine sends it",
    "reminder_time": "the office's own machine sends it",
    "send_window.opens": "the office's own machine sends it",
    "send_window.closes": "the office's own machine sends it",
    "reconsideration_days": "the customer's own time: an application anew comes after it",
    "warning_days": "says when a deadline shows as near",
    "escalation_working_days": "says when an overdue case is the manager's",
    "late_facts_days": "patience after a term that has its owner",
    "early_withdrawal_days": "what is kept ends by itself",
    "request_keys_days": "what is kept ends by itself",
    "table_days": "what is kept ends by itself",
    "retention_years": "what is kept ends by itself",
}
# As a step's clock is named that is read from these.
CLOCK_OF = {
    "material.working_days": "material",
    "existing_customer_working_days": "review_working_days",
}


def desks_of(name: str) -> set[str]:
    """The desks that answer for what is overdue by a clock, as the lifecycle's table says."""
    first, _dot, state = name.partition(".")
    if first == "longest_silence":
        return {OWNERS[State(state)].desk}
    beside = [*BESIDE_REVIEW.items(), *BESIDE_DECISION.items()]
    task = name.removesuffix("_working_days").removesuffix("_days")
    if task in [one for one, _desk in beside]:
        return {desk for one, desk in beside if one == task}
    return {owner.desk for owner in OWNERS.values() if owner.clock == CLOCK_OF.get(name, name)}


@pytest.mark.parametrize("name", READ)
def test_what_is_overdue_by_a_clock_has_somebody_who_answers_for_it(name: str) -> None:
    assert bool(desks_of(name)) is (name not in NOBODY_IS_LATE)


@pytest.mark.parametrize("state", [state for state in State if state not in lifecycle.TERMINAL])
def test_every_state_that_is_not_final_has_a_desk_and_a_deadline(state: State) -> None:
    app = application(state, material_deadline=NOW + timedelta(days=9))
    due = applications.step_due(app)
    assert due is not None
    assert due > NOW
    assert OWNERS[state].desk
    assert "step" in dues(app)


@pytest.mark.parametrize("state", sorted(lifecycle.TERMINAL))
def test_what_has_ended_has_no_deadline(state: State) -> None:
    app = application(state, material_deadline=NOW)
    assert applications.step_due(app) is None
    assert dues(app) == {}
