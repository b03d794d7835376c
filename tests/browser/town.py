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
from datetime import UTC, date, datetime, timedelta
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
from services.review.policy import Policy
from services.review.policy_folder import newest
from shared.clock import step_clock
from shared.events import intake
from shared.events.catalog import SERVICES, source
from shared.events.envelope import Envelope, encode
from shared.events.lifecycle import advance
from shared.events.payload import Payload
from shared.identifiers import new_id
from shared.money import Money
from shared.privacy.vault_database import migrate_vault
from shared.web.access import CSRF_HEADER
from shared.web.session import COOKIE, Session, Signer
from tests.bench import replay as past
from tests.eventually import eventually
from tests.integration.review.bank import (
    EMPLOYER,
    GOOD,
    NAME,
    Applicant,
    Bank,
    needed_papers,
    settings_of,
)

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
OPINION = "收入稳定"  # of an officer
DECISIONS = 1_600
_NOT_BEFORE = {"queries_many", "lenders_many", "debt_ratio_high", "debt_ratio_excessive"}
PAST = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # since when decisions lie in review
ADVERSE, QUERIES, WATCHLIST, MIDDLING = 911, 921, 941, 961  # sequence digits of the resident ID
_MORE_BROKEN = (("retried", (1,)), ("skipped", (1,)), ("many", (1,)))  # for whoever decides
# of every twelfth approval and of every fortieth decline a version without effect says otherwise
_BESIDE = """
INSERT INTO shadow_verdict (application_id, digest, scoring_round, outcome, advice, findings,
    recommended, points, pricing_class, at, live_digest, live_outcome, live_findings,
    live_recommended, live_points)
SELECT application_id, $1, 1, CASE WHEN other THEN 'refer' ELSE outcome END, 'examine',
    CASE WHEN other AND outcome = 'approve' THEN '{CARDS_MANY}'::text[] ELSE '{}' END,
    coalesce(granted_limit, 0), points, 'standard', decided_at, policy_digest, outcome,
    CASE WHEN other AND outcome = 'decline' THEN '{QUERIES_EXCESSIVE}'::text[] ELSE '{}' END,
    coalesce(granted_limit, 0), points
FROM (SELECT *, row_number() OVER (PARTITION BY outcome ORDER BY decided_at)
    % CASE outcome WHEN 'approve' THEN 12 ELSE 40 END = 0 AS other FROM decision) d
"""
# more than an engineer earns in the region, so that a call is asked for
_DOUBTFUL: dict[str, Any] = {
    "new_to_bank": True,
    "applicant_type": "salaried",
    "income": 95_000_00,
    "occupation": "工程师",
}
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
    cards: dict[str, str] = field(default_factory=dict)
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
        """What is Chinese in every language: names, and what people signed and wrote."""
        return {name for name, _, _ in STAFF.values()} | {
            "何静怡",
            PURPOSE,
            EMPLOYER,
            OPINION,
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

    async def tell(self, name: str, kind: type[Payload], /, **more: Any) -> None:
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

    async def hand_over(
        self, name: str, sequence: int = GOOD, *, wish: Money | None = None, **kind: Any
    ) -> None:
        """An application that passes the pre-check; review has it from here on."""
        await self.apply(name, sequence, **kind)
        applicant = self.applicants[name]
        documents = [
            {
                "document_id": new_id(),
                "item": item,
                "sha256": hashlib.sha256(f"{name} {item}".encode()).hexdigest(),
                "media_type": "image/png",
            }
            for item in dict.fromkeys((*needed_papers(applicant), "income_proof"))
        ]
        await self.tell(
            name,
            intake.PreCheckPassed,
            documents=documents,
            waived=[],
            submitted_at=self.bank.now,
            requested_limit=wish,
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
        self.cards[name] = card["card_id"]
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

    @asynccontextmanager
    async def client(self, who: str) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody who has signed in, without a browser."""
        signer = Signer(self.bank.settings.secret("session-key").encode())
        cookie = self.cookie(who)
        session = signer.open(cookie, time.time())
        assert session is not None
        async with httpx.AsyncClient(
            base_url=self.url,
            cookies={COOKIE: cookie},
            headers={CSRF_HEADER: signer.form_token(session.nonce)},
            trust_env=False,
        ) as client:
            yield client

    async def act(self, who: str, name: str, what: str, body: Any = None) -> None:
        """Somebody does something with a case; what: the end of review's address for it."""
        here = f"/review/api/v1/cases/{self.application_id(name)}/{what}"
        async with self.client(who) as client:
            answer = await client.post(here, json=body)
        assert answer.status_code == 200, answer.text

    async def in_use(self, name: str) -> None:
        """The card of an approved application is activated, and core banking has told of it."""
        await self.order_card(name, intake.CardProduced, intake.CardPosted, intake.CardActivated)
        applicant = self.applicants[name]
        told = {
            "card_id": self.cards[name],
            "person": applicant.party.person,
            "month": "2026-10",
            "revision": 1,
            "opened_on": date(2026, 5, 11),
            "closed_on": None,
            "days_past_due": 0,
            "balance": "from_1k",
            "last_customer_transaction": date(2026, 10, 28),
            "policy_card": False,
        }
        payload = intake.AccountPerformanceReported.model_validate({**applicant.about, **told})
        await self.bank.publish(applicant.application_id, payload)
        await self.row(
            "SELECT FROM review_case JOIN account_month USING (application_id)"
            " WHERE application_id = $1 AND state = 'activated'",
            name,
        )

    async def row(self, statement: str, name: str) -> None:
        """Wait until review has a row about this application."""

        async def there() -> bool:
            return bool(await self.bank.fetch(statement, self.application_id(name)))

        await eventually(there)

    async def want_more(self, name: str) -> None:
        """The customer asks for a higher limit, and a person has to decide."""
        wish = {
            "change_id": new_id(),
            "kind": "increase",
            "wanted": Money.of(30_000),
            "agreed_at": self.bank.now,
            "entered_by": "staff:A3101",
            "income_on": self.bank.now.date(),
        }
        await self.tell(name, intake.LimitChangeRequested, **wish)
        await self.row(
            "SELECT FROM limit_change WHERE application_id = $1 AND state = 'deciding'", name
        )

    async def live_through_the_past(self) -> None:
        """Months of decisions, by a policy of before, as they lie in review."""
        texts = json.loads(newest().policy.source)
        texts["policy"]["version"] = "2026.1"
        findings = texts["rules.json"]["nodes"][1]["content"]
        findings["rules"] = [one for one in findings["rules"] if one["_id"] not in _NOT_BEFORE]
        conn = await asyncpg.connect(self.bank.superuser_url)
        try:
            before = Policy(json.dumps(texts))
            every = (FRIDAY - PAST) / DECISIONS
            await past.fill(conn, self.bank.settings, before, DECISIONS, began=PAST, every=every)
        finally:
            await conn.close()

    async def days(self) -> None:
        """From Friday to Tuesday; then it is Wednesday morning."""
        await self.live_through_the_past()
        await self.open_doors()
        self.bank.step(FRIDAY)
        await self.submit("silent", branch="3102", channel="web")
        await self.hand_over("posted")
        await self.hand_over("adverse", ADVERSE, channel="mobile_app")
        await self.decided(("posted", "application.approved"))
        await self.order_card("posted", intake.CardProduced, intake.CardPosted)
        await self.decided(("adverse", "application.declined"))
        for name in ("raised", "asking"):
            await self.hand_over(name, wish=Money.of(10_000))
            await self.decided((name, "application.approved"))
            await self.in_use(name)
        self.bank.step(MONDAY)
        await self.hand_over("queries", QUERIES, branch="4401", product="gold")
        await self.hand_over("doubtful", **_DOUBTFUL)
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
        await self.tell(
            "queries", intake.DisputeRequested, dispute_id=new_id(), entered_by="customer"
        )
        for name in ("second", "queries"):
            await self.row("SELECT FROM appeal WHERE application_id = $1", name)
        for name in ("raised", "asking"):
            await self.want_more(name)
        self.bank.step(TODAY)
        await self.settled()
        await self.work()
        await self.ask_about_the_past()
        await self.break_down()

    async def work(self) -> None:
        """What a reviewer has begun this morning."""
        await self.act("reviewer", "doubtful", "claim")
        await self.act("reviewer", "queries", "dispute/claim")
        await self.act("reviewer", "posted", "appeal", {"wish": "human-review", "note": OPINION})
        await self.act("reviewer", "posted", "appeal/claim")
        proposal = {"outcome": "grant", "limit": {"minor": 30_000_00}, "note": OPINION}
        await self.act("reviewer", "raised", "limit-change/proposal", proposal)

    async def ask_about_the_past(self) -> None:
        """A replay of the version in force, figures by month; and a version that ran beside it and
        does not say the same."""
        digest = newest().policy.digest
        async with self.client("risk") as client:
            asked = await client.post(
                f"/review/policies/{digest}/replays",
                data={"since": f"{PAST:%Y-%m-%d}", "run_id": self.replay},
            )
            assert asked.status_code == 303, asked.text
            asked = await client.post(
                "/review/policies/drift",
                data={
                    "since": f"{PAST:%Y-%m-%d}",
                    "base_until": "2026-05-31",
                    "run_id": self.drift,
                },
            )
            assert asked.status_code == 303, asked.text
        conn = await asyncpg.connect(self.bank.superuser_url)
        try:
            await conn.execute(_BESIDE, digest)

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
