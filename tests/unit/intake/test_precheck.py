"""The officer's verdict on a case: every obstacle at once, and none that is not there."""

from __future__ import annotations

import pytest

from services.intake import application as applications
from services.intake.application import Application
from services.intake.items import ItemState
from services.intake.precheck import against_passing, against_returning
from services.intake.rules import Examination
from shared.events.intake import Meeting
from shared.events.lifecycle import State
from shared.parameters.models import PreCheck
from tests.unit.intake.drawers import NOW, draft, found, hand_in, names, paper, payloads

OFFICER, ENTERED = "staff:officer", "staff:entered"
BY_OFFICER = PreCheck(by="officer", other_than_entry=True)
WITH_MEETING = PreCheck(meeting="required")
SEEN = Meeting(
    saw_person=True, saw_original=True, saw_signing=True, staff_id="s", at=NOW, evidence=["d"]
)


def examined(rules: PreCheck, *wanted: tuple[str, str]) -> Examination:
    one = found(*wanted)
    return Examination(one.wanted, (), (), one.age_band, one.income_band, pre_check=rules)


def waiting(rules: PreCheck = BY_OFFICER, *wanted: tuple[str, str]) -> Application:
    """Handed in with two papers, and left to an officer."""
    app = draft()
    for item in ("id_front", "work_proof"):
        applications.receive(app, paper(app, item), ENTERED, NOW)
    hand_in(app, examined(rules, *wanted))
    return app


def codes(app: Application, rules: PreCheck = BY_OFFICER, officer: str = OFFICER) -> list[str]:
    told = against_passing(app, rules, (), officer=officer, entered={ENTERED})
    return [f"{one.code} {one.item or ''}".strip() for one in told]


def settle_all(app: Application) -> None:
    for item in app.items:
        if item.state is ItemState.RECEIVED:
            app.items.accept(item, OFFICER, NOW)


def test_nothing_is_asked_or_handed_over_before_the_officer_has_spoken() -> None:
    app = waiting(BY_OFFICER, ("id_back", "DOC_MISSING"))
    assert app.state is State.PRE_CHECK
    assert (app.wanted, app.passed_at) == ([], None)


def test_the_rules_pass_what_they_find_nothing_wrong_with() -> None:
    app = waiting(PreCheck())
    assert app.state is State.CHECKING
    assert {item.state for item in app.items} == {ItemState.ACCEPTED}


def test_every_obstacle_is_named_at_once() -> None:
    app = waiting(BY_OFFICER, ("id_back", "DOC_MISSING"))
    app.consent = None
    rules = PreCheck(by="officer", other_than_entry=True, meeting="required")
    told = against_passing(app, rules, ["COOL_DOWN"], officer=ENTERED, entered={ENTERED})
    assert [(one.code, one.item, one.detail) for one in told] == [
        ("item-open", "id_back", "DOC_MISSING"),
        ("item-unchecked", "id_front", None),
        ("item-unchecked", "work_proof", None),
        ("refused", None, "COOL_DOWN"),
        ("no-consent", None, "NO_CREDIT_AUTH"),
        ("no-meeting", None, None),
        ("entered-by-same-person", None, None),
    ]


def test_a_settled_case_is_passed_and_names_who_passed_it() -> None:
    app = waiting()
    settle_all(app)
    assert codes(app) == []
    effects = applications.hand_over(app, NOW, officer=OFFICER)
    assert payloads(effects)[-1].passed_by == OFFICER
    assert app.state is State.CHECKING


@pytest.mark.parametrize(
    ("rules", "officer", "may"),
    [
        (BY_OFFICER, ENTERED, False),
        (BY_OFFICER, OFFICER, True),
        (PreCheck(by="officer"), ENTERED, True),
    ],
)
def test_who_entered_may_not_pass_where_the_product_demands_it(
    rules: PreCheck, officer: str, may: bool
) -> None:
    app = waiting(rules)
    settle_all(app)
    assert (codes(app, rules, officer) == []) is may


@pytest.mark.parametrize("missing", ["saw_person", "saw_original", "saw_signing"])
def test_all_three_must_have_been_seen(missing: str) -> None:
    app = waiting(WITH_MEETING)
    assert app.state is State.PRE_CHECK  # nothing else stands in the way
    app.meeting = SEEN.model_copy(update={missing: False})
    assert applications.verdict(app, examined(WITH_MEETING), (), NOW) == []
    app.meeting = SEEN
    effects = applications.verdict(app, examined(WITH_MEETING), (), NOW)
    assert names(effects) == ["PreCheckPassed"]
    assert payloads(effects)[0].meeting == SEEN


def test_a_meeting_that_no_product_asks_for_stands_in_nobodys_way() -> None:
    app = waiting()
    settle_all(app)
    assert codes(app, BY_OFFICER) == []
    assert codes(app, PreCheck(by="officer", meeting="required")) == ["no-meeting"]


def test_a_case_goes_back_only_when_everything_was_looked_at() -> None:
    app = waiting(BY_OFFICER, ("id_back", "DOC_MISSING"))
    assert [one.item for one in against_returning(app)] == ["id_front", "work_proof"]
    (work_proof,) = [one for one in app.items if one.item == "work_proof"]
    app.items.give_back(work_proof, ["NO_STAMP"], OFFICER, NOW)
    settle_all(app)
    assert against_returning(app) == []
    nothing = found()
    asked = {(one.item, one.code) for one in applications.open_items(app, nothing)}
    assert asked == {("id_back", "DOC_MISSING"), ("work_proof", "NO_STAMP")}


def test_a_waiver_that_nobody_has_answered_stands_in_the_way_of_both() -> None:
    app = waiting(BY_OFFICER, ("address_proof", "DOC_MISSING"))
    settle_all(app)
    (wanted,) = [one for one in app.items if one.item == "address_proof"]
    app.items.ask_waiver(wanted, "COVERED_BY_OTHER", OFFICER, NOW)
    assert codes(app) == ["item-open address_proof", "waiver-unanswered address_proof"]
    assert [one.code for one in against_returning(app)] == ["waiver-unanswered"]
    app.items.answer_waiver(wanted, True, "staff:second", NOW)
    assert codes(app) == []


def test_what_came_after_the_list_waits_for_the_officer_again() -> None:
    app = waiting(BY_OFFICER, ("id_back", "DOC_MISSING"))
    settle_all(app)
    applications.request_material(app, applications.open_items(app, found()), NOW)
    applications.receive(app, paper(app, "id_back"), ENTERED, NOW)
    effects = applications.recheck(app, examined(BY_OFFICER), (), NOW)
    assert names(effects) == ["MaterialCompleted"]
    assert codes(app) == ["item-unchecked id_back"]


def test_what_two_people_do_without_is_said_with_the_hand_over() -> None:
    app = waiting(BY_OFFICER, ("address_proof", "DOC_MISSING"))
    settle_all(app)
    wanted = app.items.find("applicant", "address_proof")
    app.items.ask_waiver(wanted, "COVERED_BY_OTHER", OFFICER, NOW)
    app.items.answer_waiver(wanted, True, "staff:second", NOW)
    (passed,) = payloads(applications.hand_over(app, NOW, officer=OFFICER))
    assert passed.waived == ["address_proof"]
    other = waiting()
    settle_all(other)
    (passed,) = payloads(applications.hand_over(other, NOW, officer=OFFICER))
    assert passed.waived == []  # which is to say that nothing was
