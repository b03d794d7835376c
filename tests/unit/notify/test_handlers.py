"""From events to messages and back: what is requested, sent, dropped, tried elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest

from services.notify.application import (
    Application,
    MessageState,
    NotUnresolvedError,
    SentEvidence,
    UnsentEvidence,
)
from services.notify.handlers import REPORT, Handlers, decide_language
from services.notify.messages import Channel, Template, channels_for
from shared.events import intake, notify, review
from shared.events.payload import ApplicationEvent, Party, PartyRole
from shared.events.payload import Channel as CameBy
from shared.messaging import (
    Call,
    ClaimedCall,
    Effect,
    Exhausted,
    Fact,
    Received,
    Refused,
    Result,
    Succeeded,
    Unknown,
)
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters.models import SendWindow
from shared.privacy.sealing import Sealed

NOW = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)  # 10:00 in the office
NIGHT = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)  # 23:00
MORNING = datetime(2026, 11, 3, 0, 0, tzinfo=UTC)
SEALED = Sealed("bk1.01890000-0000-7000-8000-000000000000." + "A" * 40)
handlers = Handlers(lambda: SendWindow(opens=time(8), closes=time(21)), ZoneInfo("Asia/Shanghai"))

ABOUT: dict[str, Any] = {
    "application_id": "a-1",
    "application_number": "110120261102000017",
    "branch": "1101",
    "region": "11",
    "channel": CameBy.WEB,
    "product": "standard",
    "product_version": "2026.1",
    "applicant_type": "salaried",
}


def party(*fields: str, role: PartyRole = PartyRole.APPLICANT, party_id: str = "p-1") -> Party:
    return Party(party_id=party_id, person="x", role=role, fields=dict.fromkeys(fields, SEALED))


def submitted(*fields: str, **changes: Any) -> intake.ApplicationSubmitted:
    about = {**ABOUT, **changes}
    parties = [
        party("mobile", "name", role=PartyRole.CONTACT, party_id="p-0"),
        party("name", "salutation", "id_number", *fields),
    ]
    return intake.ApplicationSubmitted(
        **about, parties=parties, new_to_bank=True, age_band="26-35", income_band="unknown"
    )


def material(code: str = "DOC_MISSING") -> intake.MaterialRequested:
    return intake.MaterialRequested(
        **ABOUT,
        items=[intake.WantedItem(item="work_proof", code=code)],
        deadline=NOW + timedelta(days=14),
        round=1,
    )


def opened_appeal() -> review.AppealOpened:
    return review.AppealOpened(
        **ABOUT,
        appeal_id="q",
        appeal_number="1-1",
        wish=intake.AppealWish.EXPLANATION,
        working_days=15,
    )


def answered_appeal(outcome: Literal["explained", "upheld", "changed"]) -> review.AppealAnswered:
    return review.AppealAnswered(
        **ABOUT,
        appeal_id="q",
        appeal_number="1-1",
        outcome=outcome,
        category=None,
        automatic=False,
        answered_by="r",
    )


def answered_about_a_limit(
    outcome: Literal["explained", "upheld", "changed"], change: str | None = None
) -> review.AppealAnswered:
    return answered_appeal(outcome).model_copy(
        update={
            "about": "limit",
            "automatic": True,
            "basis": review.LimitBasis.INCOME,
            "change_number": change,
        }
    )


OF_A_LIMIT = {"change_id": "c", "change_number": "1-L1"}


def of_a_limit(kind: type[Any], change: str, **more: Any) -> Any:
    return kind.model_validate({**ABOUT, **OF_A_LIMIT, "kind": change, **more})


def opened_limit(*, by_bank: bool = False) -> Any:
    return of_a_limit(review.LimitChangeOpened, "increase", by_bank=by_bank, working_days=10)


def decided_limit(change: str, outcome: str = "granted", *, by_bank: bool = False) -> Any:
    granted = outcome == "granted"
    return of_a_limit(
        review.LimitChangeDecided,
        change,
        by_bank=by_bank,
        outcome=outcome,
        limit=Money.of(20_000) if granted else None,
        effective_on=date(2026, 11, 6) if granted else None,
        until=date(2026, 11, 20) if change == "temporary" else None,
        automatic=False,
        decided_by=["a", "b"],
    )


def expired_limit(why: str) -> Any:
    return of_a_limit(review.LimitExpired, "temporary", limit=Money.of(10_000), why=why)


def answered_dispute(
    outcome: Literal["corrected", "upheld", "annotated"],
) -> review.DisputeAnswered:
    return review.DisputeAnswered(
        **ABOUT, dispute_id="q", dispute_number="1-D1", outcome=outcome, answered_by="r"
    )


def code(text: str = "A") -> intake.AccessCodeIssued:
    """A code for the customer's own page, sealed; another text, another code."""
    sealed = Sealed("bk1.01890000-0000-7000-8000-000000000000." + text * 40)
    return intake.AccessCodeIssued(
        **ABOUT,
        party_id="p-1",
        code=sealed,
        valid_until=NOW + timedelta(days=30),
        issued_by="staff:A0101",
    )


def decided(kind: type[review.Decided], **more: Any) -> review.Decided:
    return kind(
        **ABOUT,
        decision_id="d",
        reason_codes=[],
        policy_version="1",
        policy_digest="x",
        automatic=False,
        decided_by=["s1", "s2"],
        **more,
    )


_counted = iter(range(1, 1_000_000))


def received(data: ApplicationEvent, origin: str = "live", at: datetime = NOW) -> Received[Any]:
    number = next(_counted)
    return Received(
        id=f"e-{number}",
        type=data.type,
        source="/banka/intake",
        subject="a-1",
        time=at,
        recorded_time=at,
        sequence=number,
        state_version=1,
        causation_id=None,
        correlation_id="c",
        traceparent=None,
        origin=origin,
        data=data,
        topic="banka.applications",
        partition=0,
        offset=number,
    )


def application(*fields: str, state: str = "draft", **changes: Any) -> Application:
    """An application after it was submitted, moved on to `state`, with no message yet."""
    one = Application(application_id="a-1", state="draft")
    list(handlers.on_event(received(submitted(*fields, **changes)), one, NOW))
    one.messages.clear()
    one.touched.clear()
    one.state = state
    return one


def facts(effects: Iterable[Effect]) -> list[Any]:
    return [effect.data for effect in effects if isinstance(effect, Fact)]


def calls(effects: Iterable[Effect]) -> list[Call]:
    return [effect for effect in effects if isinstance(effect, Call)]


def answered(result: Result, call: Call, attempt: int = 1) -> Result:
    claimed = ClaimedCall(call.kind, call.key, "a-1", call.payload, attempt)
    return replace(result, call=claimed)


def test_a_submitted_application_is_confirmed_by_sms() -> None:
    one = Application(application_id="a-1", state="draft")
    event = received(submitted("mobile"))
    effects = list(handlers.on_event(event, one, NOW))
    [fact], [call] = facts(effects), calls(effects)
    assert fact == notify.MessageRequested(
        message_id=fact.message_id,
        application_id="a-1",
        branch="1101",
        template="received",
        template_version="2",
        channel="sms",
        language="zh-CN",
        not_before=NOW,
    )
    assert (call.kind, call.not_before, call.payload) == (
        "sms",
        NOW,
        {"message_id": fact.message_id},
    )
    assert one.messages[fact.message_id].cause_id == event.id


def test_only_the_applicant_s_contact_fields_are_kept() -> None:
    one = application("mobile", "email")
    assert (one.party_id, set(one.contact)) == ("p-1", {"name", "salutation", "mobile", "email"})


@pytest.mark.parametrize("kind", [intake.PreCheckPassed, intake.ApplicationCorrected])
def test_contact_data_that_were_put_right_are_learnt(kind: type[ApplicationEvent]) -> None:
    one = application("mobile", state="pre_check")
    newer = Sealed("bk1.01890000-0000-7000-8000-000000000000." + "B" * 40)
    more: dict[str, Any] = {"fields": ["mobile"]}
    if kind is intake.PreCheckPassed:
        more = {
            "consent": {"signed_at": NOW, "purpose": "信用卡审批"},
            "documents": [],
            "new_to_bank": True,
            "age_band": "26-35",
            "income_band": "unknown",
            "submitted_at": NOW,
        }
    mended = party().model_copy(update={"fields": {"mobile": newer, "email": newer}})
    event = kind.model_validate({**ABOUT, "parties": [mended], **more})
    assert facts(handlers.on_event(received(event), one, NOW)) == []
    assert one.contact == {"mobile": str(newer), "email": str(newer)}


def test_the_same_event_names_the_same_message() -> None:
    event = received(submitted("mobile"))
    ids = []
    for _ in range(2):
        one = Application(application_id="a-1", state="draft")
        ids.append(calls(handlers.on_event(event, one, NOW))[0].key)
    assert ids[0] == ids[1]
    other = Application(application_id="a-1", state="draft")
    assert calls(handlers.on_event(received(submitted("mobile")), other, NOW))[0].key != ids[0]


def test_nobody_is_told_of_an_imported_application_but_its_way_on_is_told() -> None:
    one = Application(application_id="a-1")
    imported = intake.ApplicationImported(
        **ABOUT,
        state="manual_review",
        parties=[party("mobile")],
        new_to_bank=False,
        age_band="x",
        income_band="x",
        submitted_at=NOW,
    )
    assert list(handlers.on_event(received(imported, origin="imported"), one, NOW)) == []
    withdrawn = review.WithdrawalGranted(**ABOUT, request_id="r")
    copy = replace(one)
    assert list(handlers.on_event(received(withdrawn, origin="imported"), copy, NOW)) == []
    assert copy.state == "withdrawn"
    approved = decided(review.ApplicationApproved, limit={"minor": 1, "currency": "CNY"})
    assert [f.template for f in facts(handlers.on_event(received(approved), one, NOW))] == [
        "approved"
    ]


def test_an_event_that_cannot_happen_is_parked() -> None:
    with pytest.raises(Permanent):
        list(handlers.on_event(received(material()), Application(application_id="a-1"), NOW))


@pytest.mark.parametrize(
    ("state", "data", "template"),
    [
        ("pre_check", material(), "material_wanted"),
        ("awaiting_material", material(), "material_wanted"),
        ("pre_check", intake.ApplicationWithdrawn(**ABOUT, request_id="r"), "withdrawn"),
        ("checking", review.WithdrawalGranted(**ABOUT, request_id="r"), "withdrawn"),
        (
            "awaiting_material",
            intake.ApplicationExpired(**ABOUT, reason="material-not-supplied"),
            "expired",
        ),
        (
            "delivered",
            intake.ApplicationExpired(**ABOUT, reason="card-not-activated"),
            "card_lapsed",
        ),
        # the reminder said that a draft would be closed, and nothing was handed in
        ("draft", intake.ApplicationExpired(**ABOUT, reason="draft-abandoned"), None),
        ("delivered", intake.ActivationReminded(**ABOUT, deadline=NOW), "activation_reminder"),
        ("card_producing", intake.CardPosted(**ABOUT, card_id="c"), "card_posted"),
        ("delivered", intake.CardActivated(**ABOUT, card_id="c"), "activated"),
        ("activated", intake.CardFirstUsed(**ABOUT, card_id="c"), "first_use"),
        ("checking", code(), "access_code"),
        ("declined", code(), "access_code"),
        ("declined", opened_appeal(), "appeal_opened"),
        ("declined", answered_appeal("explained"), "appeal_explained"),
        ("declined", answered_appeal("upheld"), "appeal_upheld"),
        ("declined", answered_appeal("changed"), "appeal_changed"),
        ("approved", answered_about_a_limit("explained"), "appeal_limit_explained"),
        ("in_use", answered_about_a_limit("upheld"), "appeal_limit_upheld"),
        ("in_use", answered_about_a_limit("changed", "1-L1"), "appeal_limit_begun"),
        ("delivered", answered_about_a_limit("changed"), "appeal_limit_invited"),
        ("in_use", opened_limit(), "limit_asked"),
        ("in_use", opened_limit(by_bank=True), None),
        ("in_use", decided_limit("increase"), "limit_raised"),
        ("in_use", decided_limit("temporary"), "limit_raised_until"),
        ("in_use", decided_limit("decrease"), "limit_lowered"),
        ("in_use", decided_limit("decrease", by_bank=True), "limit_lowered_by_bank"),
        ("in_use", decided_limit("increase", "refused"), "limit_refused"),
        ("in_use", decided_limit("decrease", "refused", by_bank=True), None),
        (
            "in_use",
            of_a_limit(review.LimitExpiring, "temporary", until=date(2026, 11, 20)),
            "limit_expiring",
        ),
        ("in_use", expired_limit("term"), "limit_expired"),
        ("in_use", expired_limit("lowered"), None),
        (
            "checking",
            review.DisputeOpened(**ABOUT, dispute_id="q", dispute_number="1-D1", days=20),
            "dispute_opened",
        ),
        ("checking", answered_dispute("corrected"), "dispute_corrected"),
        ("declined", answered_dispute("upheld"), "dispute_upheld"),
        ("in_use", answered_dispute("annotated"), "dispute_annotated"),
        # news that comes late is no news, and what goes on inside the bank is none either
        ("delivered", intake.CardPosted(**ABOUT, card_id="c"), None),
        ("in_use", intake.CardActivated(**ABOUT, card_id="c"), None),
        ("checking", review.ApplicationHeld(**ABOUT), None),
        ("on_hold", review.ApplicationReleased(**ABOUT), None),
        ("scoring", review.ApplicationReferred(**ABOUT, reason_codes=[], policy_version="1"), None),
    ],
)
def test_what_each_event_tells_the_customer(
    state: str, data: ApplicationEvent, template: str | None
) -> None:
    effects = list(handlers.on_event(received(data), application("mobile", state=state), NOW))
    assert [fact.template for fact in facts(effects)] == ([template] if template else [])


def test_a_decision_is_also_copied_by_e_mail() -> None:
    declined = decided(
        review.ApplicationDeclined,
        category=review.DeclineCategory.INTERNAL,
        reapply_from=date(2027, 2, 1),
    )
    one = application("mobile", "email", state="scoring")
    effects = list(handlers.on_event(received(declined), one, NOW))
    assert [call.kind for call in calls(effects)] == ["sms", "email"]
    assert all("2027年2月1日" in message.body for message in one.messages.values())


def test_a_code_stays_sealed_and_never_goes_by_e_mail() -> None:
    one = application("mobile", "email", state="checking")
    [call] = calls(handlers.on_event(received(code()), one, NOW))
    [message] = one.messages.values()
    assert (call.kind, message.channel) == ("sms", Channel.SMS)
    assert "{access_code}" in message.body
    assert message.details["code"] == str(code().code)
    assert calls(handlers.on_sent(answered(Refused("refused"), call), one, NOW)) == []
    only_email = application("email", state="checking")
    told = facts(handlers.on_event(received(code()), only_email, NOW))
    assert [getattr(fact, "reason", "") for fact in told] == ["", "no-address"]


def test_a_code_that_waits_for_the_morning_gives_way_to_the_next() -> None:
    one = application("mobile", state="checking")
    first = list(handlers.on_event(received(code("A")), one, NIGHT))
    second = replace(received(code("B")), id="another")
    told = facts(handlers.on_event(second, one, NIGHT + timedelta(minutes=5)))
    assert isinstance(told[0], notify.MessageFailed)
    assert told[0].message_id == facts(first)[0].message_id
    waiting = [m for m in one.messages.values() if m.state is MessageState.REQUESTED]
    assert [m.details["code"] for m in waiting] == [str(code("B").code)]


def test_a_draft_is_reminded_of_to_whom_the_reminder_names_and_not_once_it_is_handed_in() -> None:
    one = Application(application_id="a-1", state="draft")
    reminded = intake.DraftReminded(**ABOUT, addressee=party("mobile"), deadline=NOW)
    effects = list(handlers.on_event(received(reminded), one, NIGHT))
    assert [fact.template for fact in facts(effects)] == ["draft_reminder"]
    assert [call.not_before for call in calls(effects)] == [MORNING]
    assert (one.party_id, set(one.contact)) == ("p-1", {"mobile"})
    told = facts(handlers.on_event(received(submitted("mobile")), one, NIGHT))
    assert [(type(fact), fact.template) for fact in told] == [
        (notify.MessageFailed, "draft_reminder"),
        (notify.MessageRequested, "received"),
    ]


def test_an_app_customer_is_told_in_the_app() -> None:
    one = application("mobile", state="pre_check", channel=CameBy.MOBILE_APP)
    event = received(material().model_copy(update={"channel": CameBy.MOBILE_APP}))
    assert [call.kind for call in calls(handlers.on_event(event, one, NOW))] == ["app"]


def test_without_an_address_the_message_fails_at_once() -> None:
    effects = list(handlers.on_event(received(material()), application(state="pre_check"), NOW))
    assert [type(fact) for fact in facts(effects)] == [
        notify.MessageRequested,
        notify.MessageFailed,
    ]
    assert facts(effects)[1].reason == "no-address"
    assert calls(effects) == []


def test_a_waiting_message_is_dropped_once_it_is_no_longer_true() -> None:
    one = application("mobile", state="pre_check")
    [call] = calls(handlers.on_event(received(material()), one, NIGHT))
    assert call.not_before == MORNING
    withdrawn = intake.ApplicationWithdrawn(**ABOUT, request_id="r")
    later = NIGHT + timedelta(minutes=5)
    told = facts(handlers.on_event(received(withdrawn), one, later))
    assert [(type(fact), fact.template) for fact in told] == [
        (notify.MessageFailed, "material_wanted"),
        (notify.MessageRequested, "withdrawn"),
    ]
    # the worker that comes in the morning changes nothing any more
    assert list(handlers.on_sent(answered(Refused("outdated"), call), one, MORNING)) == []


def sms(**changes: Any) -> tuple[Application, Call]:
    one = application("mobile", "email", state="pre_check", **changes)
    [call] = calls(handlers.on_event(received(material()), one, NOW))
    return one, call


def test_an_sms_is_sent_then_asked_for_then_delivered() -> None:
    one, call = sms()
    taken = Succeeded({"id": "g-1", "status": "accepted"})
    sent = list(handlers.on_sent(answered(taken, call), one, NOW))
    assert [type(fact) for fact in facts(sent)] == [notify.MessageSent]
    [look] = calls(sent)
    assert (look.kind, look.payload["gateway_id"], look.not_before) == (
        REPORT,
        "g-1",
        NOW + timedelta(minutes=2),
    )
    early = Succeeded({"status": "accepted"})
    [again] = calls(handlers.on_report(answered(early, look), one, NOW))
    assert again.key != look.key
    done = list(handlers.on_report(answered(Succeeded({"status": "delivered"}), again), one, NOW))
    assert [type(fact) for fact in facts(done)] == [notify.MessageDelivered]
    [message] = one.messages.values()
    assert message.state is MessageState.DELIVERED
    assert [entry.state for entry in message.history] == ["requested", "sent", "delivered"]


def test_the_gateway_is_asked_a_few_times_and_then_left_alone() -> None:
    one, call = sms()
    sent = list(handlers.on_sent(answered(Succeeded({"id": "g-1"}), call), one, NOW))
    looks = 0
    while found := calls(sent):
        looks += 1
        sent = list(handlers.on_report(answered(Exhausted("timeout"), found[0]), one, NOW))
    assert looks == 5
    assert [one.state for one in one.messages.values()] == [MessageState.SENT]


@pytest.mark.parametrize("result", [Refused("refused", "unknown-number"), Refused("exhausted")])
def test_what_fails_by_sms_goes_by_e_mail(result: Refused) -> None:
    one, call = sms()
    effects = list(handlers.on_sent(answered(result, call), one, NOW))
    assert [(type(fact), fact.channel) for fact in facts(effects)] == [
        (notify.MessageFailed, "sms"),
        (notify.MessageRequested, "email"),
    ]
    assert [found.kind for found in calls(effects)] == ["email"]


def test_what_did_not_arrive_goes_by_e_mail() -> None:
    one, call = sms()
    sent = list(handlers.on_sent(answered(Succeeded({"id": "g"}), call), one, NOW))
    failed = Succeeded({"status": "failed"})
    told = facts(handlers.on_report(answered(failed, calls(sent)[0]), one, NOW))
    assert [(type(fact), fact.channel) for fact in told] == [
        (notify.MessageFailed, "sms"),
        (notify.MessageRequested, "email"),
    ]
    assert told[0].reason == "undelivered"


@pytest.mark.parametrize("result", [Unknown("after DATA"), Exhausted("no answer within 15 s")])
def test_what_nobody_can_tell_is_unresolved_and_not_sent_elsewhere(result: Result) -> None:
    one, call = sms()
    effects = list(handlers.on_sent(answered(result, call), one, NOW))
    assert [type(fact) for fact in facts(effects)] == [notify.MessageUnresolved]
    assert calls(effects) == []


def unresolved() -> tuple[Application, str]:
    one, call = sms()
    list(handlers.on_sent(answered(Unknown("x"), call), one, NOW))
    return one, call.payload["message_id"]


def test_a_person_marks_an_unresolved_message_as_sent() -> None:
    one, message_id = unresolved()
    effects = list(
        handlers.decide_sent(message_id, "staff:s1", SentEvidence.CUSTOMER_HAS_IT)(one, NOW)
    )
    assert [type(fact) for fact in facts(effects)] == [notify.MessageSent]
    entry = one.messages[message_id].history[-1]
    assert (entry.state, entry.actor, entry.detail) == ("sent", "staff:s1", "customer-has-it")
    with pytest.raises(NotUnresolvedError):
        list(handlers.decide_sent(message_id, "staff:s1", SentEvidence.GATEWAY_HAS_IT)(one, NOW))


def test_a_person_has_an_unresolved_message_sent_again_within_the_window() -> None:
    one, message_id = unresolved()
    effects = list(
        handlers.decide_send_again(message_id, "staff:s1", UnsentEvidence.GATEWAY_LACKS_IT)(
            one, NIGHT
        )
    )
    [call] = calls(effects)
    assert call.not_before == MORNING
    assert call.key == f"{message_id}/2"
    assert one.messages[message_id].state is MessageState.REQUESTED


def test_further_messages_are_in_the_language_that_was_chosen() -> None:
    one = application("mobile", state="pre_check")
    list(decide_language("en", "staff:A0101")(one, NOW))
    [fact] = facts(handlers.on_event(received(material()), one, NOW))
    assert fact.language == "en"
    assert "Proof of work" in one.messages[fact.message_id].body


@pytest.mark.parametrize("template", Template)
@pytest.mark.parametrize("came_by", CameBy)
def test_no_message_goes_by_a_channel_that_does_not_lead_to_the_customer(
    template: Template, came_by: CameBy
) -> None:
    for mobile in (False, True):
        for email in (False, True):
            found = channels_for(template, came_by, has_mobile=mobile, has_email=email)
            assert len(set(found)) == len(found)
            assert mobile or Channel.SMS not in found
            assert email or Channel.EMAIL not in found
            assert (Channel.APP in found) == (came_by is CameBy.MOBILE_APP)
