"""The world around intake in its tests: customers with their papers, review's answers, partners."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI

from deploy.local import Stack
from services.intake.app import Intake, build_app, build_service
from services.intake.desk import Desk
from shared.clock import step_clock
from shared.events import intake, review
from shared.events.catalog import PARTNERS, partner_source, source
from shared.events.envelope import Envelope, encode
from shared.events.payload import CreditConsent
from shared.formats import make_synthetic_resident_id
from shared.identifiers import new_id
from shared.messaging import Fact
from shared.messaging.broker import connection
from shared.postgres.migrate import migrate
from shared.privacy.jwe import encrypt
from shared.privacy.vault_database import migrate_vault
from shared.settings import Environment, Settings
from shared.web.access import CSRF_HEADER
from shared.web.session import COOKIE, Session, Signer
from tests.eventually import eventually
from tests.integration.intake.described import as_described
from tests.kept import Kept
from tests.papers import picture

_PEOPLE = itertools.count()  # nobody twice: whoever comes again is a known customer
API = "/intake/api/v1"
BRANCH, OTHER_BRANCH = "3101", "4401"
NAME, EMPLOYER, MOBILE = "司徒望月", "青岚机械制造有限公司", "13900007788"
HOME, WORK, EMAIL = (
    "上海市浦东新区望江路七十七号",
    "上海市徐汇区云锦路五百号",
    "yue@customer.example",
)
OFFICE_PHONE = "02164567890"
CONSENT = "信用卡审批"
TOKENS = {
    "branch-terminal": "t-branch-terminal-0123456789abcdef",
    "web-channel": "t-web-channel-0123456789abcdef",
    "one-branch": "t-one-branch-0123456789abcdef",
    "web-partner": "t-web-partner-0123456789abcdef",
    "web-careful": "t-web-careful-0123456789abcdef",
    "web-hasty": "t-web-hasty-0123456789abcdef",
    "web-sealed": "",  # has a secret instead
}
SECRET = "s-web-sealed-0123456789abcdef"
# What the list says of a client beyond what it says of all.
CLIENTS: dict[str, dict[str, Any]] = {
    "branch-terminal": {"sees": "branch"},
    "one-branch": {"sees": "branch"},
    "web-careful": {"must_match": True},
    "web-hasty": {"rate": {"per_second": 0.01, "burst": 2}},
    "web-sealed": {"token": None, "secrets": [{"sha256": sha256(SECRET.encode()).hexdigest()}]},
}
STAFF_PERMISSIONS = [
    "application.create",
    "application.edit",
    "application.view",
    "material.receive",
]
SALARIED_PAPERS = ("application_form_signed", "id_front", "id_back", "work_proof", "income_proof")


def settings_of(stack: Stack, folder: Path) -> Settings:
    """Intake's settings on this stack, with its own secrets, clients, papers and clock."""
    secrets = folder / "secrets"
    shutil.copytree(stack.secrets_dir, secrets, dirs_exist_ok=True)
    clients = [
        {
            "id": name,
            "token": token,
            "channel": "web" if name.startswith("web") else "counter",
            "permissions": STAFF_PERMISSIONS,
            "branches": [OTHER_BRANCH] if name == "one-branch" else None,
            "rate": {"per_second": 2000, "burst": 5000},
            **CLIENTS.get(name, {}),
        }
        for name, token in TOKENS.items()
    ]
    (secrets / "api-clients.json").write_text(json.dumps(clients), encoding="utf-8")
    return Settings(
        service="intake",
        environment=Environment.TEST,
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_security=stack.kafka_security,  # type: ignore[arg-type]
        postgres_dsn=stack.postgres_dsn,
        secrets_dir=secrets,
        clock_file=folder / "clock",
        documents_url=(folder / "documents").as_uri(),
    )


@dataclass
class Customer:
    """Somebody who applies."""

    id_number: str
    application_id: str = ""
    number: str = ""
    form: dict[str, Any] = field(default_factory=dict)
    reference: str = ""


@dataclass
class Office:
    """The running service with everybody around it."""

    service: Intake
    desk: Desk
    app: FastAPI
    settings: Settings
    superuser_url: str
    vault_url: str
    now: datetime
    producers: dict[str, AIOKafkaProducer]
    jwks: dict[str, Any]
    sequences: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    kept: Kept = field(default_factory=Kept)
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def on(cls, stack: Stack, folder: Path, now: datetime) -> AsyncIterator[Office]:
        """An office on a stack that is provisioned; its tables are made where they are not yet."""
        settings = settings_of(stack, folder)
        await migrate_vault(settings)
        await migrate(settings, "intake")
        async with cls.open(stack, settings, now) as office:
            yield office

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: Stack, settings: Settings, now: datetime) -> AsyncIterator[Office]:
        assert settings.clock_file is not None
        step_clock(settings.clock_file, now)
        service, desk, keys = build_service(settings)
        app = build_app(service, desk, keys)
        async with AsyncExitStack() as closing:
            producers = {}
            for user in ("review", *(partner.name for partner in PARTNERS)):
                told = connection(settings.model_copy(update={"kafka_user": user}))
                producers[user] = AIOKafkaProducer(**told)
                await producers[user].start()
                closing.push_async_callback(producers[user].stop)
            await closing.enter_async_context(app.router.lifespan_context(app))
            office = cls(
                service,
                desk,
                app,
                settings,
                stack.superuser_url("banka_intake"),
                stack.superuser_url("banka_vault"),
                now,
                producers,
                keys.public_jwks(),
            )
            closing.push_async_callback(office.kept.close)
            await office.open_branches()
            yield office

    async def open_branches(self) -> None:
        """Tells of two branches, and waits until intake has heard it."""
        for branch, region in ((BRANCH, "31"), (OTHER_BRANCH, "44")):
            payload = intake.BranchChanged(
                branch=branch, name_zh=f"支行{branch}", name_en=f"Branch {branch}", region=region
            )
            async with self.service.transaction() as tx:
                await tx.append([Fact(payload)], subject=branch)

        async def known() -> bool:
            found = await self.service.pool.fetchval("SELECT count(*) FROM directory_branch")
            return bool(found >= 2)

        await eventually(known)

    def step(self, now: datetime) -> None:
        """Moves the business clock."""
        assert self.settings.clock_file is not None
        self.now = now
        step_clock(self.settings.clock_file, now)

    def client(self, name: str = "branch-terminal") -> httpx.AsyncClient:
        """A channel that calls the API."""
        if name not in self._clients:
            self._clients[name] = httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app),
                base_url="http://intake.test",
                headers={"Authorization": f"Bearer {TOKENS[name]}"},
                event_hooks={"response": [as_described]},
            )
        return self._clients[name]

    async def colleague(self, *roles: str, branch: str = "*") -> httpx.AsyncClient:
        """A member of staff who is signed in; of every branch, where none is named."""
        staff_id = new_id()
        payload = intake.StaffChanged(
            staff_id=staff_id,
            username=f"{roles[0]}-{staff_id[-6:]}",
            display_name=f"甲{staff_id[-4:]}",
            roles=list(roles),
            branches=[branch],
            desk="operations",
            session_epoch=1,
        )
        async with self.service.transaction() as tx:
            await tx.append([Fact(payload)], subject=staff_id)
        signer = Signer(self.settings.secret("session-key").encode())
        session = Session.begin(staff_id, 1, time.time())
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://intake.test",
            cookies={COOKIE: signer.seal(session)},
            headers={CSRF_HEADER: signer.form_token(session.nonce)},
            event_hooks={"response": [as_described]},
        )

        async def known() -> bool:
            return (await client.get(f"{API}/applications")).status_code == 200

        await eventually(known)
        return client

    # -- customers --------------------------------------------------------------------------------

    def customer(self, **changes: Any) -> Customer:
        """Somebody new with a form in good order; `party` in changes alters the person."""
        sequence, days = divmod(next(_PEOPLE), 4001)
        born = date(1980, 1, 1) + timedelta(days=days)
        id_number = make_synthetic_resident_id("31", born, 100 + sequence)
        person = {
            "role": "applicant",
            "name": NAME,
            "salutation": "ms",
            "id_number": id_number,
            "id_issued": "2019-03-01",
            "id_expires": "2039-03-01",
            "nationality": "CHN",
            "mobile": MOBILE,
            "email": EMAIL,
            "home_address": HOME,
            "employer": EMPLOYER,
            "occupation": "工程师",
            "work_address": WORK,
            "office_phone": OFFICE_PHONE,
            "monthly_income": "1200000",
            "other_bank_limits": "0",
            **changes.pop("party", {}),
        }
        form = {
            "branch": BRANCH,
            "product": "standard",
            "applicant_type": "salaried",
            "channel": "counter",
            "parties": [{name: value for name, value in person.items() if value is not None}],
            "consent": {"signed_at": "2026-10-11T01:30:00Z", "purpose": CONSENT},
            "requested_limit": {"minor": 2000000, "currency": "CNY"},
            **changes,
        }
        return Customer(str(person["id_number"]), form=form)

    async def begun(self, customer: Customer | None = None) -> Customer:
        """A draft."""
        customer = customer or self.customer()
        answer = await self.client().post(f"{API}/applications", json=customer.form)
        assert answer.status_code == 201, answer.text
        customer.application_id = answer.json()["application_id"]
        customer.number = answer.json()["application_number"]
        return customer

    async def upload(
        self,
        customer: Customer,
        item: str,
        *,
        content: bytes | None = None,
        issued_on: date | None = None,
        dated: bool = True,
        key: str | None = None,
    ) -> httpx.Response:
        """Hand in a paper, of today where no date is given; or not `dated` at all."""
        content = content or picture(f"{item} {customer.id_number} {new_id()}")
        day = issued_on or self.now.date()
        issued = {"issued_on": day.isoformat()} if dated else {}
        return await self.client().post(
            f"{API}/applications/{customer.application_id}/documents",
            data={"item": item, **issued},
            files={"file": ("scan", content, "application/octet-stream")},
            headers={"Idempotency-Key": key} if key else {},
        )

    async def all_papers(self, customer: Customer) -> None:
        for item in SALARIED_PAPERS:
            answer = await self.upload(customer, item)
            assert answer.status_code == 201, answer.text

    async def submit(self, customer: Customer) -> httpx.Response:
        return await self.client().post(f"{API}/applications/{customer.application_id}/submit")

    async def handed_over(self, customer: Customer | None = None) -> Customer:
        """An application that has passed the pre-check."""
        customer = await self.begun(customer)
        await self.all_papers(customer)
        answer = await self.submit(customer)
        assert answer.json()["state"] == "checking", answer.text
        return customer

    async def withdraw(self, customer: Customer) -> httpx.Response:
        return await self.client().post(f"{API}/applications/{customer.application_id}/withdraw")

    async def shown(self, customer: Customer) -> dict[str, Any]:
        """The application as staff see it."""
        path = f"{API}/applications/{customer.application_id}"
        answer = await self.client().get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def state(self, customer: Customer) -> str:
        found = await self.service.pool.fetchval(
            "SELECT state FROM application WHERE application_id = $1", customer.application_id
        )
        return str(found)

    async def until(self, customer: Customer, state: str) -> None:
        """Waits until intake has the application in this state."""

        async def reached() -> bool:
            return await self.state(customer) == state

        await eventually(reached)

    async def drawn(self, document_id: str) -> None:
        """Waits until the pages of a paper can be shown."""

        async def shown() -> bool:
            rows = await self.fetch(
                "SELECT FROM paper_preview WHERE document_id = $1 AND pages > 0", document_id
            )
            return bool(rows)

        await eventually(shown)

    # -- review -----------------------------------------------------------------------------------

    async def review_says(self, customer: Customer, *kinds: type[Any], **more: Any) -> None:
        """Events of review about the application, counted on from where it stands."""
        row = await self.service.pool.fetchrow(
            "SELECT * FROM application WHERE application_id = $1", customer.application_id
        )
        assert row is not None
        names = [
            *("application_id", "application_number", "branch", "region", "channel"),
            *("product", "product_version", "applicant_type"),
        ]
        version = row["state_version"]
        for kind in kinds:
            milestone = kind in (
                review.WithdrawalRefused,
                review.AppealOpened,
                review.AppealAnswered,
                review.LimitChangeOpened,
                review.LimitChangeDecided,
                review.LimitExpired,
                review.DisputeOpened,
                review.DisputeAnswered,
            )
            version += 0 if milestone else 1
            extra = more if kind is kinds[-1] else {}
            payload = kind.model_validate({**{name: row[name] for name in names}, **extra})
            subject = customer.application_id
            self.sequences[payload.topic, subject] += 1
            envelope = Envelope(
                id=new_id(),
                type=payload.type,
                source=source("review"),
                subject=subject,
                time=self.now,
                recorded_time=self.now,
                sequence=self.sequences[payload.topic, subject],
                state_version=version,
                correlation_id=new_id(),
            )
            await self.producers["review"].send_and_wait(
                payload.topic,
                payload.model_dump_json().encode(),
                key=subject.encode(),
                headers=encode(envelope),
            )

    async def approved(self, customer: Customer | None = None) -> Customer:
        """An application that review approves by policy."""
        customer = await self.handed_over(customer)
        await self.review_says(
            customer,
            review.ChecksCompleted,
            review.ApplicationApproved,
            **decision(),
            limit={"minor": 1_500_000},
        )
        return customer

    # -- partners ---------------------------------------------------------------------------------

    async def partner_says(
        self,
        partner: str,
        kind: str,
        reference: str,
        data: dict[str, Any] | bytes,
        *,
        event_id: str | None = None,
        at: datetime | None = None,
        source_of: str | None = None,
    ) -> str:
        """A partner's event; returns its id."""
        event_id = event_id or new_id()
        envelope = Envelope(
            id=event_id,
            type=f"banka.partner-{kind}.v1",
            source=partner_source(source_of or partner),
            subject=reference,
            time=at or self.now,
            recorded_time=at or self.now,
            correlation_id=event_id,
        )
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        await self.producers[partner].send_and_wait(
            f"banka.inbound.{partner}", body, key=reference.encode(), headers=encode(envelope)
        )
        return event_id

    async def answers(self, partner: str, event_id: str, least: int = 1) -> list[dict[str, Any]]:
        """What the partner was answered to an event, once there are so many answers."""
        kinds = tuple(f"banka.inbound.{one}.v1" for one in ("accepted", "noted", "rejected"))

        async def told() -> list[dict[str, Any]]:
            rows = await self.fetch(
                "SELECT type, convert_from(body, 'UTF8') AS body FROM messaging.event_log"
                " WHERE topic = $1 AND type = ANY ($2) ORDER BY position",
                f"banka.outbound.{partner}",
                list(kinds),
            )
            found = [
                {**json.loads(row["body"]), "kind": row["type"].split(".")[2]}
                for row in rows
                if json.loads(row["body"])["partner_event_id"] == event_id
            ]
            return found if len(found) >= least else []

        return await eventually(told)

    def app_form(self, customer: Customer, papers: tuple[str, ...] = ()) -> dict[str, Any]:
        """An application as the bank's app sends it, sealed to the office's key."""
        person = {k: v for k, v in customer.form["parties"][0].items() if k != "role"}
        return {
            "reference": customer.reference,
            "branch": customer.form["branch"],
            "product": customer.form["product"],
            "applicant_type": customer.form["applicant_type"],
            "parties": [
                {
                    "role": "applicant",
                    "personal": encrypt(json.dumps(person, ensure_ascii=False), self.jwks),
                }
            ],
            "consent": customer.form["consent"],
            "requested_limit": customer.form["requested_limit"],
            "documents": self.app_papers(papers),
        }

    def app_papers(
        self, items: tuple[str, ...], issued_on: date | None = None, *, dated: bool = True
    ) -> list[dict[str, str]]:
        """Papers, of today where no date is given; or not `dated` at all."""
        day = issued_on or self.now.date()
        return [
            {
                "item": item,
                "content": encrypt(picture(f"{item} {new_id()}"), self.jwks),
                **({"issued_on": day.isoformat()} if dated else {}),
            }
            for item in items
        ]

    # -- what was written -------------------------------------------------------------------------

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        async with self.kept.to(self.superuser_url) as conn:
            return list(await conn.fetch(sql, *arguments))

    async def said(self, subject: str, topic: str = "banka.applications") -> list[Any]:
        """What intake published about a subject: [(type, state version, data)], in order."""
        rows = await self.fetch(
            "SELECT type, attributes, body FROM messaging.event_log"
            " WHERE topic = $1 AND subject = $2 ORDER BY sequence",
            topic,
            subject,
        )
        found = []
        for row in rows:
            attributes = dict(json.loads(row["attributes"]))
            kind = row["type"].removeprefix("banka.").removesuffix(".v1")
            body = json.loads(row["body"]) | {"_time": attributes["time"]}
            body["_origin"] = attributes["origin"]
            found.append((kind, attributes.get("stateversion"), body))
        return found

    async def types(self, customer: Customer) -> list[str]:
        return [kind for kind, _, _ in await self.said(customer.application_id)]

    async def last(self, customer: Customer, kind: str) -> dict[str, Any]:
        """The latest event of this kind, once there is one."""

        async def there() -> dict[str, Any] | None:
            told = await self.said(customer.application_id)
            return next((data for name, _, data in reversed(told) if name == kind), None)

        found = await eventually(there)
        assert found is not None
        return found


def decision() -> dict[str, Any]:
    """What every decision of review carries."""
    return {
        "decision_id": new_id(),
        "reason_codes": [],
        "policy_version": "2026.1",
        "policy_digest": "d" * 64,
        "automatic": True,
        "decided_by": [],
    }


def consent() -> CreditConsent:
    return CreditConsent.model_validate({"signed_at": "2026-10-11T01:30:00Z", "purpose": CONSENT})


async def audited(client: httpx.AsyncClient, language: str = "en", **asked: str) -> str:
    """The page of the audit log that an auditor is led to who looks for this."""
    found = await client.post("/intake/audit", data=asked)
    assert found.status_code == 303, found.text
    address = found.headers["location"]
    assert f"={asked.get('number', 'no number')}" not in address
    answer = await client.get(f"{address}&lang={language}")
    assert answer.status_code == 200
    return answer.text
