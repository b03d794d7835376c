"""The reconciliation says yes only where everything agrees: each fault turns its own line."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from deploy.demo.customers import Ledger, Taken
from deploy.demo.plan import Branch, Final, Plan, make_plan
from deploy.demo.reconcile import Line, Receipts, reconcile, replay
from deploy.demo.records import Record, Records
from deploy.demo.results import reconciliation, results
from shared.events import catalog
from shared.events.envelope import Envelope

START = datetime(2026, 10, 12, 1, tzinfo=UTC)
DECLINED = (
    "application.drafted",
    "application.submitted",
    "application.pre-check-started",
    "application.pre-check-passed",
    "application.checks-completed",
    "application.declined",
)


@dataclass
class Run:
    """A run of one declined application in which everything agrees."""

    plan: Plan
    ledger: Ledger
    records: Records
    gateways: dict[str, Any]
    bureau: dict[str, Any]
    partners: dict[str, Any]

    def lines(self) -> dict[str, Line]:
        outcome = replay(self.records, self.ledger, 0)
        receipts = Receipts(self.gateways, self.bureau, self.partners)
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
        whole.applications[0], final=Final.DECLINED, category="credit_history", stalls=False
    )
    plan = replace(whole, applications=(planned,), outages=(), malformed=(), earlier=())
    records = Records()
    for number, kind in enumerate(DECLINED, 1):
        more = {"category": "credit_history"} if kind.endswith("declined") else {}
        records.events.append(_record(kind, number, **more))
    records.events.append(_record("message.requested", 1, "banka.contacts", message_id="M"))
    records.logs = Counter((one.topic, one.envelope.type) for one in records.events)
    records.states = {service: {"A": "declined"} for service in catalog.SERVICES}
    records.declined = {"review": {"A": "credit_history"}, "reporting": {"A": "credit_history"}}
    records.messages = [
        {"message_id": "M", "number": "1", "template": "declined", "channel": "sms",
         "state": "delivered", "reason": "", "sent_at": START}
    ]  # fmt: skip
    return Run(
        plan=plan,
        ledger=Ledger(taken={planned.key: Taken("A", "1")}),
        records=records,
        gateways={"repeated": [], "channels": {"sms": {"taken": 1}}, "troubles": {}},
        bureau={"bureau": {"refused": 0}},
        partners={"card-factory": {"troubles": {}}, "core-banking": {"troubles": {}}},
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


def _parked(run: Run) -> None:
    run.records.parked["review"] = 1


def _dead_letter(run: Run) -> None:
    run.records.dead_letters["review.applications.dead-letters"] = 1


def _alarm(run: Run) -> None:
    alarm = _record("case.stalled", 1, "banka.cases")
    run.records.events.append(alarm)
    run.records.logs[("banka.cases", alarm.envelope.type)] += 1


def _unanswered(run: Run) -> None:
    run.records.events.append(
        _record("partner-card.posted", 1, "banka.inbound.card-factory", reference="x")
    )


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
        (_parked, "nothing is parked"),
        (_dead_letter, "nothing is parked"),
        (_alarm, "exactly the stuck cases"),
        (_unanswered, "every event of a partner was answered"),
        (_surprise, "every answer was the one"),
    ],
)
def test_each_fault_turns_its_line(run: Run, fault: Callable[[Run], None], line: str) -> None:
    fault(run)
    assert any(statement.startswith(line) for statement in run.broken())


def test_an_open_case_is_told(run: Run) -> None:
    run.records.events = [one for one in run.records.events if "declined" not in one.envelope.type]
    assert "every case is closed, or its card is in use" in run.broken()


def test_a_transition_that_cannot_be_is_told(run: Run) -> None:
    run.records.events.append(_record("application.approved", 7))
    assert any(one.startswith("one state") for one in run.broken())
