"""A few working days of an office for the pages: people, branches, applications in every corner.

All services are the real ones, as processes. What happened on the days before is told by events in
intake's name, on which review, notify and reporting do their work; intake itself has an assistant
with a password, and what is done on its pages.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from deploy import processes
from deploy.demo.credit_systems import PURPOSE
from deploy.local import Stack
from deploy.provision import provision
from deploy.runtime import CHECKOUT
from services.intake.accounts import DEMO_PASSWORD
from services.review.policy_folder import newest
from shared.clock import step_clock
from shared.events import intake
from shared.events.catalog import SERVICES, source
from shared.events.envelope import Envelope, encode
from shared.events.lifecycle import advance
from shared.events.payload import Payload
from shared.identifiers import new_id
from shared.privacy.vault_database import migrate_vault
from shared.web.access import CSRF_HEADER
from shared.web.session import COOKIE, Session, Signer
from tests.eventually import eventually
from tests.integration.review.bank import EMPLOYER, GOOD, NAME, Applicant, Bank, settings_of

FRIDAY, MONDAY, TUESDAY = (datetime(2026, 11, day, 2, 0, tzinfo=UTC) for day in (6, 9, 10))
TODAY = datetime(2026, 11, 11, 1, 5, tzinfo=UTC)  # a Wednesday, 09:05 in Shanghai
PROCESSES = ("credit-systems", "message-gateways", *SERVICES, "gateway")
USERNAME, PASSWORD = "counter", DEMO_PASSWORD
_ORGANISATION = """
branches:
  - {branch: "3101", name_zh: 滨江支行, name_en: Riverside, region: "31"}
staff:
  - {staff_id: A3101, username: counter, display_name: 何静怡, roles: [assistant],
     branches: ["3101"], desk: assistant}
"""
BRANCHES = {
    "3101": ("滨江支行", "Riverside", "31"),
    "3102": ("古塔支行", "Old Tower", "31"),
    "4401": ("珠湾支行", "Pearl Bay", "44"),
}
STAFF = {
    "assistant": ("林晓岚", ["assistant"], ["3101"]),
    "reviewer": ("周启明", ["reviewer"], ["*"]),
    "risk": ("贺子衿", ["risk_officer"], ["*"]),
    "compliance": ("莫言之", ["compliance"], ["*"]),
    "manager": ("沈佩", ["manager"], ["3101"]),
    "ops": ("丁一", ["ops"], ["*"]),
}
ADVERSE, QUERIES, WATCHLIST, MIDDLING = 911, 921, 941, 961  # sequence digits of the resident ID
_MORE_BROKEN = (("retried", (1,)), ("skipped", (1,)), ("many", (1,)))  # for whoever decides
OWED = [
    {"item": "work_proof", "code": "NO_STAMP"},
    {"item": "income_proof", "code": "DOC_STALE"},
]


@dataclass
class Town:
    """The running office. `url` is the gateway's; everything is looked at through it."""

    bank: Bank
    office: processes.Office
    staff_ids: dict[str, str] = field(default_factory=dict)
    applicants: dict[str, Applicant] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)  # {name: application that is parked}
    parked: dict[str, int] = field(default_factory=dict)  # {application: number in review}
    failed_call: int = 0
    replay: str = field(default_factory=new_id)
    drift: str = field(default_factory=new_id)

    @property
    def url(self) -> str:
        return self.office.url(processes.GATEWAY)

    @property
    def names(self) -> set[str]:
        """What is Chinese in every language: names of people and firms, and what they signed."""
        return {name for name, _, _ in STAFF.values()} | {
            "何静怡",
            PURPOSE,
            EMPLOYER,
            f"{NAME[0]}***",
        }

    def cookie(self, who: str) -> str:
        """The session of somebody who has signed in."""
        signer = Signer(self.bank.settings.secret("session-key").encode())
        return signer.seal(Session.begin(self.staff_ids[who], 1, time.time()))

    def number(self, name: str) -> str:
        return str(self.applicants[name].about["application_number"])

    def application_id(self, name: str) -> str:
        return self.applicants[name].application_id

    async def tell(self, name: str, kind: type[Payload], **more: Any) -> None:
        """An event of intake about an application, with the version that the lifecycle gives."""
        applicant = self.applicants[name]
        step = advance(self.states.get(name), kind)
        self.states[name] = step.state.value
        applicant.version += step.moves
        payload = kind.model_validate({**applicant.about, **more})
        await self.bank.publish(applicant.application_id, payload, applicant.version)

    async def submit(self, name: str, sequence: int = GOOD, **kind: Any) -> None:
        """Somebody hands in an application."""
        branch, product, channel = (
            kind.pop("branch", "3101"),
            kind.pop("product", "standard"),
            kind.pop("channel", "counter"),
        )
        self.bank.branch = branch
        applicant = await self.bank.applicant(sequence, **kind)
        applicant.about |= {
            "product": product,
            "channel": channel,
            "region": BRANCHES[branch][2],
        }
        self.applicants[name] = applicant
        await self.tell(name, intake.ApplicationDrafted)
        await self.tell(name, intake.ApplicationSubmitted, **self._bands(applicant))

    async def apply(self, name: str, sequence: int = GOOD, **kind: Any) -> None:
        """An application at which intake has begun to look."""
        await self.submit(name, sequence, **kind)
        await self.tell(name, intake.PreCheckStarted)

    def _bands(self, applicant: Applicant) -> dict[str, Any]:
        return {
            "parties": [applicant.party],
            "consent": {"signed_at": self.bank.now - timedelta(days=1), "purpose": PURPOSE},
            "new_to_bank": applicant.new_to_bank,
            "age_band": "26-35",
            "income_band": "10000-19999",
        }

    async def hand_over(self, name: str, sequence: int = GOOD, **kind: Any) -> None:
        """An application that passes the pre-check; review has it from here on."""
        await self.apply(name, sequence, **kind)
        documents = [
            {
                "document_id": new_id(),
                "item": item,
                "sha256": hashlib.sha256(f"{name} {item}".encode()).hexdigest(),
                "media_type": "image/png",
            }
            for item in ("id_front", "id_back", "income_proof")
        ]
        applicant = self.applicants[name]
        await self.tell(
            name,
            intake.PreCheckPassed,
            documents=documents,
            submitted_at=self.bank.now,
            **self._bands(applicant),
        )

    async def decided(self, *expected: tuple[str, str]) -> None:
        """Wait until review has said this of each application, to everybody."""
        for name, event in expected:

            async def said(name: str = name, event: str = event) -> bool:
                return event in await self.bank.types(self.applicants[name])

            await eventually(said)
        # intake hears of it on the topic; what is only written down nobody knows yet
        async with httpx.AsyncClient(trust_env=False) as client:

            async def published() -> bool:
                told = await client.get(f"{self.office.url('review')}/internal/quiet")
                return bool(told.json()["outbox"] == 0)

            await eventually(published)

    async def order_card(self, name: str, *facts: type[Payload]) -> None:
        """What happens to an approved application, as intake tells it."""
        approved = (await self.bank.said(self.applicants[name], "banka.applications"))[-1]
        self.states[name], self.applicants[name].version = "approved", approved[1] or 0
        card = {"card_id": new_id()}
        await self.tell(name, intake.CardOrdered, limit=approved[2]["limit"], **card)
        for fact in facts:
            await self.tell(name, fact, **card)

    async def open_doors(self) -> None:
        """Branches and staff."""
        for branch, (chinese, english, region) in BRANCHES.items():
            await self.bank.publish(
                branch,
                intake.BranchChanged(
                    branch=branch, name_zh=chinese, name_en=english, region=region
                ),
            )
        for who, (name, roles, branches) in STAFF.items():
            staff_id = self.staff_ids[who] = new_id()
            await self.bank.publish(
                staff_id,
                intake.StaffChanged(
                    staff_id=staff_id,
                    username=who,
                    display_name=name,
                    roles=roles,
                    branches=branches,
                    desk="credit_review",
                    session_epoch=1,
                ),
            )

    async def employ(self, folder: Path) -> None:
        """Give intake a member of staff who signs in with a password."""
        path = folder / "organisation.yaml"
        path.write_text(_ORGANISATION, encoding="utf-8")
        loading = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.intake", "organisation", str(path)),
            cwd=CHECKOUT,
            env=self.office.environment("intake"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await loading.wait() == 0

    async def days(self) -> None:
        """From Friday to Tuesday; then it is Wednesday morning."""
        await self.open_doors()
        self.bank.step(FRIDAY)
        await self.submit("silent", branch="3102", channel="web")
        await self.hand_over("posted")
        await self.hand_over("adverse", ADVERSE, channel="mobile_app")
        await self.decided(("posted", "application.approved"))
        await self.order_card("posted", intake.CardProduced, intake.CardPosted)
        await self.decided(("adverse", "application.declined"))
        self.bank.step(MONDAY)
        await self.hand_over("queries", QUERIES, branch="4401", product="gold")
        await self.hand_over("ordered", channel="mobile_app", branch="3102")
        await self.decided(("ordered", "application.approved"))
        await self.order_card("ordered")
        self.bank.step(TUESDAY)
        await self.hand_over("new", new_to_bank=True, applicant_type="salaried")
        await self.hand_over("second", new_to_bank=True, branch="3102", product="gold")
        await self.hand_over("middling", MIDDLING)
        await self.hand_over("watched", WATCHLIST)
        declined = (await self.bank.said(self.applicants["adverse"], "banka.applications"))[-1]
        self.states["adverse"], self.applicants["adverse"].version = "declined", declined[1] or 0
        await self.tell(
            "adverse",
            intake.AppealRequested,
            appeal_id=new_id(),
            wish=intake.AppealWish.HUMAN_REVIEW,
            entered_by="customer",
        )
        await self.apply("owing", applicant_type="self_employed")
        await self.tell(
            "owing",
            intake.MaterialRequested,
            items=OWED,
            deadline=TUESDAY + timedelta(days=14),
            round=1,
        )
        await self.apply("withdrawn")
        await self.tell("withdrawn", intake.ApplicationWithdrawn, request_id=new_id())
        await self.decided(
            ("new", "application.referred"),
            ("second", "application.referred"),
            ("middling", "application.referred"),
            ("watched", "application.held"),
        )
        await self.tell(
            "second", intake.DisputeRequested, dispute_id=new_id(), entered_by="customer"
        )
        self.bank.step(TODAY)
        await self.settled()
        await self.ask_about_the_past()
        await self.break_down()

    async def ask_about_the_past(self) -> None:
        """A replay of the version in force, which says the same; and a version that ran beside it
        and did not."""
        signer = Signer(self.bank.settings.secret("session-key").encode())
        cookie = self.cookie("risk")
        session = signer.open(cookie, time.time())
        assert session is not None
        digest = newest().policy.digest
        async with httpx.AsyncClient(
            base_url=self.url,
            cookies={COOKIE: cookie},
            headers={CSRF_HEADER: signer.form_token(session.nonce)},
            trust_env=False,
        ) as client:
            asked = await client.post(
                f"/review/policies/{digest}/replays",
                data={"since": f"{FRIDAY:%Y-%m-%d}", "run_id": self.replay},
            )
            assert asked.status_code == 303, asked.text
            day = f"{FRIDAY:%Y-%m-%d}"
            asked = await client.post(
                "/review/policies/drift",
                data={"since": day, "base_until": day, "step": "week", "run_id": self.drift},
            )
            assert asked.status_code == 303, asked.text
        conn = await asyncpg.connect(self.bank.superuser_url)
        try:
            await conn.execute(
                "INSERT INTO shadow_verdict SELECT application_id, $1, 1, 'refer', 'examine',"
                " '{CARDS_MANY}', 1000000, 61, 'standard', now(), $1, outcome, '{}',"
                " coalesce(granted_limit, 0), points FROM decision",
                digest,
            )

            async def ended() -> bool:
                return bool(
                    await conn.fetchval("SELECT bool_and(tally IS NOT NULL) FROM portfolio_run")
                )

            await eventually(ended)
        finally:
            await conn.close()

    async def break_down(self) -> None:
        """What operators find in review: a body that is no event's, events behind it, a gap, an
        answer that its handler failed on, a rebuild that stopped."""
        topic = "banka.applications"
        for name, sequences in (("broken", (1, 2, 3)), ("gap", (3,)), *_MORE_BROKEN):
            subject = self.stuck[name] = new_id()
            for sequence in sequences:
                envelope = Envelope(
                    id=new_id(),
                    type=intake.ApplicationWithdrawn.type,
                    source=source("intake"),
                    subject=subject,
                    time=self.bank.now,
                    recorded_time=datetime.now(UTC),
                    sequence=sequence,
                )
                await self.bank.producer.send_and_wait(
                    topic,
                    json.dumps({"application_id": subject, "name": NAME}).encode(),
                    key=subject.encode(),
                    headers=encode(envelope),
                )
        conn = await asyncpg.connect(self.bank.superuser_url)
        try:
            self.failed_call = await conn.fetchval(
                "INSERT INTO messaging.call (kind, key, subject, payload, cause, state, error,"
                " applying) VALUES ('bureau', 'k', $1, $2, '{}', 'failed', 'RuntimeError: bug', 5)"
                " RETURNING id",
                self.stuck["gap"],
                json.dumps({"application_id": self.stuck["gap"], "name": NAME}),
            )
            await conn.execute(
                "INSERT INTO messaging.halted_consumer (consumer, reason) VALUES"
                " ('review.applications@2', '11 of the last 14 events failed, the last with"
                " RuntimeError: bug')"
            )

            async def parked() -> bool:
                rows = await conn.fetch(
                    "SELECT subject, id FROM messaging.parked_event ORDER BY id DESC"
                )
                self.parked = {row["subject"]: row["id"] for row in rows}
                return len(rows) == 4 + len(_MORE_BROKEN)

            await eventually(parked)
        finally:
            await conn.close()

    def parked_id(self, name: str) -> int:
        """The number of the first event that waits in review."""
        return self.parked[self.stuck[name]]

    async def settled(self) -> None:
        """Wait until every service has read everything, sent everything and has nothing due."""
        async with httpx.AsyncClient(trust_env=False) as client:

            async def quiet(service: str) -> bool:
                told = (await client.get(f"{self.office.url(service)}/internal/quiet")).json()
                assert not told["parked"], f"{service} parked an event: {told}"
                return not any(waits for name, waits in told.items() if name != "next_due")

            for service in ("review", "notify", "reporting"):
                await eventually(lambda service=service: quiet(service))  # type: ignore[misc]

    def browser_cookie(self, who: str) -> dict[str, str]:
        return {"name": COOKIE, "value": self.cookie(who), "url": self.url}


@asynccontextmanager
async def opened(stack: Stack, clock_file: Path) -> AsyncIterator[Town]:
    """The office on this stack, with its days behind it."""
    await provision(stack)
    step_clock(clock_file, FRIDAY)
    await migrate_vault(settings_of(stack, clock_file, ""))
    environment = {"BANKA_ENVIRONMENT": "test", "BANKA_CLOCK_FILE": str(clock_file)}
    async with processes.running(stack, names=PROCESSES, extra_env=environment) as office:
        systems = office.url("credit-systems")
        settings = settings_of(stack, clock_file, systems)
        async with Bank.open(stack, settings, clock_file, systems, FRIDAY) as bank:
            town = Town(bank, office)
            await town.employ(clock_file.parent)
            await town.days()
            yield town
