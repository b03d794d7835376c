"""The bank around review in its tests: intake's events, applicants, credit systems, staff."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from aiokafka import AIOKafkaProducer

from deploy.demo import credit_systems
from deploy.local import Stack
from shared.clock import step_clock
from shared.events import intake
from shared.events.catalog import source
from shared.events.envelope import Envelope, encode
from shared.events.payload import FIELD_CLASSES, Party, PartyRole
from shared.formats import make_synthetic_resident_id, resident_id_check_digit
from shared.identifiers import make_application_number, new_id
from shared.messaging.broker import connection
from shared.parameters import load_products, product_of
from shared.parameters.models import Condition
from shared.privacy.vault import Vault
from shared.privacy.vault_database import migrate_vault, open_vault
from shared.settings import Environment, Settings
from shared.web.access import CSRF_HEADER
from shared.web.session import COOKIE, Session, Signer
from tests.eventually import eventually
from tests.kept import Kept

NAME, EMPLOYER, MOBILE = "端木清扬", "星河灯塔科技有限公司", "13900005678"
GOOD = 101  # sequence digits of an applicant about whom all is well
FORM = {  # what forms say whose test says nothing of it; of an office something of one's own
    "id_issued": "2015-01-01",
    "home_address": "上海市浦东新区世纪大道100号",
    "occupation": "职员",
}


@asynccontextmanager
async def listening() -> AsyncIterator[str]:
    """The credit systems on a free port, in this process; gives their address."""
    config = uvicorn.Config(credit_systems.make_app(), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def settings_of(stack: Stack, clock_file: Path, systems: str) -> Settings:
    """Review's settings on this stack, with its own user and rights and a clock that moves."""
    return Settings(
        service="review",
        environment=Environment.TEST,
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_security=stack.kafka_security,  # type: ignore[arg-type]
        postgres_dsn=stack.postgres_dsn,
        secrets_dir=stack.secrets_dir,
        clock_file=clock_file,
        identity_url=f"{systems}/identity",
        bureau_url=f"{systems}/bureau",
        watchlist_url=f"{systems}/watchlist",
    )


@dataclass
class Applicant:
    """Somebody with one application; `version`: transitions that intake knows of."""

    application_id: str
    about: dict[str, Any]
    party: Party
    id_number: str
    new_to_bank: bool
    mobile: str
    version: int = 0
    warnings: list[str] = field(default_factory=list)  # of the pre-check
    agreed_to: dict[str, str] | None = None  # the consent's words, on a page


def needed_papers(applicant: Applicant) -> list[str]:
    """The papers that the product of the application demands of somebody with an ID card."""
    about = applicant.about
    product = product_of(about["product"], about["product_version"])
    lines = next((told for kind, told in product.materials.items() if kind == _kind(about)), [])
    needed = [
        one.items[0]
        for one in lines
        if one.need != "optional" and one.when is not Condition.HOLDER_HAS_PASSPORT
    ]
    return [item for item in needed if item != "credit_authorization"] or ["id_front"]


def _kind(about: dict[str, Any]) -> str:
    return str(about["applicant_type"])


def _rest_of_form(applicant_type: str, office: int) -> dict[str, str]:
    """The fields that some product needs of such an applicant, besides those of everybody;
    `office`: which of the town's it is."""
    known = {
        **FORM,
        "work_address": f"上海市黄浦区人民大道{office}号",
        "office_phone": f"021-6{office:07d}",
    }
    forms = [one.form.needed for one in load_products().values()]
    needed = {name for form in forms for kind, names in form.items() if kind == applicant_type
              for name in names}  # fmt: skip
    return {name: text for name, text in known.items() if name in needed}


@dataclass
class Colleague:
    """A member of staff with their way into the service."""

    staff_id: str
    client: httpx.AsyncClient

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        return await self.client.get(path, params=parameters)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.client.post(path, json=body)


@dataclass
class Bank:
    """Publishes as intake does, and reads what review wrote."""

    settings: Settings
    superuser_url: str
    producer: AIOKafkaProducer
    vault: Vault
    clock_file: Path
    systems: httpx.AsyncClient
    now: datetime
    branch: str = field(default_factory=lambda: f"{random.randint(8000, 9999)}")
    sequences: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    running: int = field(default_factory=lambda: random.randint(1, 80_000))
    born: date = date(1988, 1, 1)
    published: list[dict[str, Any]] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, stack: Stack, settings: Settings, clock_file: Path, systems: str, now: datetime
    ) -> AsyncIterator[Bank]:
        await migrate_vault(settings)
        vault, pool = await open_vault(settings, "intake")
        publisher = settings.model_copy(update={"kafka_user": "intake"})
        producer = AIOKafkaProducer(**connection(publisher))
        await producer.start()
        try:
            async with httpx.AsyncClient(base_url=systems, trust_env=False) as client:
                bank = cls(
                    settings,
                    stack.superuser_url("banka_review"),
                    producer,
                    vault,
                    clock_file,
                    client,
                    now,
                )
                bank.step(now)
                try:
                    yield bank
                finally:
                    await bank.kept.close()
        finally:
            await producer.stop()
            await pool.close()

    def step(self, now: datetime) -> None:
        """Moves the business clock."""
        self.now = now
        step_clock(self.clock_file, now)

    async def applicant(
        self,
        sequence: int = GOOD,
        *,
        new_to_bank: bool = False,
        applicant_type: str = "existing_customer",
        income: int = 12_000_00,
        place: str | None = None,
        mobile: str | None = None,
        as_before: Applicant | None = None,
        id_number: str | None = None,
        **more: str,
    ) -> Applicant:
        """Somebody whom intake has handed to review; `sequence` chooses what the systems say.
        `place`: the first six characters of a document that is no citizen's. `mobile`: a number of
        their own unless it is given, and so is their employer; `as_before`: the same person applies
        again; `more`: further fields of the form."""
        application_id = new_id()
        # one that all name would be looked at; who comes with a number may be somebody's twin
        employer = EMPLOYER if id_number else f"{EMPLOYER}{self.running + 1}号店"
        office = 0 if id_number else self.running + 1
        self.born += timedelta(days=1)  # two people with one number would be one person
        id_number = id_number or make_synthetic_resident_id("31", self.born, sequence)
        if place is not None:
            body = place + id_number[6:17]
            id_number = body + resident_id_check_digit(body)
        self.running += 1
        mobile = mobile or f"139{self.running:08d}"
        if as_before is not None:
            id_number = as_before.id_number
        keys = await self.vault.new_party(application_id, id_number=id_number, mobile=mobile)
        fields = {
            "name": NAME,
            "id_number": id_number,
            "mobile": mobile,
            "employer": employer,
            "monthly_income": str(income),
            **_rest_of_form(applicant_type, office),
            **more,
        }
        about = {
            "application_id": application_id,
            "application_number": make_application_number(
                self.branch, self.now.date(), self.running
            ),
            "branch": self.branch,
            "region": "31",
            "channel": "web",
            "product": "standard",
            "product_version": "2026.1",
            "applicant_type": applicant_type,
        }
        party = Party(
            party_id=keys.party_id,
            person=keys.person,
            role=PartyRole.APPLICANT,
            fields=keys.seal_fields(fields, FIELD_CLASSES),
        )
        return Applicant(application_id, about, party, id_number, new_to_bank, mobile)

    async def hand_over(self, applicant: Applicant) -> None:
        """The application's way through intake, up to the hand-over."""
        bands = {
            "parties": [applicant.party],
            "consent": {"signed_at": self.now - timedelta(days=1), "purpose": "信用卡审批"},
            "new_to_bank": applicant.new_to_bank,
            "age_band": "26-35",
            "income_band": "10000-19999",
        }
        await self.tell(applicant, intake.ApplicationDrafted)
        await self.tell(applicant, intake.ApplicationSubmitted, **bands)
        await self.tell(applicant, intake.PreCheckStarted)
        await self.pass_pre_check(applicant)

    async def pass_pre_check(self, applicant: Applicant, **more: Any) -> None:
        await self.tell(applicant, intake.PreCheckPassed, **self.handed_over(applicant, **more))

    def handed_over(self, applicant: Applicant, **more: Any) -> dict[str, Any]:
        """What the hand-over says besides whose it is."""
        return {
            "parties": [applicant.party],
            "consent": {
                "signed_at": self.now - timedelta(days=1),
                "purpose": "信用卡审批",
                "text": applicant.agreed_to,
            },
            "new_to_bank": applicant.new_to_bank,
            "age_band": "26-35",
            "income_band": "10000-19999",
            "warnings": applicant.warnings,
            "submitted_at": self.now,
            "documents": [
                {
                    "document_id": new_id(),
                    "item": item,
                    "sha256": "a" * 64,
                    "media_type": "image/png",
                }
                for item in needed_papers(applicant)
            ],
            "waived": [],
            **more,
        }

    async def tell(self, applicant: Applicant, kind: type[Any], /, **more: Any) -> None:
        """An event of intake about the application, counted as a transition unless it is none."""
        milestone = kind in (
            intake.WithdrawalRequested,
            intake.MaterialRequested,
            intake.AppealRequested,
            intake.LimitChangeRequested,
            intake.DisputeRequested,
        )
        applicant.version += 0 if milestone else 1
        payload = kind.model_validate({**applicant.about, **more})
        await self.publish(applicant.application_id, payload, applicant.version)

    async def publish(self, subject: str, payload: Any, version: int | None = None) -> None:
        body = payload.model_dump_json().encode()
        await self.send(self.record(payload.topic, payload.type, subject, body, version))

    def record(
        self, topic: str, kind: str, subject: str, body: bytes, version: int | None = None
    ) -> dict[str, Any]:
        """The next record of intake about a subject, to be sent."""
        self.sequences[(topic, subject)] += 1
        envelope = Envelope(
            id=new_id(),
            type=kind,
            source=source("intake"),
            subject=subject,
            time=self.now,
            recorded_time=datetime.now(UTC),
            sequence=self.sequences[(topic, subject)],
            state_version=version,
            correlation_id=new_id(),
        )
        return {
            "topic": topic,
            "value": body,
            "key": subject.encode(),
            "headers": encode(envelope),
        }

    async def send(self, record: dict[str, Any]) -> None:
        self.published.append(record)
        await self.producer.send_and_wait(**record)

    async def publish_all_again(self) -> None:
        """Everything this bank ever said, a second time, byte for byte."""
        for record in list(self.published):
            await self.producer.send_and_wait(**record)

    async def said(self, applicant: Applicant, topic: str) -> list[tuple[str, int | None, Any]]:
        """What review published about an application: [(type, state version, data)], in order."""
        rows = await self.fetch(
            "SELECT type, attributes, body FROM messaging.event_log"
            " WHERE topic = $1 AND subject = $2 ORDER BY sequence",
            topic,
            applicant.application_id,
        )
        found = []
        for row in rows:
            version = dict(json.loads(row["attributes"])).get("stateversion")
            kind = row["type"].removeprefix("banka.").removesuffix(".v1")
            found.append((kind, int(version) if version else None, json.loads(row["body"])))
        return found

    async def types(self, applicant: Applicant, topic: str = "banka.applications") -> list[str]:
        return [kind for kind, _, _ in await self.said(applicant, topic)]

    async def receipts(self, applicant: Applicant) -> dict[str, dict[str, int]]:
        """{system: {idempotency key: calls}} about one application."""
        told = (await self.systems.get("/receipts")).json()
        return {
            system: {
                key: calls
                for key, calls in told[system]["by_key"].items()
                if key.startswith(applicant.application_id)
            }
            for system in credit_systems.SYSTEMS
        }

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows of review's tables."""
        async with self.kept.to(self.superuser_url) as conn:
            return list(await conn.fetch(statement, *arguments))

    async def open_branch(self, branch: str, region: str) -> None:
        """A branch, told of on banka.reference."""
        payload = intake.BranchChanged(
            branch=branch, name_zh=f"网点{branch}", name_en=f"Branch {branch}", region=region
        )
        await self.publish(branch, payload)

    async def colleague(
        self, transport: httpx.AsyncBaseTransport, *roles: str, branch: str = "*"
    ) -> Colleague:
        """A member of staff, told of on banka.reference, with a signed session; of every branch,
        where none is named."""
        staff_id = new_id()
        payload = intake.StaffChanged(
            staff_id=staff_id,
            username=f"{roles[0]}-{staff_id[-6:]}",
            display_name=f"甲{staff_id[-4:]}",
            roles=list(roles),
            branches=[branch],
            desk="credit_review",
            session_epoch=1,
        )
        await self.publish(staff_id, payload)
        signer = Signer(self.settings.secret("session-key").encode())
        session = Session.begin(staff_id, 1, time.time())
        client = httpx.AsyncClient(
            transport=transport,
            base_url="http://review.test",
            cookies={COOKIE: signer.seal(session)},
            headers={CSRF_HEADER: signer.form_token(session.nonce)},
        )
        colleague = Colleague(staff_id, client)

        async def known() -> bool:
            return (await colleague.get("/review/api/v1/queue")).status_code in (200, 403)

        await eventually(known)
        return colleague
