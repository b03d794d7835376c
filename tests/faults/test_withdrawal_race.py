"""Withdrawing and deciding at the same moment, a thousand times: each application ends in one
state, the same everywhere, whoever was first."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from deploy.demo.mobile_app import Answer
from deploy.demo.people import Person
from deploy.demo.records import Records, read_records
from deploy.demo.staff import OPERATIONS, Desk
from shared.events.lifecycle import State
from tests.end_to_end.town import (
    APPLICATIONS,
    Town,
    check_agreement,
    import_customers,
    open_town,
)
from tests.stack import running

pytestmark = pytest.mark.timeout(420)

RACES = 1000
WAVE = 100  # on their way at the same time
KNOWN = RACES // 2  # customers of long standing, whom the policy approves; the others it declines
BRANCH = "1101"
ADVERSE = range(910, 920)  # ID numbers of people whom the policy declines by itself


async def test_withdrawing_and_deciding_at_once_end_in_one_state_everywhere() -> None:
    with running("race") as stack:
        async with open_town(stack) as town:
            people = await _people(town)
            answers: dict[str, Answer] = {}
            longest = 1.0
            for begin in range(0, RACES, WAVE):
                longest = await _wave(town, begin, people[begin : begin + WAVE], longest, answers)
            await check_agreement(town, RACES + KNOWN)
            await _check_ends(town, answers)


async def _people(town: Town) -> list[Person]:
    """Known customers and people with an adverse record, in turn."""
    known = [town.person(BRANCH, ages=(28, 55)) for _ in range(KNOWN)]
    desk = await Desk.sign_in(town.gateway, OPERATIONS)
    try:
        await import_customers(desk, known, BRANCH, town.clockwork.now)
    finally:
        await desk.close()
    strangers = [town.person(BRANCH, scenario=ADVERSE) for _ in range(RACES - KNOWN)]
    return [person for pair in zip(known, strangers, strict=True) for person in pair]


async def _wave(
    town: Town, begin: int, people: Sequence[Person], longest: float, answers: dict[str, Answer]
) -> float:
    """Everybody applies and withdraws somewhere between then and the slowest decision; gives how
    long that took this time."""
    started = time.monotonic()
    withdrawals: dict[str, str] = {}  # {reference: event id}

    async def race(reference: str, person: Person) -> None:
        await town.apply(reference, person, BRANCH)
        # spread over everything from the first check to the card's order
        await asyncio.sleep(town.chance.uniform(0.0, longest))
        withdrawals[reference] = await town.app.withdraw(reference)

    await asyncio.gather(*(race(_reference(begin + n), person) for n, person in enumerate(people)))
    for reference, event in withdrawals.items():
        answers[reference] = await town.app.answer(event)
    await town.settle()
    await town.app.gather()
    return min(time.monotonic() - started, 2 * longest)


async def _check_ends(town: Town, answers: dict[str, Answer]) -> None:
    """What the customer was told is what became of the application, and both sides won."""
    records = await read_records(town.stack)
    ends: Counter[str] = Counter()
    for nth in range(RACES):
        reference = _reference(nth)
        told = town.app.statuses[reference]
        state = records.states["intake"][told[-1].application_id]
        assert state is not None
        ends[f"{'known' if nth % 2 == 0 else 'adverse'} {state}"] += 1
        assert told[-1].status == _STATUS[State(state)], (reference, state)
        answer = answers[reference]
        if not answer.accepted:  # too late: the office said so, and nothing was taken back
            assert answer.codes[0] in ("card-ordered", "already-ended"), answer.codes
            assert state != State.WITHDRAWN
    granted = _count(records, "banka.application.withdrawal-granted.v1")
    refused = _count(records, "banka.application.withdrawal-refused.v1")
    # every outcome of the race occurs, or nothing was raced
    assert ends.keys() == {
        "known withdrawn", "known card_producing", "adverse withdrawn", "adverse declined",
    }, ends  # fmt: skip
    assert min(ends.values()) >= RACES // 50, ends
    assert granted >= RACES // 50
    assert refused > 0


_STATUS = {
    State.WITHDRAWN: "closed",
    State.DECLINED: "declined",
    State.CARD_PRODUCING: "approved",
}


def _count(records: Records, kind: str) -> int:
    return sum(1 for record in records.of(APPLICATIONS) if record.envelope.type == kind)


def _reference(nth: int) -> str:
    return f"race-{nth}"
