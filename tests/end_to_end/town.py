"""All of banka as processes on a real broker and database, with a stepped clock and made-up people:
what the end-to-end and the fault tests play with."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import httpx

from deploy.demo.customers import Ledger
from deploy.demo.handed_in import PURPOSE, SIGNED_BEFORE, party_form
from deploy.demo.mobile_app import PARTNER, MobileApp, fetch_keys
from deploy.demo.people import Crowd, Person
from deploy.demo.plan import Branch, Earlier
from deploy.demo.reconcile import agreement, replay
from deploy.demo.records import read_records
from deploy.demo.run import ORGANISATION, PARTNERS
from deploy.demo.site import Clockwork, Site
from deploy.demo.staff import Desk, imported_form
from deploy.local import Stack
from deploy.partner_link import settings_for
from deploy.processes import GATEWAY, Office, running
from deploy.provision import provision
from deploy.runtime import CHECKOUT
from deploy.secret_files import make_channels
from shared.calendar import business_day
from shared.clock import SteppedClock, format_instant, step_clock
from shared.events import catalog
from shared.postgres.pool import database_of
from tests.papers import picture

MORNING = datetime(2026, 10, 12, 1, 30, tzinfo=UTC)  # a Monday, 9:30 in Shanghai
BRANCHES = {"1101": "11", "3101": "31", "4401": "44", "3201": "32", "3301": "33", "5101": "51"}
PAPERS = ("application_form_signed", "id_front", "id_back", "work_proof", "income_proof")
APPLICATIONS = "banka.applications"

_MOST_IMPORTS = 100  # in one request, which has to end in the client's time

# What must stay as it is when everything is delivered a second time.
_CONTENT = {
    "intake": (
        *("application", "document", "application_history"),
        *("checklist_item", "checklist_change", "messaging.event_log"),
    ),
    "review": ("review_case", "decision", "messaging.event_log", "messaging.call"),
    "notify": ("application", "message", "messaging.event_log", "messaging.call"),
    "reporting": ("projection.application", "projection.event", "messaging.event_log"),
}


@dataclass(slots=True)
class Town:
    """The running office and everybody around it."""

    stack: Stack
    office: Office
    site: Site
    clockwork: Clockwork
    app: MobileApp
    crowd: Crowd
    chance: Random

    @property
    def gateway(self) -> str:
        return self.site.gateway

    def person(self, branch: str, **wishes: Any) -> Person:
        """Somebody who lives and works where the branch is, so that no paper is missing."""
        region = BRANCHES[branch]
        return self.crowd.make(region, work_region=region, **wishes)

    def form(self, branch: str, person: Person) -> dict[str, Any]:
        """A salaried applicant's form for the standard card."""
        signed_at = self.clockwork.now - SIGNED_BEFORE
        return {
            "branch": branch,
            "product": "standard",
            "applicant_type": "salaried",
            "channel": "counter",
            "parties": [party_form("applicant", person)],
            "consent": {"signed_at": format_instant(signed_at), "purpose": PURPOSE},
        }

    async def apply(self, reference: str, person: Person, branch: str) -> str:
        """Hand in a complete application through the app; gives the event's id."""
        today = business_day(self.clockwork.now)
        papers = [(item, picture(f"{item} {reference}"), today) for item in PAPERS]
        return await self.app.submit(reference, self.form(branch, person), papers)

    async def settle(self) -> None:
        """Wait until nothing is on its way at this business time."""
        await self.clockwork.settle()

    async def contents(self) -> dict[str, str]:
        """{service.table: rows and a digest of them}, to compare before and after."""
        found = {}
        for service, tables in _CONTENT.items():
            conn = await asyncpg.connect(self.stack.superuser_url(database_of(service)))
            try:
                for table in tables:
                    found[f"{service}.{table}"] = await conn.fetchval(
                        "SELECT count(*) || ' ' ||"
                        " coalesce(md5(string_agg(line, '' ORDER BY line)), '')"
                        f" FROM (SELECT t::text AS line FROM {table} t) rows"
                    )
            finally:
                await conn.close()
        return found


@asynccontextmanager
async def open_town(stack: Stack, *, opens: datetime = MORNING) -> AsyncIterator[Town]:
    """Everything, running and ready; the organisation is loaded."""
    make_channels(stack.secrets_dir)
    await provision(stack)
    clock_file = stack.folder / "clock"
    step_clock(clock_file, opens)
    environment = {"BANKA_ENVIRONMENT": "test", "BANKA_CLOCK_FILE": str(clock_file)}
    async with (
        running(stack, extra_env=environment) as office,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        await load_organisation(office)
        site = Site(
            stack=stack,
            gateway=office.url(GATEWAY),
            machines={name: office.url(name) for name in (*catalog.SERVICES, PARTNERS)},
            credit_systems=office.url("credit-systems"),
            message_gateways=office.url("message-gateways"),
            clock_file=clock_file,
        )
        clockwork = Clockwork(site, client, opens)
        await clockwork.settle()
        keys = await fetch_keys(site.gateway)
        chance = Random(7)
        settings, clock = settings_for(stack, PARTNER), SteppedClock(clock_file)
        async with MobileApp.open(settings, keys, clock) as app:
            crowd = Crowd(chance, opens.date())
            yield Town(stack, office, site, clockwork, app, crowd, chance)


async def load_organisation(office: Office) -> None:
    """Branches and staff of the demo."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.intake",
        "organisation",
        str(ORGANISATION),
        cwd=CHECKOUT,
        env=office.environment("intake"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def import_customers(
    operations: Desk, people: Sequence[Person], branch: str, now: datetime
) -> None:
    """Give everybody a card in use, come over from another system more than a year ago."""
    since = now - timedelta(days=400)
    for begin in range(0, len(people), _MOST_IMPORTS):
        entries = [
            imported_form(
                Earlier(
                    person,
                    Branch(branch, BRANCHES[branch]),
                    limit=1_000_000,
                    submitted_at=since,
                    in_use_since=since + timedelta(days=30),
                )
            )
            for person in people[begin : begin + _MOST_IMPORTS]
        ]
        answer = await operations.post("/intake/api/v1/imports", {"applications": entries})
        answer.raise_for_status()
        refused = [one for one in answer.json()["results"] if one["application_id"] is None]
        assert not refused, refused[0]


async def check_agreement(town: Town, expected: int, *, repeated: bool = False) -> None:
    """Whatever the demo's reconciliation says of records alone holds: one state for each of
    `expected` applications, everywhere; topics and logs agree; nothing is parked; no message went
    out twice. `repeated`: whether our events may lie on their topics more than once, as they do
    where a relay is killed between the broker's acknowledgement and the row's deletion."""
    records = await read_records(town.stack)
    ours = {
        topic: count
        for topic, count in records.repeated.items()
        if not topic.startswith(("banka.inbound.", "banka.outbound."))
    }
    assert repeated or ours == {}
    for topic in ours:
        del records.repeated[topic]
    receipts = (await town.clockwork.client.get(f"{town.site.message_gateways}/receipts")).json()
    outcome = replay(records, Ledger(), seed=town.office.seed)
    broken = {
        line.statement: line.differences
        for line in agreement(records, outcome, receipts)
        if not line.holds
    }
    assert broken == {}
    assert len(outcome.replayed) == expected
    assert sum(channel["taken"] for channel in receipts["channels"].values()) > 0
