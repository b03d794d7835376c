"""What the checker counts outside the office, on dead-letter topics and in headers: made-up
observations in which one thing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.__main__ import ROOT, SOURCES
from tests.faults.checker import check, letters
from tests.faults.history import History
from tests.faults.observed import DeadLetter, Entry, Observed, OnTopic, Waiting
from tests.faults.running import AT_REST_SECONDS, late_at_rest
from tests.unit.messaging.test_checker import TOPIC, office

CONTACTS, OUTBOUND = "banka.contacts.t", "banka.outbound.t"
HEADERS = (("ce_id", b"e-1"),)


def _entry(stage: str, topic: str, kind: str, sequence: int, **body: str | None) -> Entry:
    said = json.dumps({"mood": "fine", **body}, separators=(",", ":"))
    return Entry(
        f"/banka/{stage}", 10 + sequence, topic, "a-1", sequence, f"{kind}-{sequence}",
        f"banka.small.{kind}.v1", None, said.encode(),
    )  # fmt: skip


def told() -> tuple[Observed, History]:
    """The application that went all the way; the customer was told, the partner answered, and an
    event that failed once was applied when it was tried again."""
    observed, history = office()
    observed.ends |= {(CONTACTS, 0): 2, (OUTBOUND, 0): 1}
    _log(observed, _entry("notify", CONTACTS, "message-requested", 1, message_id="m-1"))
    _log(observed, _entry("notify", CONTACTS, "message-sent", 2, message_id="m-1"))
    _log(observed, _entry("intake", OUTBOUND, "answered", 1, command_id="c-1"))
    observed.databases["intake"].seen["c-1"] = 1
    observed.databases["reporting"].tally |= {"message-requested": 1, "message-sent": 1}
    history.outside.arrivals["m-1"] = 2
    history.outside.about["m-1"] = ("a-1", "e-1")
    history.outside.effects["m-1"] = 1
    log, records = observed.databases["intake"].log, observed.topics[TOPIC]
    log[0] = replace(log[0], headers=HEADERS, body=log[0].body.replace(b"fine", b"notify:flaky"))
    records[0] = replace(records[0], headers=HEADERS, body=log[0].body)
    observed.dead = [DeadLetter("notify.t", (TOPIC, 0, 0), log[0].body, HEADERS)]
    for stage in ("notify", "reporting"):
        observed.databases[stage].cursors[f"{stage}.t", TOPIC, "a-1", "/banka/intake"] = 2
    return observed, history


def _log(observed: Observed, entry: Entry) -> None:
    """In its service's log, and on its topic."""
    observed.databases[entry.source.rpartition("/")[2]].log.append(entry)
    records = observed.topics.setdefault(entry.topic, [])
    records.append(
        OnTopic(
            entry.topic, 0, len(records), "a-1", entry.source, entry.sequence, entry.event_id,
            entry.type, None, entry.body,
        )
    )  # fmt: skip


def test_what_is_right_passes() -> None:
    assert check(*told()) == []


def _said_twice(observed: Observed, history: History) -> None:
    _log(observed, _entry("notify", CONTACTS, "message-sent", 3, message_id="m-1"))
    observed.databases["reporting"].tally["message-sent"] = 2


def _never_said(observed: Observed, history: History) -> None:
    observed.databases["notify"].log.pop()
    observed.topics[CONTACTS].pop()
    observed.databases["reporting"].tally.pop("message-sent")


def _went_out_twice(observed: Observed, history: History) -> None:
    history.outside.effects["m-1"] = 2


def _never_went_out(observed: Observed, history: History) -> None:
    history.outside.effects.clear()


def _went_out_unasked(observed: Observed, history: History) -> None:
    history.outside.effects["m-2"] = 1


def _said_unasked(observed: Observed, history: History) -> None:
    _log(observed, _entry("notify", CONTACTS, "message-sent", 3, message_id="m-2"))
    observed.databases["reporting"].tally["message-sent"] = 2
    history.outside.effects["m-2"] = 1


def _answered_twice(observed: Observed, history: History) -> None:
    _log(observed, _entry("intake", OUTBOUND, "answered", 2, command_id="c-1"))


def _answer_not_remembered(observed: Observed, history: History) -> None:
    observed.databases["intake"].seen.clear()


def _messages_miscounted(observed: Observed, history: History) -> None:
    observed.databases["reporting"].tally["message-sent"] = 2


def _counted_by_nobody(observed: Observed, history: History) -> None:
    """Neither applied nor counted: its journal alone would not show it."""
    reporting = observed.databases["reporting"]
    reporting.applied.pop()
    reporting.tally |= {"approved": reporting.tally.pop("card-ordered")}


def _cursor_ahead(observed: Observed, history: History) -> None:
    observed.databases["notify"].cursors["notify.t", TOPIC, "a-1", "/banka/intake"] = 3


def _cursor_behind(observed: Observed, history: History) -> None:
    observed.databases["notify"].cursors["notify.t", TOPIC, "a-1", "/banka/intake"] = 1


def _other_headers(observed: Observed, history: History) -> None:
    records = observed.topics[TOPIC]
    records.append(replace(records[0], offset=3, headers=(("ce_id", b"e-9"),)))


def _other_headers_parked(observed: Observed, history: History) -> None:
    record = observed.topics[TOPIC][0]
    observed.databases["notify"].waiting.append(
        Waiting(
            "notify.t", TOPIC, 0, 0, "a-1", record.source, 1, record.event_id, record.body,
            "parked", "no", (("ce_id", b"e-9"),),
        )
    )  # fmt: skip


def _other_headers_dead(observed: Observed, history: History) -> None:
    observed.dead[0] = replace(observed.dead[0], headers=(("ce_id", b"e-9"),))


def _dead_letter_of_nothing(observed: Observed, history: History) -> None:
    observed.dead.append(replace(observed.dead[0], place=(TOPIC, 0, 17)))


def _no_dead_letter(observed: Observed, history: History) -> None:
    _other_headers_parked(observed, history)
    waiting = observed.databases["notify"].waiting
    waiting[0] = replace(waiting[0], failed=True, headers=HEADERS)
    observed.dead.clear()


def _failed_for_no_reason(observed: Observed, history: History) -> None:
    log, records = observed.databases["intake"].log, observed.topics[TOPIC]
    log[0] = replace(log[0], body=log[0].body.replace(b"notify:flaky", b"fine"))
    records[0] = replace(records[0], body=log[0].body)
    observed.dead[0] = replace(observed.dead[0], body=log[0].body)


@pytest.mark.parametrize(
    ("letter", "breach"),
    [
        ("F", _said_twice),
        ("F", _never_said),
        ("F", _went_out_twice),
        ("F", _never_went_out),
        ("F", _went_out_unasked),
        ("F", _said_unasked),
        ("F", _answered_twice),
        ("F", _answer_not_remembered),
        ("H", _dead_letter_of_nothing),
        ("H", _no_dead_letter),
        ("I", _failed_for_no_reason),
        ("J", _messages_miscounted),
        ("J", _counted_by_nobody),
        ("K", _cursor_ahead),
        ("K", _cursor_behind),
        ("N", _other_headers),
        ("N", _other_headers_parked),
        ("N", _other_headers_dead),
    ],
)
def test_a_breach_is_reported(letter: str, breach: Callable[[Observed, History], None]) -> None:
    observed, history = told()
    breach(observed, history)
    assert letter in letters(check(observed, history)).split()


def test_who_comes_to_rest_too_late_breaks_the_bound() -> None:
    assert late_at_rest(AT_REST_SECONDS) == []
    assert letters(late_at_rest(AT_REST_SECONDS + 1)) == "L"


def test_everything_that_an_outcome_depends_on_is_there() -> None:
    assert all((ROOT / name).exists() for name in SOURCES)
