"""The checker of the fault suite, with made-up observations: what is right passes, and each breach
of a promise is reported under its letter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.messaging.relay import SHARDS
from tests.faults.checker import PROMISES, check, letters
from tests.faults.history import Command, History, Outcome
from tests.faults.observed import Applied, Database, Entry, Observed, OnTopic, Waiting
from tests.faults.office import STAGES

TOPIC = "banka.applications.t"
STEPS = (("intake", "submitted"), ("review", "approved"), ("intake", "card-ordered"))


def office() -> tuple[Observed, History]:
    """One application that went all the way, everywhere."""
    observed, history = Observed(), History()
    history.commands["c-1"] = Command("c-1", "a-1", "http", "submit", Outcome.ACKNOWLEDGED, 1)
    databases = {stage: Database(stage) for stage in STAGES}
    observed.databases = databases
    counts: dict[str, int] = {}
    records = []
    for version, (stage, word) in enumerate(STEPS, start=1):
        counts[stage] = counts.get(stage, 0) + 1
        command = "c-1" if word == "submitted" else None
        body = json.dumps({"application_id": "a-1", "command_id": command, "mood": "fine"})
        entry = Entry(
            f"/banka/{stage}", version, TOPIC, "a-1", counts[stage], f"e-{version}",
            f"banka.small.{word}.v1", version, body.replace(": ", ":").encode(),
        )  # fmt: skip
        databases[stage].log.append(entry)
        records.append(
            OnTopic(
                TOPIC, 0, version - 1, "a-1", entry.source, entry.sequence, entry.event_id,
                entry.type, version, entry.body,
            )
        )  # fmt: skip
        for database in databases.values():
            database.applied.append(
                Applied(TOPIC, "a-1", entry.source, entry.sequence, entry.event_id, version)
            )
    for stage, database in databases.items():
        database.states["a-1"] = ("card-ordered", 3)
        database.offsets[f"{stage}.t", TOPIC, 0] = 3
        database.holders = dict.fromkeys(range(SHARDS), 1)
    databases["reporting"].tally = {"card-ordered": 1}
    observed.topics[TOPIC], observed.ends = records, {(TOPIC, 0): 3}
    return observed, history


def test_what_is_right_passes() -> None:
    assert check(*office()) == []


def _not_in_log(observed: Observed, history: History) -> None:
    history.commands["c-2"] = Command("c-2", "a-2", "http", "submit", Outcome.ACKNOWLEDGED, 1)


def _done_though_refused(observed: Observed, history: History) -> None:
    history.commands["c-1"].outcome = Outcome.REFUSED


def _not_published(observed: Observed, history: History) -> None:
    observed.topics[TOPIC].pop()


def _still_in_the_outbox(observed: Observed, history: History) -> None:
    log = observed.databases["intake"].log
    log[0] = replace(log[0], pending=True)


def _not_logged(observed: Observed, history: History) -> None:
    observed.databases["review"].log.clear()


def _a_hole(observed: Observed, history: History) -> None:
    log = observed.databases["intake"].log
    log[1] = replace(log[1], sequence=3)


def _out_of_order(observed: Observed, history: History) -> None:
    records = observed.topics[TOPIC]
    records[0], records[1] = records[1], records[0]


def _applied_twice(observed: Observed, history: History) -> None:
    applied = observed.databases["notify"].applied
    applied.append(applied[-1])


def _told_twice(observed: Observed, history: History) -> None:
    history.outside.about.update({"k-1": ("a-1", "e-1"), "k-2": ("a-1", "e-1")})


def _applied_out_of_order(observed: Observed, history: History) -> None:
    observed.databases["notify"].applied.reverse()


def _passed_over(observed: Observed, history: History) -> None:
    observed.databases["notify"].applied.pop(1)


def _skipped_by_nobody(observed: Observed, history: History) -> None:
    database = observed.databases["notify"]
    database.applied.pop()
    database.skipped.add(("notify.t", "e-3"))


def _past_a_blocked_head(observed: Observed, history: History) -> None:
    observed.databases["notify"].waiting.append(_waiting(sequence=1, event_id="e-1"))


def _waits_for_no_reason(observed: Observed, history: History) -> None:
    database = observed.databases["notify"]
    database.applied.pop()
    database.waiting.append(_waiting(sequence=2, event_id="e-3"))


def _waiting(*, sequence: int, event_id: str) -> Waiting:
    return Waiting(
        "notify.t", TOPIC, 0, 2, "a-1", "/banka/intake", sequence, event_id, None, "parked", "no"
    )


def _miscounted(observed: Observed, history: History) -> None:
    observed.databases["reporting"].tally = {"card-ordered": 2}


def _ahead_of_the_end(observed: Observed, history: History) -> None:
    observed.databases["review"].offsets["review.t", TOPIC, 0] = 4


def _unread(observed: Observed, history: History) -> None:
    observed.databases["review"].offsets["review.t", TOPIC, 0] = 2


def _not_at_its_end(observed: Observed, history: History) -> None:
    for database in observed.databases.values():
        database.states["a-1"] = ("approved", 2)


def _without_authority(observed: Observed, history: History) -> None:
    log = observed.databases["review"].log
    log[0] = replace(log[0], source="/banka/notify")


def _two_ends(observed: Observed, history: History) -> None:
    observed.databases["notify"].states["a-1"] = ("declined", 2)


def _other_bytes(observed: Observed, history: History) -> None:
    records = observed.topics[TOPIC]
    records.append(replace(records[-1], offset=3, body=b"{}"))


def _no_holder(observed: Observed, history: History) -> None:
    observed.databases["intake"].holders.pop(0)


@pytest.mark.parametrize(
    ("letter", "breach"),
    [
        ("A", _not_in_log),
        ("A", _done_though_refused),
        ("B", _not_published),
        ("B", _still_in_the_outbox),
        ("C", _not_logged),
        ("D", _a_hole),
        ("E", _out_of_order),
        ("F", _applied_twice),
        ("F", _told_twice),
        ("G", _applied_out_of_order),
        ("H", _passed_over),
        ("H", _skipped_by_nobody),
        ("I", _past_a_blocked_head),
        ("I", _waits_for_no_reason),
        ("J", _miscounted),
        ("K", _ahead_of_the_end),
        ("K", _passed_over),
        ("L", _unread),
        ("L", _not_at_its_end),
        ("M", _without_authority),
        ("M", _two_ends),
        ("N", _other_bytes),
        ("O", _no_holder),
    ],
)
def test_a_breach_is_reported(letter: str, breach: Callable[[Observed, History], None]) -> None:
    observed, history = office()
    breach(observed, history)
    assert letter in letters(check(observed, history)).split()


def test_every_promise_has_a_breach_that_is_tried() -> None:
    assert set(PROMISES) == {letter for letter, _ in _cases()}


def _cases() -> list[tuple[str, object]]:
    [mark] = [m for m in test_a_breach_is_reported.pytestmark if m.name == "parametrize"]  # type: ignore[attr-defined]
    return list(mark.args[1])
