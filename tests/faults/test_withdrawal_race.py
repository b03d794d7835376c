"""Withdrawing and deciding at the same moment, fifty times: each application ends in one
state, the same everywhere, whoever was first. `make faults` does it a thousand times."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence

from deploy.demo.mobile_app import Answer
from deploy.demo.people import Person
from deploy.demo.records import Records, read_databases, read_records
from deploy.demo.staff import OPERATIONS, Desk
from shared.events.lifecycle import State
from tests.end_to_end.town import (
    APPLICATIONS,
    Town,
    check_agreement,
    import_customers,
    open_town,
)
from tests.eventually import eventually
from tests.stack import running

RACES = int(os.environ.get("BANKA_RACES", "50"))  # at least
MOST = max(600, 3 * RACES)  # until then every outcome must have occurred, however slow the machine
ENOUGH = max(1, RACES // 100)  # times each
WAVE = 50  # on their way at the same time
SURE = WAVE // 20  # of a wave, who withdraw at once, and who only after they heard the decision
BRANCH = "1101"
ADVERSE = range(910, 920)  # ID numbers of people with an adverse record
ENDS = {"sound withdrawn", "sound card_producing", "adverse withdrawn", "adverse declined"}
GRANTED = "banka.application.withdrawal-granted.v1"
REFUSED = "banka.application.withdrawal-refused.v1"


async def test_withdrawing_and_deciding_at_once_end_in_one_state_everywhere() -> None:
    with running("race", durable=False) as stack:
        async with open_town(stack) as town:
            desk = await Desk.sign_in(town.gateway, OPERATIONS)
            answers: dict[str, Answer] = {}
            longest, raced = 1.0, 0
            try:
                while raced < RACES or (raced < MOST and not await _all_occurred(town, raced)):
                    people = await _people(town, desk)
                    longest = await _wave(town, raced, people, longest, answers)
                    raced += WAVE
            finally:
                await desk.close()
            await check_agreement(town, 2 * raced)  # with the cards that they had before
            await _check_ends(town, raced, answers)


async def _people(town: Town, desk: Desk) -> list[Person]:
    """Customers of long standing, about whom the policy decides by itself: it approves of one and
    declines the next, who has an adverse record."""
    people = [
        town.person(BRANCH, ages=(28, 55), scenario=ADVERSE if nth % 2 else None)
        for nth in range(WAVE)
    ]
    await import_customers(desk, people, BRANCH, town.clockwork.now)
    return people


async def _wave(
    town: Town, begin: int, people: Sequence[Person], longest: float, answers: dict[str, Answer]
) -> float:
    """Everybody applies and withdraws somewhere between then and the slowest decision; gives how
    long that took this time."""
    withdrawals: dict[str, str] = {}  # {reference: event id}
    slowest = 0.0

    async def race(nth: int, person: Person) -> None:
        nonlocal slowest
        reference = _reference(begin + nth)
        await town.apply(reference, person, BRANCH)
        applied = time.monotonic()
        if nth >= WAVE - SURE:
            await eventually(lambda: _decided(town, reference))
            slowest = max(slowest, time.monotonic() - applied)
        elif nth >= SURE:
            # spread over everything from the first check to the card's order
            await asyncio.sleep(town.chance.uniform(0.0, longest))
        withdrawals[reference] = await town.app.withdraw(reference)

    await asyncio.gather(*(race(nth, person) for nth, person in enumerate(people)))
    for reference, event in withdrawals.items():
        answers[reference] = await town.app.answer(event)
    await town.settle()
    await town.app.gather()
    return slowest


async def _decided(town: Town, reference: str) -> bool:
    """Whether the customer has been told."""
    await town.app.gather()
    return any(one.status in ("approved", "declined") for one in town.app.statuses[reference])


async def _all_occurred(town: Town, raced: int) -> bool:
    """Whether every outcome has been seen often enough so far."""
    records = Records()
    await read_databases(town.stack, records)
    ends = _ends(town, raced, records)
    return (
        min(ends[end] for end in ENDS) >= ENOUGH
        and records.logs[(APPLICATIONS, GRANTED)] >= ENOUGH
        and records.logs[(APPLICATIONS, REFUSED)] > 0
    )


def _ends(town: Town, raced: int, records: Records) -> Counter[str]:
    return Counter(
        f"{'adverse' if nth % 2 else 'sound'} {_state(town, nth, records)}" for nth in range(raced)
    )


def _state(town: Town, nth: int, records: Records) -> str | None:
    """What became of an application."""
    return records.states["intake"][town.app.statuses[_reference(nth)][-1].application_id]


async def _check_ends(town: Town, raced: int, answers: dict[str, Answer]) -> None:
    """What the customer was told is what became of the application, and both sides won."""
    records = await read_records(town.stack)
    for nth in range(raced):
        reference = _reference(nth)
        told = town.app.statuses[reference]
        state = _state(town, nth, records)
        assert state is not None
        assert told[-1].status == _STATUS[State(state)], (reference, state)
        answer = answers[reference]
        if not answer.accepted:  # too late: the office said so, and nothing was taken back
            assert answer.codes[0] in ("CARD_ORDERED", "ALREADY_ENDED"), answer.codes
            assert state != State.WITHDRAWN
    # every outcome of the race occurs, or nothing was raced
    ends = _ends(town, raced, records)
    assert ends.keys() == ENDS, ends
    assert min(ends.values()) >= ENOUGH, ends
    assert records.logs[(APPLICATIONS, GRANTED)] >= ENOUGH
    assert records.logs[(APPLICATIONS, REFUSED)] > 0


_STATUS = {
    State.WITHDRAWN: "closed",
    State.DECLINED: "declined",
    State.CARD_PRODUCING: "approved",
}


def _reference(nth: int) -> str:
    return f"race-{nth}"
