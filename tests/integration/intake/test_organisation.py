"""Loading the organisation and signing in, on the real stack."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from services.intake import audit
from services.intake.accounts import (
    DEMO_PASSWORD,
    FAILURES_ALLOWED,
    AccountError,
    Accounts,
    load,
    set_password,
)
from services.intake.audit import LOG
from services.intake.organisation import read_organisation
from shared.parameters import load_sign_in
from shared.web.audit import Wanted
from shared.web.session import COOKIE, Signer
from shared.web.sign_in import Verified
from tests.eventually import eventually
from tests.integration.intake.office import API, Office

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = """
branches:
  - {branch: "6101", name_zh: 长安支行, name_en: Changan, region: "61"}
staff:
  - {staff_id: T0001, username: tester, display_name: 测试员, roles: [assistant],
     branches: ["6101"], desk: assistant}
  - {staff_id: T0002, username: other, display_name: 另一位, roles: [reviewer],
     branches: ["*"], desk: credit_review}
"""


_NOBODYS = "customer_access WHERE application_id IS NULL"


async def _told(office: Office, staff_id: str) -> Any:
    async with office.service.pool.acquire() as conn:
        return await conn.fetchrow("SELECT * FROM directory_staff WHERE staff_id = $1", staff_id)


async def test_the_organisation_is_loaded_told_and_signed_in_to(office: Office) -> None:
    settings, clock = office.service.settings, office.service.clock
    accounts = Accounts(office.service)

    first = await load(settings, clock, read_organisation(FILE))
    assert first.staff >= 2
    # the running service hears of it on the topic, like all others
    member = await eventually(lambda: _told(office, "T0001"))
    assert member["name"] == "测试员"
    assert member["branches"] == ["6101"]
    again = await load(settings, clock, read_organisation(FILE))
    assert (again.branches, again.staff) == (0, 0)

    assert await accounts.verify("tester", DEMO_PASSWORD) == Verified("T0001", 0)
    assert await accounts.verify("Tester", DEMO_PASSWORD) == Verified("T0001", 0)
    assert await accounts.verify("nobody", DEMO_PASSWORD) is None

    for _ in range(FAILURES_ALLOWED - 1):
        assert await accounts.verify("tester", "wrong") is None
    assert await accounts.verify("tester", "wrong") is None
    # the right password does not help as long as the lock lasts
    assert await accounts.verify("tester", DEMO_PASSWORD) is None
    assert await accounts.verify("other", DEMO_PASSWORD) == Verified("T0002", 0)

    await set_password(settings, clock, "tester", "another password")
    assert await accounts.verify("tester", "another password") == Verified("T0001", 1)

    async def ended() -> bool:
        return bool((await _told(office, "T0001"))["session_epoch"] == 1)

    await eventually(ended)  # sessions of before are over everywhere
    with pytest.raises(AccountError):
        await set_password(settings, clock, "tester", "short")
    with pytest.raises(AccountError):
        await set_password(settings, clock, "nobody", "long enough a password")

    left_out = FILE.replace("T0002, username: other", "T0003, username: third")
    await load(settings, clock, read_organisation(left_out))
    assert await accounts.verify("other", DEMO_PASSWORD) is None
    async with office.service.pool.acquire() as conn:
        outcomes = await conn.fetch(
            "SELECT outcome, count(*) AS n FROM sign_in WHERE staff_id = 'T0001' GROUP BY outcome"
        )
    assert {row["outcome"]: row["n"] for row in outcomes} == {
        "signed-in": 3,
        "wrong": FAILURES_ALLOWED,
        "locked": 1,
    }


async def test_tries_at_the_same_time_are_counted_one_after_another(office: Office) -> None:
    settings, clock = office.service.settings, office.service.clock
    accounts = Accounts(office.service)
    await load(settings, clock, read_organisation(FILE))
    await set_password(settings, clock, "other", "another password")
    tries = [accounts.verify("other", "wrong") for _ in range(FAILURES_ALLOWED + 2)]
    answers = await asyncio.gather(*tries, accounts.verify("other", "another password"))
    assert set(answers) == {None}, "the last one had the right password, and met the lock"
    outcomes = await office.fetch(
        "SELECT outcome FROM sign_in WHERE staff_id = 'T0002' ORDER BY id DESC LIMIT $1",
        len(answers),
    )
    assert [row["outcome"] for row in outcomes] == ["locked"] * 3 + ["wrong"] * FAILURES_ALLOWED


async def test_a_try_with_a_name_that_nobody_has_leaves_what_another_one_does(
    office: Office,
) -> None:
    accounts = Accounts(office.service)
    last = await office.fetch("SELECT coalesce(max(id), 0) AS id FROM sign_in")
    assert await accounts.verify("dontknow", "not-a-password-of-anybody") is None
    rows = await office.fetch("SELECT * FROM sign_in WHERE id > $1", last[0]["id"])
    assert [(row["staff_id"], row["outcome"]) for row in rows] == [(None, "wrong")]
    assert "dontknow" not in str([dict(row) for row in rows])
    async with office.service.pool.acquire() as conn:
        lines = await LOG.find(conn, Wanted(kind="sign-in"), 1)
    assert lines[0].actor == "nobody"


async def test_whom_the_banks_provider_vouches_for_is_looked_up_and_never_made_up(
    office: Office,
) -> None:
    settings, clock = office.service.settings, office.service.clock
    accounts = Accounts(office.service)
    await load(settings, clock, read_organisation(FILE))
    epoch = (await office.fetch("SELECT session_epoch FROM staff WHERE staff_id = 'T0001'"))[0][0]
    for claim, value in (("username", "Tester"), ("staff_id", "t0001")):
        assert await accounts.vouched_for(claim, value) == Verified("T0001", epoch)
    for claim, value in (("username", "T0001"), ("staff_id", "tester"), ("username", "nobody")):
        assert await accounts.vouched_for(claim, value) is None
    await load(settings, clock, read_organisation(FILE.replace("tester,", "renamed,")))
    assert await accounts.vouched_for("username", "tester") is None
    left = FILE.replace("T0001, username: tester", "T0009, username: new")
    await load(settings, clock, read_organisation(left))
    assert await accounts.vouched_for("staff_id", "T0001") is None, "has left"
    rows = await office.fetch(
        "SELECT outcome FROM sign_in WHERE staff_id = 'T0001' AND way = 'provider'"
    )
    assert [row["outcome"] for row in rows] == ["signed-in", "signed-in"]


async def test_a_copied_cookie_gets_in_nowhere_after_the_sign_out(office: Office) -> None:
    client, other = await office.colleague("assistant"), await office.colleague("assistant")
    copied = client.cookies[COOKIE]
    thief = httpx.AsyncClient(
        transport=httpx.ASGITransport(office.app),
        base_url="http://intake.test",
        cookies={COOKIE: copied},
    )
    assert (await thief.get(f"{API}/applications")).status_code == 200
    assert (await client.post("/sign-out")).status_code == 303
    assert (await thief.get(f"{API}/applications")).status_code == 401
    assert (await other.get(f"{API}/applications")).status_code == 200
    signer = Signer(office.settings.secret("session-key").encode())
    session = signer.open(copied, time.time())
    assert session is not None
    (row,) = await office.fetch(
        "SELECT convert_from(body, 'UTF8') AS body FROM messaging.event_log"
        f" WHERE type = 'banka.session.ended.v1' AND subject = '{session.staff_id}'"
    )
    assert json.loads(row["body"])["session"] == session.digest
    assert session.nonce not in row["body"]


async def test_tries_that_failed_are_forgotten_after_a_while_and_beyond_so_many(
    office: Office,
) -> None:
    kept, now = load_sign_in().tries, office.service.clock.now()
    old, new = now - timedelta(days=kept.days, seconds=1), now - timedelta(days=kept.days - 1)
    await load(office.service.settings, office.service.clock, read_organisation(FILE))
    for at in (old, new):
        for staff_id, outcome in (("T0001", "wrong"), ("T0001", "locked"), (None, "wrong")):
            await office.fetch(
                "INSERT INTO sign_in (at, staff_id, outcome) VALUES ($1, $2, $3)",
                *(at, staff_id, outcome),
            )
        await office.fetch(
            "INSERT INTO sign_in (at, staff_id, outcome) VALUES ($1, 'T0001', 'signed-in')", at
        )
        await office.fetch(
            "INSERT INTO customer_access (at, actor, what) VALUES ($1, 'customer', 'wrong')", at
        )
    customer = await office.begun()
    await office.fetch(
        "INSERT INTO customer_access (application_id, at, actor, what)"
        " VALUES ($1, $2, 'customer', 'wrong')",
        *(customer.application_id, old),
    )

    async def left(at: datetime) -> tuple[list[str], list[bool]]:
        signed = await office.fetch(
            "SELECT outcome FROM sign_in WHERE at = $1 ORDER BY outcome, staff_id", at
        )
        entered = await office.fetch(
            "SELECT application_id IS NULL AS nobodys FROM customer_access WHERE at = $1", at
        )
        return [row["outcome"] for row in signed], [row["nobodys"] for row in entered]

    assert await office.service.papers.forget_tries() == 4
    assert await left(old) == (["signed-in"], [False]), "what was no vain try of anybody's stays"
    assert await left(new) == (["locked", "signed-in", "wrong", "wrong"], [True])
    async with office.service.pool.acquire() as conn:
        await audit.forget_tries(conn, old, 1, 10_000)  # no more of a kind than one
        for kind in ("sign_in WHERE outcome IN ('wrong', 'locked')", _NOBODYS):
            assert await conn.fetchval(f"SELECT count(*) FROM {kind}") == 1
        for table in ("sign_in", "customer_access"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"DELETE FROM {table}")
