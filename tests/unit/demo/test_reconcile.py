"""The reconciliation says yes only where everything agrees: each fault turns its own line."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from rich.console import Console

from deploy.demo.customers import Ledger, Taken
from deploy.demo.memory import peaks
from deploy.demo.plan import Branch, Final, Handling, Malformed, Plan, make_plan
from deploy.demo.reconcile import Line, Receipts, reconcile, replay
from deploy.demo.records import Record, Records
from deploy.demo.results import reconciliation, results
from shared.events import catalog
from shared.events.envelope import Envelope
from shared.events.intake import AppealWish

START = datetime(2026, 10, 12, 1, tzinfo=UTC)
DECLINED = (
    "application.drafted",
    "application.submitted",
    "application.pre-check-started",
    "application.pre-check-passed",
    "application.checks-completed",
    "application.declined",
    "appeal.opened",
    "appeal.answered",
)
BESIDES: dict[str, dict[str, Any]] = {
    "application.declined": {"category": "credit_history", "decided_by": ["S1", "S2"]},
    "appeal.answered": {"answered_by": "S3"},
}


@dataclass
class Run:
    """A run of one declined application, appealed against, in which everything agrees."""

    plan: Plan
    ledger: Ledger
    records: Records
    gateways: dict[str, Any]
    bureau: dict[str, Any]
    partners: dict[str, Any]
    memory: dict[str, list[int]]

    def lines(self) -> dict[str, Line]:
        outcome = replay(self.records, self.ledger, 0)
        receipts = Receipts(self.gateways, self.bureau, self.partners, self.memory)
        lines = reconcile(self.plan, self.ledger, [], self.records, outcome, receipts)
        return {line.statement: line for line in lines}

    def broken(self) -> list[str]:
        return [statement for statement, line in self.lines().items() if not line.holds]


def _record(kind: str, number: int, topic: str = "banka.applications", **data: Any) -> Record:
    envelope = Envelope(
        id=f"{topic}-{number}",
        type=f"banka.{kind}.v1",
        source="/banka/intake",
        subject="A",
        time=START + timedelta(hours=number),
        sequence=number,
        state_version=number if topic == "banka.applications" else None,
    )
    return Record(topic, envelope, data)


@pytest.fixture
def run() -> Run:
    whole = make_plan(1, [Branch("1101", "11")], days=1, per_day=3)
    planned = replace(
        whole.applications[0],
        final=Final.DECLINED,
        category="credit_history",
        stalls=False,
        handling=Handling(appeal=AppealWish.HUMAN_REVIEW),
    )
    plan = replace(whole, applications=(planned,), outages=(), malformed=(), earlier=())
    records = Records()
    for number, kind in enumerate(DECLINED, 1):
        records.events.append(_record(kind, number, **BESIDES.get(kind, {})))
    records.events.append(_record("message.requested", 1, "banka.contacts", message_id="M"))
    records.logs = Counter((one.topic, one.envelope.type) for one in records.events)
    records.states = {service: {"A": "declined"} for service in catalog.SERVICES}
    records.declined = {"review": {"A": "credit_history"}, "reporting": {"A": "credit_history"}}
    records.messages = [
        {"message_id": "M", "application_id": "A", "number": "1", "template": "declined",
         "cause_id": "C", "channel": "sms", "state": "delivered", "reason": "", "sent_at": START}
    ]  # fmt: skip
    return Run(
        plan=plan,
        ledger=Ledger(taken={planned.key: Taken("A", "1")}),
        records=records,
        gateways={"repeated": [], "channels": {"sms": {"taken": 1}}, "troubles": {}},
        bureau={"bureau": {"refused": 0}},
        partners={"card-factory": {"troubles": {}}, "core-banking": {"troubles": {}}},
        memory={"intake": [150_000_000, 110_000_000]},
    )


def test_a_run_that_agrees_holds_line_by_line(run: Run) -> None:
    assert run.broken() == []


def test_the_tables_can_be_shown(run: Run) -> None:
    console = Console(record=True, width=120)
    for table in results(run.plan, replay(run.records, run.ledger, 0), 0):
        console.print(table)
    console.print(reconciliation(list(run.lines().values())))
    text = console.export_text()
    assert "credit history" in text
    assert "✗" not in text


def _lose_in_notify(run: Run) -> None:
    run.records.states["notify"]["A"] = "manual_review"


def _forget_in_review(run: Run) -> None:
    del run.records.states["review"]["A"]


def _another_end(run: Run) -> None:
    run.plan = replace(
        run.plan,
        applications=(replace(run.plan.applications[0], final=Final.IN_USE, category=None),),
    )


def _another_reason(run: Run) -> None:
    run.plan = replace(
        run.plan, applications=(replace(run.plan.applications[0], category="internal"),)
    )


def _never_published(run: Run) -> None:
    run.records.logs[("banka.applications", "banka.document.received.v1")] += 1


def _published_twice(run: Run) -> None:
    run.records.repeated["banka.applications"] += 1


def _miscounted_reason(run: Run) -> None:
    run.records.declined["reporting"]["A"] = None


def _sent_twice(run: Run) -> None:
    run.gateways["repeated"] = ["M"]


def _sent_unknown_to_notify(run: Run) -> None:
    run.gateways["channels"]["sms"]["taken"] = 2


def _told(run: Run, channel: str, **other: Any) -> None:
    """The same news once more, by another channel."""
    message = {**run.records.messages[0], "message_id": channel, "channel": channel, **other}
    run.records.messages.append(message)
    asked = _record("message.requested", 2, "banka.contacts", message_id=channel)
    run.records.events.append(asked)
    run.records.logs[("banka.contacts", asked.envelope.type)] += 1
    run.gateways["channels"]["sms"]["taken"] += message["sent_at"] is not None


def _told_after_unknown(run: Run) -> None:
    run.records.messages[0] |= {"state": "unresolved", "sent_at": None}
    _told(run, "app")


def _told_by_two(run: Run) -> None:
    _told(run, "app", state="unresolved", sent_at=None)


def _copied_twice(run: Run) -> None:
    _told(run, "email")
    _told(run, "email", message_id="again")
    run.records.messages[-1]["message_id"] = "email"


def _never_sent(run: Run) -> None:
    run.records.messages[0] |= {"state": "requested", "sent_at": None}


def _garbage_on_our_topic(run: Run) -> None:
    run.records.unreadable["banka.applications"] = 1


def _garbage_of_the_app(run: Run) -> None:
    run.records.unreadable["banka.inbound.mobile-app"] = 1


def _garbage_gets_lost(run: Run) -> None:
    _plant_garbage(run)
    del run.records.unreadable["banka.inbound.mobile-app"]


def _plant_garbage(run: Run, *, answers: int = 1) -> None:
    planted = Malformed(START, "no-headers", run.plan.applications[0].person, Branch("1101", "11"))
    run.plan = replace(run.plan, malformed=(planted,))
    run.records.unreadable["banka.inbound.mobile-app"] = 1
    for number in range(answers):
        answer = _record("inbound.rejected", number + 1, "banka.outbound.mobile-app")
        run.records.events.append(answer)
        run.records.logs[(answer.topic, answer.envelope.type)] += 1


def _garbage_not_answered(run: Run) -> None:
    _plant_garbage(run, answers=0)


def _garbage_answered_twice(run: Run) -> None:
    _plant_garbage(run, answers=2)


def _another_answered_in_its_place(run: Run) -> None:
    """As many answers as were planned, but one is about an event that was not at fault."""
    _plant_garbage(run)
    asked = _record("partner-application.submitted", 1, "banka.inbound.mobile-app")
    run.records.events.append(asked)
    run.records.events[-2].data["partner_event_id"] = asked.envelope.id


def _misnumbered(run: Run) -> None:
    wrong = run.records.events[2]
    run.records.events[2] = replace(wrong, envelope=replace(wrong.envelope, state_version=4))


def _grown(run: Run) -> None:
    run.memory["review"] = [9_000_000, 250_000_001]


def _parked(run: Run) -> None:
    run.records.parked["review"] = 1


def _dead_letter(run: Run) -> None:
    run.records.dead_letters["review.applications.dead-letters"] = 1


def _alarm(run: Run) -> None:
    alarm = _record("case.stalled", 1, "banka.cases")
    run.records.events.append(alarm)
    run.records.logs[("banka.cases", alarm.envelope.type)] += 1


def _answer(run: Run) -> Record:
    return next(one for one in run.records.events if "appeal.answered" in one.envelope.type)


def _answered_by_who_decided(run: Run) -> None:
    _answer(run).data["answered_by"] = "S2"


def _appealed_without_answer(run: Run) -> None:
    event = _answer(run)
    run.records.events.remove(event)
    run.records.logs[(event.topic, event.envelope.type)] -= 1


def _answered_again(run: Run) -> None:
    event = _record("appeal.answered", len(DECLINED) + 1, answered_by="S3")
    run.records.events.append(event)
    run.records.logs[(event.topic, event.envelope.type)] += 1


def _answered_unasked(run: Run) -> None:
    run.plan = replace(
        run.plan, applications=(replace(run.plan.applications[0], handling=Handling()),)
    )


def _unanswered(run: Run) -> None:
    run.records.events.append(
        _record("partner-card.posted", 1, "banka.inbound.card-factory", reference="x")
    )


def _decided_without_the_bureau(run: Run) -> None:
    ended = _record("check.completed", 1, "banka.review", check="bureau", outcome="unavailable")
    run.records.events.append(ended)


def _surprise(run: Run) -> None:
    run.ledger.surprises.append("0001: submit was answered 500")


def _stranger(run: Run) -> None:
    for service in catalog.SERVICES:
        run.records.states[service]["B"] = "declined"


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (_lose_in_notify, "one state for each application"),
        (_forget_in_review, "one state for each application"),
        (_stranger, "every application that was accepted is there"),
        (_another_end, "every case ended as planned"),
        (_another_reason, "every case ended as planned"),
        (_never_published, "topics and event logs"),
        (_published_twice, "no event lies on our topics twice"),
        (_miscounted_reason, "the reasons add up"),
        (_sent_twice, "every message went out at most once"),
        (_sent_unknown_to_notify, "every message went out at most once"),
        (_told_after_unknown, "no news was told by a second channel"),
        (_told_by_two, "no news was told by a second channel"),
        (_copied_twice, "no news was told by a second channel"),
        (_never_sent, "no message waits"),
        (_garbage_on_our_topic, "every record is an event"),
        (_garbage_of_the_app, "every record is an event"),
        (_garbage_gets_lost, "every record is an event"),
        (_garbage_not_answered, "every event of a partner was answered"),
        (_garbage_answered_twice, "every event of a partner was answered"),
        (_another_answered_in_its_place, "every event of a partner was answered"),
        (_misnumbered, "transitions are counted"),
        (_grown, "no process of a service needed more than 250 MB"),
        (_parked, "nothing is parked"),
        (_dead_letter, "nothing is parked"),
        (_alarm, "exactly the stuck cases"),
        (_unanswered, "every event of a partner was answered"),
        (_answered_by_who_decided, "whoever appealed was answered once"),
        (_appealed_without_answer, "whoever appealed was answered once"),
        (_answered_again, "whoever appealed was answered once"),
        (_answered_unasked, "whoever appealed was answered once"),
        (_decided_without_the_bureau, "who met an outage"),
        (_surprise, "every answer was the one"),
    ],
)
def test_each_fault_turns_its_line(run: Run, fault: Callable[[Run], None], line: str) -> None:
    fault(run)
    assert any(statement.startswith(line) for statement in run.broken())


def test_another_channel_after_a_certain_failure_and_a_copy_of_a_decision_are_no_repetition(
    run: Run,
) -> None:
    run.records.messages[0] |= {"state": "failed", "sent_at": None}
    run.gateways["channels"]["sms"]["taken"] = 0
    _told(run, "app")
    _told(run, "email")
    assert run.broken() == []


def test_planted_garbage_that_was_answered_once_is_no_fault(run: Run) -> None:
    _plant_garbage(run)
    assert run.broken() == []


def test_services_that_run_elsewhere_are_not_measured(run: Run) -> None:
    run.memory = {}
    line = run.lines()["no process of a service needed more than 250 MB"]
    assert line.holds
    assert line.found.startswith("not measured")


def test_the_peak_of_a_process_is_what_it_held_at_the_most() -> None:
    holding = "x = bytearray(90_000_000); del x; print(flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert 90_000_000 < peaks({"it": process.pid})["it"][0] < 250_000_000
        assert psutil.Process(process.pid).memory_info().rss < 90_000_000  # it gave it back
    finally:
        process.communicate(b"\n")


def test_a_child_that_ended_meanwhile_needs_nothing() -> None:
    left = "import os; os.fork() or os._exit(0); print(flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", left], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        (child,) = psutil.Process(process.pid).children()
        while child.status() != psutil.STATUS_ZOMBIE:
            continue
        assert len(peaks({"it": process.pid})["it"]) == 1
    finally:
        process.communicate(b"\n")


def test_an_open_case_is_told(run: Run) -> None:
    run.records.events = [one for one in run.records.events if "declined" not in one.envelope.type]
    assert "every case is closed, or its card is in use" in run.broken()


def test_a_transition_that_cannot_be_is_told(run: Run) -> None:
    run.records.events.append(_record("application.approved", 7))
    assert any(one.startswith("one state") for one in run.broken())
