"""What may happen to an application at intake, and in which order."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.intake import application as applications
from services.intake import cards, handlers
from services.intake.application import Application, ApplicationError, Beginning, outside_state
from shared.clock import format_instant
from shared.events import lifecycle, review
from shared.events.intake import WantedItem
from shared.events.lifecycle import TERMINAL, State
from shared.events.payload import CreditConsent, PartyRole
from shared.identifiers import new_id
from shared.messaging import Call, ClearDeadline, Deadline, Fact
from shared.messaging.errors import Permanent
from shared.parameters import load_papers
from shared.privacy.sealing import Sealed
from tests.unit.intake.drawers import (
    ACTOR,
    GRANTED,
    LIMIT,
    NOW,
    SOUND,
    draft,
    fact,
    found,
    hand_in,
    hear,
    names,
    ordered,
    paper,
    payloads,
    submitted,
)

MISSING = ("work_proof", "DOC_MISSING")
SEALED = Sealed("bk1.01890000-0000-7000-8000-000000000000." + "A" * 40)


def bring(app: Application, item: str, now: Any = NOW) -> list[Any]:
    return applications.receive(app, paper(app, item), ACTOR, now)[1]


def mend(app: Application, *fields: str) -> None:
    applications.correct(app, app.parties, None, fields, ACTOR, NOW)


# --- handing in --------------------------------------------------------------------------------


def test_a_sound_application_goes_straight_to_review() -> None:
    app = draft()
    bring(app, "id_front")
    effects = hand_in(app)
    assert names(effects) == ["ApplicationSubmitted", "PreCheckStarted", "PreCheckPassed"]
    versions = [effect.state_version for effect in effects if isinstance(effect, Fact)]
    assert versions == [2, 3, 4]
    assert app.state is State.CHECKING
    assert [one.item for one in payloads(effects)[-1].documents] == ["id_front"]
    assert ClearDeadline("draft") in effects


def test_everything_that_is_wanted_stands_in_one_list() -> None:
    app = draft()
    effects = hand_in(app, found(MISSING, ("id_front", "ID_FORM", "id_number"), MISSING))
    requested = payloads(effects)[-1]
    assert [(item.item, item.code, item.field) for item in requested.items] == [
        ("work_proof", "DOC_MISSING", None),
        ("id_front", "ID_FORM", "id_number"),
    ]
    assert app.state is State.AWAITING_MATERIAL
    assert format_instant(requested.deadline) == "2026-10-26T15:59:59Z"  # 10 working days
    reminder = next(e for e in effects if isinstance(e, Deadline) and "reminder" in e.name)
    assert format_instant(reminder.at) == "2026-10-21T01:00:00Z"  # 3 before, at nine


def test_of_a_wrong_field_the_list_and_the_reminder_say_whose_it_is() -> None:
    app = draft()
    fault = ("application_form_signed", "MOBILE_FORM", "mobile")
    both = (PartyRole.CONTACT, PartyRole.APPLICANT)
    hand_in(app, found(MISSING, fault, whose=[(role, *fault[1:]) for role in both]))
    told = [(None, "work_proof"), *[(role, fault[0]) for role in reversed(both)]]
    assert [(one.role, one.item) for one in app.wanted] == told
    (reminded,) = payloads(applications.on_material_reminder(app, NOW))
    assert [(one.role, one.item) for one in reminded.items] == told


def test_what_no_paper_mends_leaves_a_draft_as_it_was() -> None:
    app = draft()
    with pytest.raises(ApplicationError) as refused:
        applications.submit(
            app,
            found(refusals=["AGE_OUT_OF_RANGE"]),
            ["COOL_DOWN"],
            new_to_bank=True,
            actor=ACTOR,
            now=NOW,
        )
    assert refused.value.codes == ("AGE_OUT_OF_RANGE", "COOL_DOWN")
    assert (app.state, app.state_version, app.submitted_at) == (State.DRAFT, 1, None)


def test_handing_in_twice_is_refused() -> None:
    app = submitted()
    with pytest.raises(ApplicationError, match="before"):
        hand_in(app)


def test_nothing_is_handed_over_without_the_consent() -> None:
    app = draft(consent=False)
    with pytest.raises(Permanent):
        hand_in(app)


def test_whoever_entered_it_stands_in_the_event() -> None:
    app = draft()
    start = Beginning(app.need_scope(), app.parties, app.consent, None, None)
    told = payloads(applications.begin(Application("another"), start, "client:web", NOW))
    told += [*payloads(bring(app, "id_front")), payloads(hand_in(app, found(MISSING)))[0]]
    told += payloads(applications.withdraw(app, "partner:mobile-app", NOW))
    assert [one.entered_by for one in told] == ["client:web", ACTOR, ACTOR, "partner:mobile-app"]


# --- material ----------------------------------------------------------------------------------


def test_the_last_of_the_list_completes_it() -> None:
    app = submitted(MISSING, ("id_front", "ID_FORM", "id_number"))
    bring(app, "work_proof")
    assert applications.recheck(app, found(("id_front", "ID_FORM", "id_number")), (), NOW) == []
    mend(app, "id_number")
    effects = applications.recheck(app, SOUND, (), NOW)
    assert names(effects) == ["MaterialCompleted", "PreCheckPassed"]
    assert all(ClearDeadline(name) in effects for name in ("material", "material-reminder"))
    assert (app.wanted, app.material_deadline) == ([], None)


def test_a_correction_is_told_by_name_once_the_form_was_handed_in() -> None:
    app = draft()
    assert applications.correct(app, app.parties, None, ["mobile"], ACTOR, NOW) == []
    hand_in(
        app,
        found(
            ("application_form_signed", "MOBILE_FORM", "mobile"),
            ("id_front", "DOC_MISSING"),
            ("id_front", "NAME_FORM", "name"),
            ("credit_authorization", "NO_CREDIT_AUTH"),
        ),
    )
    consent = CreditConsent(signed_at=NOW, purpose="信用卡审批")
    effects = applications.correct(app, app.parties, consent, ["mobile", "name"], ACTOR, NOW)
    (told,) = payloads(effects)
    assert (told.fields, told.parties) == (["mobile", "name", "consent"], app.parties)
    # the portrait side itself has not come
    assert told.items == ["application_form_signed", "credit_authorization"]
    assert (told.entered_by, app.state) == (ACTOR, State.AWAITING_MATERIAL)


def test_a_correction_keeps_what_fields_said_and_say_as_they_are_sealed() -> None:
    app = draft()
    (party,) = app.parties
    old, new, same, mail = (Sealed(f"bk1.{new_id()}.{'A' * 40}") for _ in range(4))
    before = party.model_copy(update={"fields": {"mobile": old, "name": same}})
    app.parties = [before]
    now = {"mobile": new, "name": same, "email": mail}
    after = before.model_copy(update={"fields": now})
    consent = CreditConsent(signed_at=NOW, purpose="信用卡审批")
    applications.correct(app, [after], consent, ["mobile", "email"], ACTOR, NOW)
    told = app.entries[-1].details
    assert told["changed"] == [
        {"role": "applicant", "field": "mobile", "old": old, "new": new},
        {"role": "applicant", "field": "email", "old": None, "new": mail},
    ]
    assert told["consent"]["purpose"] == "信用卡审批"
    assert told["fields"] == ["email", "mobile", "consent"]


def test_another_paper_of_the_group_will_do() -> None:
    app = submitted(("income_proof", "DOC_MISSING"))
    bring(app, "tax_proof")
    assert names(applications.recheck(app, SOUND, (), NOW))[-1] == "PreCheckPassed"


def test_a_paper_that_came_before_the_list_does_not_answer_it() -> None:
    app = draft()
    bring(app, "income_proof")  # at the same instant as the list, but before it
    hand_in(app, found(("income_proof", "DOC_STALE"), MISSING))
    bring(app, "work_proof")
    assert applications.recheck(app, found(("income_proof", "DOC_STALE")), (), NOW) == []


def test_a_paper_no_better_than_before_is_asked_for_in_a_further_round() -> None:
    app = submitted(("income_proof", "DOC_MISSING"))
    bring(app, "income_proof")
    later = NOW + timedelta(days=1)
    effects = applications.recheck(app, found(("income_proof", "DOC_STALE")), (), later)
    assert names(effects) == ["MaterialCompleted", "MaterialRequested"]
    requested = payloads(effects)[-1]
    assert (requested.round, requested.items[0].code) == (2, "DOC_STALE")
    assert format_instant(requested.deadline) == "2026-10-27T15:59:59Z"


def test_a_refusal_that_shows_late_keeps_the_application_waiting() -> None:
    app = submitted(("id_front", "ID_CHECK_DIGIT", "id_number"))
    mend(app, "id_number")
    effects = applications.recheck(app, SOUND, ["DUPLICATE_APPLICATION"], NOW)
    assert names(effects) == ["MaterialCompleted", "MaterialRequested"]
    assert [item.code for item in app.wanted] == ["DUPLICATE_APPLICATION"]


def test_what_a_reviewer_wants_is_open_until_it_comes() -> None:
    app = submitted()
    hear(app, review.ChecksCompleted)
    hear(app, review.ApplicationReferred, reason_codes=[], policy_version="1")
    wanted = [WantedItem(item="tax_proof", code="DOC_MISSING")]
    effects = hear(app, review.MaterialWanted, items=wanted, staff_id="s")
    requested = next(e for e in effects if isinstance(e, Fact))
    assert requested.state_version == app.state_version == 7
    bring(app, "work_proof")
    assert applications.recheck(app, SOUND, (), NOW) == []
    bring(app, "tax_proof")
    assert names(applications.recheck(app, SOUND, (), NOW))[-1] == "PreCheckPassed"


def test_an_answered_wish_is_not_open_again_in_a_further_round() -> None:
    app = submitted()
    hear(app, review.ChecksCompleted)
    hear(app, review.ApplicationReferred, reason_codes=[], policy_version="1")
    wanted = [WantedItem(item="tax_proof", code="DOC_MISSING")]
    hear(app, review.MaterialWanted, items=wanted, staff_id="s")
    bring(app, "tax_proof")
    applications.recheck(app, found(("tax_proof", "DOC_STALE")), (), NOW)
    (item,) = [one for one in app.items if one.item == "tax_proof"]
    assert [(one.code, one.by_person) for one in item.reasons] == [("DOC_STALE", False)]
    assert app.state is State.AWAITING_MATERIAL


def test_the_same_bytes_are_one_paper() -> None:
    app = draft()
    first, told = applications.receive(app, paper(app, "id_front", "same"), ACTOR, NOW)
    second, again = applications.receive(app, paper(app, "id_front", "same"), ACTOR, NOW)
    assert (first.document_id, len(told), again) == (second.document_id, 1, [])
    applications.receive(app, paper(app, "id_back", "same"), ACTOR, NOW)
    assert [one.document_number[-2:] for one in app.documents] == ["01", "02"]


def test_the_same_bytes_with_another_date_of_issue_are_another_paper() -> None:
    """A date that was typed wrong can be put right; it used to be dropped without a word."""
    app = draft()
    wrong = replace(paper(app, "income_proof", "same"), issued_on=date(2026, 5, 8))
    applications.receive(app, wrong, ACTOR, NOW)
    right = replace(
        paper(app, "income_proof", "same"),
        issued_on=date(2026, 10, 8),
        document_number=applications.document_number(app),
    )

    taken, told = applications.receive(app, right, ACTOR, NOW)
    again, nothing = applications.receive(app, right, ACTOR, NOW)

    assert (taken.issued_on, len(told)) == (date(2026, 10, 8), 1)
    assert (again.document_number[-2:], nothing) == ("02", [])


def test_no_more_papers_of_a_kind_are_kept_than_the_office_takes() -> None:
    app, most = draft(), load_papers()
    for n in range(most.most_of_item):
        applications.receive(app, paper(app, "id_front", f"photograph {n}"), ACTOR, NOW)
    last = f"photograph {most.most_of_item - 1}"
    again, nothing = applications.receive(app, paper(app, "id_front", last), ACTOR, NOW)
    assert (again, nothing) == (app.documents[-1], []), "what is there needs no room"
    with pytest.raises(ApplicationError) as refused:
        bring(app, "id_front")
    assert refused.value.code == "too-many-papers"
    assert len(app.documents) == most.most_of_item
    bring(app, "id_back")
    assert len(app.documents) == most.most_of_item + 1


def test_no_more_papers_are_kept_of_an_application_than_the_office_takes() -> None:
    most = load_papers()
    there = [f"item {n}" for n in range(most.most_of_application - 1)]
    assert applications.has_room(there, "another")
    assert not applications.has_room([*there, "the last"], "another")


# --- terms -------------------------------------------------------------------------------------


def test_a_deadline_that_was_moved_meanwhile_closes_nothing() -> None:
    app = submitted(MISSING)
    assert app.material_deadline is not None
    before = app.material_deadline - timedelta(seconds=1)
    assert applications.on_material_deadline(app, before) == [
        Deadline("material", app.material_deadline)
    ]
    expired = applications.on_material_deadline(app, app.material_deadline)
    assert payloads(expired)[0].reason == "material-not-supplied"


def test_a_draft_is_reminded_of_once_and_only_how_the_applicant_is_reached_goes_with_it() -> None:
    app = draft()
    fields = dict.fromkeys(("name", "mobile", "salutation", "id_number", "employer"), SEALED)
    app.parties[0] = app.parties[0].model_copy(update={"fields": fields})
    (reminded,) = payloads(applications.on_draft_reminder(app, NOW))
    assert set(reminded.addressee.fields) == {"name", "mobile", "salutation"}
    assert format_instant(reminded.deadline) == "2026-11-11T15:59:59Z"
    assert app.entries[-1].action == "reminded"
    assert app.state is State.DRAFT


def test_nobody_is_reminded_of_a_draft_that_was_handed_in() -> None:
    assert applications.on_draft_reminder(submitted(), NOW) == []
    effects = hand_in(draft())
    assert ClearDeadline("draft-reminder") in effects


def test_the_customer_is_reminded_of_a_card_until_it_is_activated() -> None:
    app = ordered()
    fact(app, "delivered")
    (reminded,) = payloads(applications.on_activation_reminder(app, NOW))
    assert format_instant(reminded.deadline) == "2026-12-11T15:59:59Z"
    fact(app, "activated")
    assert applications.on_activation_reminder(app, NOW) == []


def test_a_reminder_names_what_has_not_come() -> None:
    app = submitted(MISSING, ("id_back", "DOC_MISSING"))
    bring(app, "id_back")
    reminded = payloads(applications.on_material_reminder(app, NOW))[0]
    assert [item.item for item in reminded.items] == ["work_proof"]


def test_nobody_is_reminded_of_material_that_an_officer_looks_at() -> None:
    app = submitted(MISSING)
    assert app.material_deadline is not None
    app.state = State.PRE_CHECK
    assert applications.on_material_reminder(app, NOW) == []
    assert [entry.action for entry in app.entries].count("reminded") == 0


def test_what_has_ended_sets_nobody_a_term_any_more() -> None:
    """Every term of the customer's, and every reminder of one."""
    own = handlers.DEADLINES
    terms = {name for name in own if name.split("-")[0] in ("draft", "material", "activation")}
    assert len(terms) == 6
    for app in (draft(), submitted(MISSING)):
        ended = applications.withdraw(app, ACTOR, NOW)
        assert {one.name for one in ended if isinstance(one, ClearDeadline)} == terms
    expired = applications.on_draft_deadline(draft(), NOW)
    assert {one.name for one in expired if isinstance(one, ClearDeadline)} == terms


@pytest.mark.parametrize("name", sorted(handlers.DEADLINES))
def test_a_deadline_of_an_ended_application_does_nothing(name: str) -> None:
    app = draft()
    applications.withdraw(app, ACTOR, NOW)
    assert list(handlers.DEADLINES[name](app, NOW + timedelta(days=400))) == []


# --- withdrawing -------------------------------------------------------------------------------


def test_withdrawing_ends_what_lies_with_intake() -> None:
    for app in (draft(), submitted(MISSING)):
        assert names(applications.withdraw(app, ACTOR, NOW)) == ["ApplicationWithdrawn"]
        assert app.state is State.WITHDRAWN
        assert applications.withdraw(app, ACTOR, NOW) == []


def test_review_is_asked_once() -> None:
    app = submitted()
    assert names(applications.withdraw(app, ACTOR, NOW)) == ["WithdrawalRequested"]
    assert applications.withdraw(app, ACTOR, NOW) == []
    assert app.withdrawal is not None
    hear(app, review.WithdrawalGranted, request_id=app.withdrawal.request_id)
    assert (app.state, app.withdrawal.outcome) == (State.WITHDRAWN, "withdrawn")


def test_a_pending_wish_comes_before_the_card_and_before_more_papers() -> None:
    for kind, more in (
        (review.ApplicationApproved, {**GRANTED, "limit": LIMIT}),
        (
            review.MaterialWanted,
            {"items": [{"item": "tax_proof", "code": "DOC_MISSING"}], "staff_id": "s"},
        ),
    ):
        app = submitted()
        hear(app, review.ChecksCompleted)
        hear(app, review.ApplicationReferred, reason_codes=[], policy_version="1")
        applications.withdraw(app, ACTOR, NOW)
        assert names(hear(app, kind, **more)) == ["ApplicationWithdrawn"]
        assert app.state is State.WITHDRAWN


def test_a_refused_wish_after_a_decline_stays_refused() -> None:
    app = submitted()
    hear(app, review.ChecksCompleted)
    applications.withdraw(app, ACTOR, NOW)
    assert app.withdrawal is not None
    wish = app.withdrawal.request_id
    hear(
        app,
        review.ApplicationDeclined,
        **GRANTED,
        category="internal",
        reapply_from=NOW.date(),
    )
    assert hear(app, review.WithdrawalRefused, request_id=wish, reason="already-decided") == []
    assert (app.state, app.withdrawal.outcome) == (State.DECLINED, "refused")


def test_it_is_too_late_for_an_ordered_card() -> None:
    with pytest.raises(ApplicationError) as refused:
        applications.withdraw(ordered(), ACTOR, NOW)
    assert refused.value.code == "card-ordered"


# --- following review --------------------------------------------------------------------------


def test_a_jump_in_the_count_of_transitions_is_refused() -> None:
    app = submitted()
    with pytest.raises(Permanent, match="transition 6, but 4"):
        hear(app, review.ChecksCompleted, 6)


def test_what_cannot_happen_is_refused() -> None:
    with pytest.raises(Permanent):
        hear(draft(), review.ChecksCompleted, 2)


# --- what follows whatever happened --------------------------------------------------------------


def calls(effects: list[Any], kind: str) -> list[Call]:
    return [one for one in effects if isinstance(one, Call) and one.kind == kind]


def test_papers_that_arrive_are_drawn_in_one_call() -> None:
    app = draft()
    assert calls(applications.what_follows(app), applications.PREVIEW) == []
    bring(app, "id_front")
    bring(app, "id_back")
    (call,) = calls(applications.what_follows(app), applications.PREVIEW)
    assert [one["document_id"] for one in call.payload["papers"]] == [
        one.document_id for one in app.documents
    ]


@pytest.mark.parametrize(
    ("happened", "until"),
    [
        ("nothing", None),
        ("waits for material", None),
        ("handed over", "2036-10-12"),
        ("withdrawn", "2036-10-12"),
        ("draft abandoned", "2027-02-09"),  # 90 days after the 30 of a draft
    ],
)
def test_how_long_everything_is_kept_is_told_at_hand_over_and_end(
    happened: str, until: str | None
) -> None:
    app, later = draft(), NOW
    match happened:
        case "waits for material":
            hand_in(app, found(MISSING))
        case "handed over":
            hand_in(app)
        case "withdrawn":
            hand_in(app, found(MISSING))
            applications.withdraw(app, ACTOR, NOW)
        case "draft abandoned":
            later = NOW + timedelta(days=30)
            applications.on_draft_deadline(app, later)
    told = calls(applications.what_follows(app), applications.RETENTION)
    assert [one.payload["until"][:10] for one in told] == ([until] if until else [])
    assert all(one.payload["persons"] == ["p-1"] for one in told)


def test_the_end_counts_anew_and_an_open_case_says_nothing_more() -> None:
    app = draft()
    hand_in(app)
    (first,) = calls(applications.what_follows(app), applications.RETENTION)
    app.entries.clear()  # as when it is loaded again
    assert calls(applications.what_follows(app), applications.RETENTION) == []
    hear(app, review.ChecksCompleted)
    why = {**GRANTED, "category": "internal", "reapply_from": NOW.date()}
    declined = hear(app, review.ApplicationDeclined, **why)
    (second,) = calls(declined, applications.RETENTION)
    assert first.key != second.key


def test_years_later_is_the_same_day() -> None:
    leap = datetime(2028, 2, 29, 12, tzinfo=UTC)
    assert applications.years_after(leap, 10) == datetime(2038, 3, 1, 12, tzinfo=UTC)
    assert applications.years_after(NOW, 10) == NOW.replace(year=2036)


# --- what partners hear ------------------------------------------------------------------------


def test_a_partner_hears_each_status_once() -> None:
    app = submitted(MISSING, partner="mobile-app")
    news = applications.partner_news(app)
    assert [(n.topic, n.subject) for n in news if isinstance(n, Fact)] == [
        ("banka.outbound.mobile-app", "ref-1")
    ]
    assert payloads(news)[0].wanted == app.wanted
    assert applications.partner_news(app) == []
    bring(app, "work_proof")
    applications.recheck(app, SOUND, (), NOW)
    assert payloads(applications.partner_news(app))[0].status == "in-review"
    held = hear(app, review.ApplicationHeld)
    assert payloads(held) == []  # nobody outside learns that a case rests


def test_nobody_outside_sees_how_review_works() -> None:
    shown = {outside_state(state) for state in State}
    assert not shown & {State.ON_HOLD, State.MANUAL_REVIEW, State.SCORING}


# --- any order ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_commands_keeps_to_the_lifecycle(seed: int) -> None:
    """Whatever people, review and partners do: each published move is the lifecycle's, versions
    run without a gap, and what has ended stays so."""
    chance = random.Random(seed)
    app = draft()
    state: str | None = "draft"
    version = 1
    for _ in range(60):
        effects = _something(app, chance)
        for effect in effects:
            if not isinstance(effect, Fact) or effect.data.topic != "banka.applications":
                continue
            moved = lifecycle.advance(state, effect.data.type)
            version += moved.moves
            state = moved.state
            assert effect.state_version == version
        if effects and effects[0] == "review":
            state, version = str(app.state), app.state_version
        assert (app.state, app.state_version) == (state, version)
        if app.state in TERMINAL and app.state is not State.IN_USE:
            assert not payloads(e for e in applications.partner_news(app))


def _something(app: Application, chance: random.Random) -> list[Any]:
    wanted = chance.choice([SOUND, found(MISSING), found(("id_back", "DOC_STALE"), MISSING)])
    act = chance.randrange(9)
    try:
        match act:
            case 0:
                return hand_in(app, wanted)
            case 1 | 2:
                effects = bring(app, chance.choice(["work_proof", "id_back", "tax_proof"]))
                return [*effects, *applications.recheck(app, wanted, (), NOW)]
            case 3 if chance.random() < 0.1:
                return applications.withdraw(app, ACTOR, NOW)
            case 4 | 5:
                return _review(app, chance)
            case 6 | 7:
                kinds = ["produced", "posted", "delivered", "activated", "first-used"]
                return fact(app, chance.choice(kinds))[0]
            case 8 if chance.random() < 0.1:
                name = chance.choice(sorted(handlers.DEADLINES))
                return list(handlers.DEADLINES[name](app, NOW + timedelta(days=100)))
    except ApplicationError:
        return []
    except cards.NotPossible as refusal:
        return refusal.effects
    return []


def _review(app: Application, chance: random.Random) -> list[Any]:
    """One of the moves that review may make; marks that the state moved by it first."""
    possible: list[tuple[type[Any], dict[str, Any]]] = [
        (review.ChecksCompleted, {}),
        (review.ApplicationReferred, {"reason_codes": [], "policy_version": "1"}),
        (review.ApplicationHeld, {}),
        (review.ApplicationReleased, {}),
        (review.ApplicationApproved, {**GRANTED, "limit": LIMIT}),
        (
            review.MaterialWanted,
            {"items": [{"item": "tax_proof", "code": "DOC_MISSING"}], "staff_id": "s"},
        ),
    ]
    able = [(kind, more) for kind, more in possible if app.state in lifecycle.MOVES[kind]]
    if not able:
        return []
    kind, more = chance.choice(able)
    hear(app, kind, **more)
    return ["review"]
