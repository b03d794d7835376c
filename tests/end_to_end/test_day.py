"""An office's days through all four services, as `banka demo` plays them; and that nothing personal
lies in clear anywhere afterwards."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest
import xlsxwriter

from deploy import local
from deploy.demo.people import Person
from deploy.demo.plan import make_plan
from deploy.demo.run import ORGANISATION, branches_of
from deploy.runtime import CHECKOUT
from tests.end_to_end.clear_text import Secrets
from tests.end_to_end.places import files, tables, topics

# so long on a machine that does much else; alone it is a quarter of that
pytestmark = pytest.mark.timeout(1800)

SEED, DAYS, PER_DAY = 20261012, 2, 30
_PLANTED = "public.planted"
_CARD = "6212345678901232"
_SEALED = ("name", "id_number", "mobile", "email", "home_address", "employer", "work_address")


def test_an_offices_days_agree_and_leave_nothing_in_clear() -> None:
    # a stack of its own, whatever a developer has up: the run begins with empty servers
    name = f"{os.environ.get('BANKA_STACK', 'test')}-day"
    played = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("banka")), "demo", "--no-keep", "--name", name),
            *("--seed", str(SEED), "--days", str(DAYS), "--per-day", str(PER_DAY)),
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1700,
    )
    try:
        assert played.returncode == 0, played.stdout[-6000:] + played.stderr[-2000:]
        assert "The books agree." in played.stdout
        _look_for_personal_data(name)
    finally:
        local.purge(name)


def _look_for_personal_data(name: str) -> None:
    plan = make_plan(SEED, branches_of(ORGANISATION), days=DAYS, per_day=PER_DAY)
    people: list[Person] = [one.person for one in plan.earlier]
    for application in plan.applications:
        people += [application.person, *([application.holder] if application.holder else [])]
    # what a partner wrote in clear against the contract lies on his topic, and goes no further
    exposed = _personal(one.person for one in plan.malformed if one.kind.startswith("clear-"))
    secrets = Secrets(_personal(people) | exposed)
    stack = local.up(name)
    planted = asyncio.run(_plant(stack, next(one for one in people if len(one.name) == 2)))
    found: dict[str, set[str]] = {}
    read: Counter[str] = Counter()
    for place, content in (*topics(stack), *asyncio.run(tables(stack)), *files(stack)):
        read[place] += 1
        if clear := secrets.in_clear(content):
            found.setdefault(place, set()).update(clear)
    # it does read what is there, and sees what was planted
    assert min(read["banka.applications"], read["banka_intake.messaging.event_log"]) > 100
    assert read["banka_reporting.owned.report"] > 0
    assert found.pop(f"banka_reporting.{_PLANTED}") == planted
    spoilt = found.pop("banka.inbound.mobile-app", set())
    assert spoilt, "the scan does not find what was planted"
    assert spoilt <= exposed, "a well-formed event of a partner has personal data in clear"
    assert not found, f"personal data in clear in {sorted(found)}"


def _personal(people: Iterable[Person]) -> set[str]:
    """Every personal field."""
    return {getattr(person, field) for person in people for field in _SEALED}


async def _plant(stack: local.Stack, person: Person) -> set[str]:
    """Personal data in clear in a table, in every wrapping that a table of ours knows; gives what
    the scan has to find."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    book.add_worksheet().write(0, 0, person.name)
    book.close()
    body = gzip.compress(json.dumps({"employer": person.employer}).encode())
    headers = [["ce_subject", base64.b64encode(person.mobile.encode()).decode()]]
    conn = await asyncpg.connect(stack.superuser_url("banka_reporting"))
    try:
        await conn.execute(
            f"CREATE TABLE {_PLANTED} (content bytea, body bytea, headers jsonb, note text)"
        )
        await conn.execute(
            f"INSERT INTO {_PLANTED} VALUES ($1, $2, $3, $4)",
            file.getvalue(),
            body,
            json.dumps(headers),
            f"card {_CARD}",
        )
    finally:
        await conn.close()
    return {person.name, person.employer, person.mobile, _CARD}
