"""The screening system at the real gate: a list has changed; noted, repeated, refused."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from typing import Any

import pytest

from shared.clock import format_instant
from shared.identifiers import new_id
from tests.eventually import eventually
from tests.integration.intake.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def say(
    office: Office, name: str, event_id: str | None = None, **data: Any
) -> dict[str, Any]:
    """The answer to a statement about a list."""
    body = {"reference": name, "version": "2", "changed_at": format_instant(office.now), **data}
    event_id = await office.partner_says(
        "screening", "watchlist.changed", name, body, event_id=event_id
    )
    return (await office.answers("screening", event_id))[-1]


async def told(office: Office, name: str) -> list[dict[str, Any]]:
    """What intake published of a list, in order."""
    found = await office.said(name, "banka.watchlists")
    assert {kind for kind, _, _ in found} <= {"watchlist.changed"}
    return [data for _, _, data in found]


async def test_a_change_is_noted_and_passed_on_once_for_each_event(office: Office) -> None:
    name, event_id = f"list-{new_id()}", new_id()
    for _ in range(2):  # the same event again has the same answer
        answer = await say(office, name, event_id)
        assert (answer["kind"], answer["partner_reference"]) == ("noted", name)
        assert "application_id" not in answer
    (published,) = await told(office, name)
    assert (published["list_name"], published["version"]) == (name, "2")
    # one that is older is passed on as well: which of them counts is for review to say
    before = format_instant(office.now - timedelta(days=3))
    assert (await say(office, name, version="1", changed_at=before))["kind"] == "noted"
    assert [one["version"] for one in await told(office, name)] == ["2", "1"]
    assert (await office.service.quiet()).parked == 0


async def test_what_cannot_be_is_refused_with_its_place_and_nothing_follows(office: Office) -> None:
    name = f"list-{new_id()}"
    early = format_instant(office.now + timedelta(minutes=2))
    refused = await say(office, name, changed_at=early)
    assert (refused["kind"], refused["code"]) == ("rejected", "TIME_IN_FUTURE")
    assert [one["pointer"] for one in refused["problems"]] == ["/changed_at"]
    zoneless = await say(office, name, changed_at="2026-10-12T01:30:00")
    assert [one["pointer"] for one in zoneless["problems"]] == ["/changed_at"]
    canary = "端木清扬"
    listed = await say(office, name, entries=[{"name": canary}])
    assert listed["kind"] == "rejected"
    assert canary not in str(listed)
    other = await say(office, name, reference="another-list")
    assert (other["kind"], other["code"]) == ("rejected", "NOT_THE_KEY")
    assert await told(office, name) == []


async def test_nobody_else_may_say_it(office: Office) -> None:
    name = f"list-{new_id()}"
    body = {"reference": name, "version": "2", "changed_at": format_instant(office.now)}
    event_id = await office.partner_says("core-banking", "watchlist.changed", name, body)
    (answer,) = await office.answers("core-banking", event_id)
    assert (answer["kind"], answer["code"]) == ("rejected", "UNKNOWN_TYPE")
    assert await told(office, name) == []


async def command(office: Office, *words: str) -> tuple[int, str]:
    """`banka screening changed` as an operator gives it: its exit code, and what it says."""
    told, assigned = office.settings, {"BANKA_ENVIRONMENT": "test"}
    for name in ("kafka_bootstrap", "kafka_security", "postgres_dsn", "secrets_dir", "clock_file"):
        assigned[f"BANKA_{name.upper()}"] = str(getattr(told, name))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", "screening", "changed", *words),
        env={**os.environ, **assigned},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_an_operator_says_it_where_the_system_cannot(office: Office) -> None:
    name = f"list-{new_id()}"
    why = ("--why", "no interface yet", "--who", "op-1")
    code, said = await command(office, name, "--version", "7", *why)
    assert code == 0, said
    (published,) = await told(office, name)
    assert (published["version"], published["changed_at"]) == ("7", format_instant(office.now))
    audited = await office.fetch(
        "SELECT who, why FROM messaging.audit WHERE what = $1", f"{name} 7"
    )
    assert [tuple(row) for row in audited] == [("op-1", "no interface yet")]

    async def sent() -> bool:
        return not await office.fetch(
            "SELECT FROM messaging.outbox WHERE topic = 'banka.watchlists'"
        )

    await eventually(sent)


async def test_an_operator_cannot_say_what_cannot_be(office: Office) -> None:
    name, why = f"list-{new_id()}", ("--why", "a test")
    early = format_instant(office.now + timedelta(minutes=2))
    for words in (
        (name, "--version", "7", "--at", early),
        (name, "--version", "7", "--at", "yesterday"),
        (name, "--version", "two words"),
    ):
        code, said = await command(office, *words, *why)
        assert (code, said.count("\n")) == (1, 1), said
        assert said.startswith("banka: ")
    assert await told(office, name) == []
