"""The reconciliation: whether what the run left behind agrees with itself and with the plan.

Pure: takes records, plan and receipts, returns lines that hold or do not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.demo.customers import Ledger
from deploy.demo.fates import Trouble, fate_of
from deploy.demo.mobile_app import PARTNER
from deploy.demo.plan import UNREADABLE, Final, Plan
from deploy.demo.records import Records
from services.notify.messages import DECISIONS
from shared.events import catalog, lifecycle
from shared.events.intake import CardOrdered, InboundAccepted, InboundRejected
from shared.events.lifecycle import TERMINAL, State
from shared.events.review import AppealAnswered, ApplicationDeclined

APPLICATIONS = "banka.applications"
_APP_TOPIC = f"banka.inbound.{PARTNER}"
_MB = 1_000_000
MOST_MEMORY = 250 * _MB
_MOST = 20  # differences that a line lists
_REFUSED_TROUBLES = (Trouble.UNKNOWN_CARD, Trouble.OTHER_BODY)


@dataclass(frozen=True, slots=True)
class Line:
    """One statement, whether it holds, and what speaks against it."""

    statement: str
    holds: bool
    found: str
    differences: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What became of every planned application, read from the topic alone.

    `ends`: {key of the plan: state}; `categories`: of declines; `stages`: {state: seconds that
    each application spent there}; `replayed`: {application id: state};
    `versions`: {application id: transitions}; `misnumbered`: transitions that carry another number;
    `never_activated`: whose card, by its fate, is never activated.
    """

    ends: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    replayed: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    never_activated: set[str] = field(default_factory=set)
    impossible: list[str] = field(default_factory=list)
    misnumbered: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Receipts:
    """What the played systems around the office say that they saw, and the most memory that each
    service needed, {name: bytes of each of its processes}; empty where they run elsewhere."""

    gateways: Mapping[str, Any]
    credit_systems: Mapping[str, Any]
    partners: Mapping[str, Any]
    memory: Mapping[str, Sequence[int]] = field(default_factory=dict)


def replay(records: Records, ledger: Ledger, seed: int) -> Outcome:
    """Walk every application through the lifecycle by the events on the topic. `seed`: of the
    cards' fates."""
    outcome = Outcome()
    since: dict[str, Any] = {}
    for record in records.of(APPLICATIONS):
        subject, kind = record.envelope.subject, record.envelope.type
        state = outcome.replayed.get(subject)
        try:
            step = lifecycle.advance(state, kind, into=record.data.get("state"))
        except (lifecycle.IllegalTransition, KeyError) as problem:
            outcome.impossible.append(f"{subject}: {problem}")
            continue
        if step.moves:
            if state is not None and subject in since:
                spent = (record.envelope.time - since[subject]).total_seconds()
                outcome.stages[state].append(spent)
            since[subject] = record.envelope.time
            outcome.replayed[subject] = step.state.value
            number = outcome.versions[subject] = outcome.versions.get(subject, 0) + 1
            if record.envelope.state_version != number:
                outcome.misnumbered.append(
                    f"{subject}: transition {number} is numbered {record.envelope.state_version}"
                )
        if kind == CardOrdered.type:
            fate = fate_of(seed, record.data["application_number"], record.envelope.time)
            if not fate.activated:
                outcome.never_activated.add(subject)
        if "category" in record.data:
            outcome.categories[subject] = str(record.data["category"])
    for key, taken in ledger.taken.items():
        outcome.ends[key] = outcome.replayed.get(taken.application_id, "unknown")
    for key in ledger.refused:
        outcome.ends.setdefault(key, Final.REFUSED.value)
    return outcome


def reconcile(
    plan: Plan,
    ledger: Ledger,
    imported: Sequence[str],
    records: Records,
    outcome: Outcome,
    receipts: Receipts,
) -> list[Line]:
    """Every line of the reconciliation."""
    unreadable = sum(one.kind in UNREADABLE for one in plan.malformed)
    return [
        _answers(ledger),
        _everything_taken(ledger, imported, records),
        _as_planned(plan, outcome, ledger),
        _nothing_open(outcome),
        *agreement(records, outcome, receipts.gateways, {_APP_TOPIC: unreadable}),
        _none_waits(records),
        _partners_answered(plan, records, receipts.partners),
        _stalled(plan, ledger, records),
        _appeals(plan, ledger, records),
        _outages(plan, records, receipts.credit_systems),
        _memory(receipts.memory),
    ]


def agreement(
    records: Records,
    outcome: Outcome,
    gateways: Mapping[str, Any],
    unreadable: Mapping[str, int] | None = None,
) -> list[Line]:
    """The lines that need no plan: they hold at any quiet moment, whatever was played.
    `unreadable`: {topic: records planted there that are no event}."""
    return [
        _one_state(outcome, records),
        _logs(records),
        _once_on_topics(records),
        _readable(records, unreadable or {}),
        _versions(outcome),
        _declines(records, outcome),
        _messages(records, gateways),
        _once_told(records),
        _unknown_messages(records),
        _nothing_parked(records),
    ]


def _line(statement: str, found: str, differences: Iterable[str]) -> Line:
    against = sorted(differences)
    shown = against[:_MOST]
    if len(against) > _MOST:
        shown.append(f"… and {len(against) - _MOST} more")
    return Line(statement, not against, found, tuple(shown))


def _answers(ledger: Ledger) -> Line:
    asked = ", ".join(f"{count} {what}" for what, count in sorted(ledger.requests.items()))
    return _line("every answer was the one that the plan expects", asked, ledger.surprises)


def _one_state(outcome: Outcome, records: Records) -> Line:
    against = [*outcome.impossible]
    views: dict[str, Mapping[str, str | None]] = {"topic": outcome.replayed, **records.states}
    everybody = {one for view in views.values() for one in view}
    for application in everybody:
        seen = {name: view.get(application) for name, view in views.items()}
        if len(set(seen.values())) != 1 or None in seen.values():
            against.append(
                f"{application}: " + ", ".join(f"{name} {state}" for name, state in seen.items())
            )
    return _line(
        "one state for each application, the same in all four services and on the topic",
        f"{len(everybody)} applications",
        against,
    )


def _everything_taken(ledger: Ledger, imported: Sequence[str], records: Records) -> Line:
    known = {taken.application_id for taken in ledger.taken.values()} | set(imported)
    there = set(records.states.get("intake", {}))
    against = [f"{one}: nobody handed it in" for one in there - known]
    against += [f"{one}: was lost" for one in known - there]
    twice = Counter(taken.application_id for taken in ledger.taken.values())
    against += [f"{one}: stands for {count} cases" for one, count in twice.items() if count > 1]
    return _line(
        "every application that was accepted is there, and no other",
        f"{len(ledger.taken)} accepted, {len(imported)} brought over",
        against,
    )


def _as_planned(plan: Plan, outcome: Outcome, ledger: Ledger) -> Line:
    """Who is granted a card uses it in the end, but for the few who never activate it."""
    against = []
    for one in plan.applications:
        taken = ledger.taken.get(one.key)
        application = taken.application_id if taken else ""
        planned = one.final
        if planned is Final.IN_USE and application in outcome.never_activated:
            planned = Final.EXPIRED
        end = outcome.ends.get(one.key, "nothing")
        category = outcome.categories.get(application)
        if end != planned.value:
            against.append(f"{one.key} ({one.story}, {one.route}): {planned} planned, is {end}")
        elif category != one.category:
            against.append(f"{one.key} ({one.story}): declined for {category}, not {one.category}")
    return _line("every case ended as planned", f"{len(plan.applications)} planned cases", against)


def _nothing_open(outcome: Outcome) -> Line:
    against = [
        f"{application}: {state}"
        for application, state in outcome.replayed.items()
        if State(state) not in TERMINAL
    ]
    return _line("every case is closed, or its card is in use", "", against)


def _logs(records: Records) -> Line:
    inbound = "banka.inbound."
    on_topics = Counter(
        (record.topic, record.envelope.type)
        for record in records.events
        if not record.topic.startswith(inbound)
    )
    against = [
        f"{topic} {kind}: {on_topics[(topic, kind)]} on the topic,"
        f" {records.logs[(topic, kind)]} in the logs"
        for topic, kind in {*on_topics, *records.logs}
        if on_topics[(topic, kind)] != records.logs[(topic, kind)]
    ]
    return _line(
        "topics and event logs hold the same events",
        f"{sum(on_topics.values())} events of {len(on_topics)} kinds",
        against,
    )


def _once_on_topics(records: Records) -> Line:
    against = [
        f"{topic}: {count} again"
        for topic, count in records.repeated.items()
        if not topic.startswith(("banka.inbound.", "banka.outbound."))
    ]
    return _line("no event lies on our topics twice", "", against)


def _readable(records: Records, planted: Mapping[str, int]) -> Line:
    against = [
        f"{topic}: {records.unreadable[topic]} records are no event, {planned} planted"
        for topic in {*records.unreadable, *planted}
        if records.unreadable[topic] != (planned := planted.get(topic, 0))
    ]
    return _line(
        "every record is an event, but for those that were planted",
        f"{sum(planted.values())} planted",
        against,
    )


def _versions(outcome: Outcome) -> Line:
    return _line(
        "transitions are counted without a gap",
        f"{sum(outcome.versions.values())} transitions",
        outcome.misnumbered,
    )


def _declines(records: Records, outcome: Outcome) -> Line:
    declined = {one for one, state in outcome.replayed.items() if state == "declined"}
    reasons = Counter(outcome.categories[one] for one in declined if one in outcome.categories)
    against = []
    if sum(reasons.values()) != len(declined):
        against.append(f"{sum(reasons.values())} reasons for {len(declined)} declines")
    for service, view in records.declined.items():
        counted = Counter(view.values())
        if counted != reasons:
            against.append(f"{service} counts {dict(counted)}, the topic {dict(reasons)}")
    return _line("the reasons add up to the declines", f"{len(declined)} declines", against)


def _messages(records: Records, gateways: Mapping[str, Any]) -> Line:
    requested = {
        record.data.get("message_id")
        for record in records.of("banka.contacts")
        if record.envelope.type == "banka.message.requested.v1"
    }
    held = {row["message_id"] for row in records.messages}
    against = [f"{key} went out more than once" for key in gateways["repeated"]]
    if requested != held:
        against.append(f"{len(requested)} asked for on the topic, {len(held)} in notify")
    sent = sum(row["sent_at"] is not None for row in records.messages)
    unsure = sum(row["state"] == "unresolved" for row in records.messages)
    unsure += sum(row["state"] == "requested" for row in records.messages)
    out = sum(channel["taken"] for channel in gateways["channels"].values())
    if not sent <= out <= sent + unsure:
        against.append(f"{out} went out, notify knows of {sent} and is unsure of {unsure}")
    return _line("every message went out at most once", f"{len(held)} messages", against)


def _once_told(records: Records) -> Line:
    """Another channel is tried only where the first has certainly failed; of a decision the
    customer has a copy by e-mail besides."""
    ways: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in records.messages:
        copy = row["template"] in DECISIONS and row["channel"] == "email"
        if row["state"] != "failed":
            news = (row["application_id"], row["cause_id"], row["template"], "copy" * copy)
            ways[news].append(row)
    against = [
        f"{rows[0]['number']} {rows[0]['template']}: "
        + ", ".join(f"{row['channel']} {row['state']}" for row in rows)
        for rows in ways.values()
        if len(rows) > 1
    ]
    return _line("no news was told by a second channel after an unknown first",
                 f"{len(ways)} news", against)  # fmt: skip


def _none_waits(records: Records) -> Line:
    waiting = [row for row in records.messages if row["state"] == "requested"]
    against = [f"{row['number']} {row['template']}: never sent" for row in waiting]
    return _line("no message waits to be sent", "", against)


def _unknown_messages(records: Records) -> Line:
    """Not a fault: where nobody can tell whether a mail arrived, a person has to ask."""
    unsure = [row for row in records.messages if row["state"] == "unresolved"]
    return Line(
        "messages whose fate is unknown are known by name",
        True,
        f"{len(unsure)} to be settled by a person",
        tuple(f"{row['number']} {row['template']} {row['channel']}" for row in unsure),
    )


def _nothing_parked(records: Records) -> Line:
    against = [f"{service}: {count}" for service, count in records.parked.items() if count]
    against += [f"{topic}: {count}" for topic, count in records.dead_letters.items() if count]
    return _line("nothing is parked", "none was planted", against)


def _partners_answered(plan: Plan, records: Records, partners: Mapping[str, Any]) -> Line:
    """Every event of a partner has an answer, and only what was planted is refused."""
    against = []
    accepted = rejected = 0
    unreadable = sum(one.kind in UNREADABLE for one in plan.malformed)
    for partner in catalog.PARTNERS:
        topic = f"banka.inbound.{partner.name}"
        asked = {record.envelope.id for record in records.of(topic)}
        answers = list(records.of(f"banka.outbound.{partner.name}"))
        yes = sum(one.envelope.type == InboundAccepted.type for one in answers)
        no = sum(one.envelope.type == InboundRejected.type for one in answers)
        accepted, rejected = accepted + yes, rejected + no
        answered = {one.data.get("partner_event_id") for one in answers}
        against += [f"{partner.name}: {one} was never answered" for one in asked - answered]
        # what is no event is answered by whatever name it has, if it has any
        others = sum(
            one.data.get("partner_event_id") not in asked
            for one in answers
            if one.envelope.type in (InboundAccepted.type, InboundRejected.type)
        )
        if others != (unreadable if topic == _APP_TOPIC else 0):
            against.append(f"{partner.name}: {others} answers to what is no event")
        if partner.name in partners:
            troubles = partners[partner.name]["troubles"]
            planned = sum(troubles.get(trouble, 0) for trouble in _REFUSED_TROUBLES)
        elif topic != _APP_TOPIC:
            planned = 0
        else:
            planned = len(plan.malformed) + sum(
                bool(action.refused)
                for one in plan.applications
                if one.route == "mobile"
                for action in one.actions
            )
        if no != planned:
            against.append(f"{partner.name}: {no} refused, {planned} planned")
    return _line(
        "every event of a partner was answered, and only what was planted refused",
        f"{accepted} accepted, {rejected} rejected",
        against,
    )


def _stalled(plan: Plan, ledger: Ledger, records: Records) -> Line:
    keys = ledger.keys()
    alarms = {
        keys.get(record.envelope.subject, record.envelope.subject)
        for record in records.of("banka.cases")
        if record.envelope.type == "banka.case.stalled.v1"
    }
    planned = {one.key for one in plan.applications if one.stalls}
    against = [f"{key} raised an alarm" for key in alarms - planned]
    against += [f"{key} raised no alarm" for key in planned - alarms]
    return _line("exactly the stuck cases raised an alarm", f"{len(alarms)} alarms", against)


def _appeals(plan: Plan, ledger: Ledger, records: Records) -> Line:
    keys = ledger.keys()
    deciders: dict[str, list[str]] = {}
    answered: Counter[str] = Counter()
    against = []
    for record in records.of(APPLICATIONS):
        subject = record.envelope.subject
        if record.envelope.type == ApplicationDeclined.type:
            deciders[subject] = list(record.data["decided_by"])
        elif record.envelope.type == AppealAnswered.type:
            answered[subject] += 1
            if record.data["answered_by"] in deciders.get(subject, ()):
                against.append(f"{keys.get(subject, subject)} was answered by who had decided")
    appealed = {one.key for one in plan.applications if one.handling.appeal} & set(ledger.taken)
    found = {keys.get(subject, subject): count for subject, count in answered.items()}
    against += [f"{key} appealed and has no answer" for key in appealed - set(found)]
    against += [f"{key} has an answer to nothing" for key in set(found) - appealed]
    against += [f"{key} has {count} answers" for key, count in found.items() if count > 1]
    return _line(
        "whoever appealed was answered once, by somebody who had not decided",
        f"{len(appealed)} appeals",
        against,
    )


def _outages(plan: Plan, records: Records, bureau: Mapping[str, Any]) -> Line:
    against = []
    asked: dict[tuple[str, str], datetime] = {}
    waited = 0
    for record in records.of("banka.review"):
        check = record.envelope.subject, str(record.data.get("check"))
        if record.envelope.type == "banka.check.requested.v1":
            asked[check] = record.envelope.time
        elif record.envelope.type == "banka.check.completed.v1":
            waited += check in asked and record.envelope.time > asked[check]
            if check[1] == "bureau" and record.data["outcome"] != "answered":
                against.append(f"{check[0]} went on without the bureau's answer")
    for system in {outage.system for outage in plan.outages}:
        planned = sum(outage.calls for outage in plan.outages if outage.system == system)
        refused = bureau[system]["refused"]
        if refused != planned:
            against.append(f"{system}: {refused} calls met the outage, {planned} planned")
    calls = sum(outage.calls for outage in plan.outages)
    told = f"{calls} calls unanswered, {waited} checks waited"
    return _line("who met an outage waited for it, and went on by itself", told, against)


def _memory(peaks: Mapping[str, Sequence[int]]) -> Line:
    statement = f"no process of a service needed more than {MOST_MEMORY // _MB} MB"
    if not peaks:
        return _line(statement, "not measured: the services run elsewhere", ())
    found = ", ".join(
        f"{name} {' + '.join(f'{peak / _MB:.0f}' for peak in family)}"
        for name, family in peaks.items()
    )
    against = [
        f"{name}: {peak / _MB:.0f} MB"
        for name, family in peaks.items()
        for peak in family
        if peak > MOST_MEMORY
    ]
    return _line(statement, f"{found} MB at the most", against)
