"""A small dose of what `make fuzz` does for long: the same requests, records and files always."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.fuzz.hostile import CANARY
from tests.fuzz.judging import Answer
from tests.fuzz.over_events import fuzz_events
from tests.fuzz.over_files import fuzz_papers, fuzz_sheets
from tests.fuzz.over_http import fuzz_http
from tests.fuzz.over_pages import fuzz_pages
from tests.fuzz.tally import Tally
from tests.fuzz.world import BRANCH, Fuzz, World, fuzz

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning"),
]

DOSE: dict[str, Fuzz] = {
    "sheets": fuzz_sheets(100),
    "papers": fuzz_papers(100),
    "events": fuzz_events(6),
    "api": fuzz_http(2),
    "pages": fuzz_pages(4),
}


@pytest.mark.parametrize("way", DOSE)
async def test_whatever_comes_in_is_answered_clearly(way: str, world: World) -> None:
    world.tally = Tally()
    await fuzz(world, DOSE[way], judge=False)
    assert world.tally.rows
    assert world.tally.report() == ""
    if way == "pages":  # a customer was in, and not sent back to the entrance each time
        seen = world.tally.rows["page", "GET /progress/application"]
        assert any(answer.startswith("200") for answer in seen)


async def test_what_a_refusal_leaves_behind_is_noticed(world: World) -> None:
    """Three times on purpose: a row changed, an event published, a text kept in clear."""

    def refused() -> Answer:
        world.rows("intake", f"UPDATE branch SET open = open WHERE branch = '{BRANCH}'")
        return Answer(422, {}, b"")

    def judge() -> list[str]:
        _, faults = world.unchanged_by_refusal("intake", refused)
        told = world.rows("intake", "SELECT attributes FROM messaging.event_log LIMIT 500")
        traces = [dict(json.loads(row["attributes"])).get("traceparent") for row in told]
        trace = next(one for one in traces if one).split("-")[1]
        world.refused(Answer(422, {"x-request-id": trace}, b""), "api", "GET /x", "")
        world.rows("notify", f"CREATE TABLE planted AS SELECT '{CANARY}' AS note")
        try:
            world.judge_the_end()
        finally:
            world.rows("notify", "DROP TABLE planted")
            world.forget(trace)
        return faults

    world.tally = Tally()
    assert await asyncio.to_thread(judge) == ["was refused and changed something"]
    found = set(world.tally.findings)
    assert ("end", "banka_notify.public.planted", "what was sent lies there in clear") in found
    assert any(
        where == "GET /x" and "was refused and published" in fault for _, where, fault in found
    )


async def test_nothing_was_half_applied_or_kept_in_clear(world: World) -> None:
    world.tally = Tally()
    await fuzz(world)  # the last one: it judges what the others have done
    assert world.tally.report() == ""
