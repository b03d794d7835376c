"""Which role is shown what of a hold, of its end and of an ordinary application in reporting: every
route that reads, as every role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.events import intake, review
from shared.web.access import declared_access
from shared.web.permissions import GRANTS, Permission, Role, Scope
from tests.eventually import eventually
from tests.integration.reporting.bank import Bank
from tests.integration.reporting.test_service import API, in_state, signed_in
from tests.integration.seeing import Row, Sight, Table, agrees

_OF_A_HOLD: Final = {
    ("that it is held", "案件已挂起"): '"state":"on_hold"',
    ("that compliance has it", "在合规处理"): '"desk":"compliance"',
    ("the event that began the hold", "挂起事件"): "banka.application.held.v1",
}
_OF_A_DECISION: Final = {
    ("the event that ended the hold", "解除挂起事件"): "banka.application.released.v1",
    ("who decided", "决定人"): "C0001",
    ("the category of the decline", "拒绝类别"): '"decline_category":"internal"',
    ("the policy's version", "策略版本"): "policy_version",
}
_OF_ANY: Final = {
    ("application number", "申请编号"): "",
    ("the event of the hand-over", "移交审批事件"): "banka.application.pre-check-passed.v1",
}


async def test_the_documentation_says_who_sees_what_of_a_hold(
    web: httpx.AsyncClient, bank: Bank
) -> None:
    held, decided, ordinary = (bank.application() for _ in range(3))
    for application in (held, decided, ordinary):
        await bank.tell(
            application,
            intake.ApplicationDrafted,
            intake.ApplicationSubmitted,
            intake.PreCheckStarted,
            intake.PreCheckPassed,
            review.ChecksCompleted,
        )
    await bank.tell(held, review.ApplicationHeld)
    await bank.tell(decided, review.ApplicationHeld, review.ApplicationReleased)
    by: dict[str, Any] = {
        "decided_by": ["C0001", "R0001"],
        "reason_codes": ["INTERNAL"],
        "category": "internal",
    }
    await bank.tell(decided, review.ApplicationDeclined, **by)
    await bank.tell(ordinary, review.ApplicationReferred)
    await signed_in(web, bank, "compliance", "*")
    for application, state in (
        (held, "on_hold"),
        (decided, "declined"),
        (ordinary, "manual_review"),
    ):
        await in_state(web, application, state)
    seen: dict[Role, dict[str, str]] = {}
    for role in Role:
        web.cookies.clear()
        web.cookies.update(await bank.staff(role.value, "*"))
        await eventually(lambda: _known(web))
        seen[role] = {one: await _shown(web, bank, one) for one in (held, decided, ordinary)}
    tables = [
        _table(seen, bank, held, "A held application", "挂起的申请", _OF_A_HOLD),
        _table(seen, bank, decided, "Declined after a hold", "挂起后拒绝的申请", _OF_A_DECISION),
        _table(seen, bank, ordinary, "An ordinary application", "普通申请", {}),
    ]
    inside = {role for role in Role if GRANTS[role].get(Permission.HOLD_VIEW) == Scope.ALL}
    for row in (*tables[0].rows, *tables[1].rows):
        seeing = {role for role, how in row.seen.items() if how == "shown"}
        assert seeing, f"nobody is shown {row.en}: the test looks for something else"
        if (
            "hold" in row.en
            or "held" in row.en
            or row.en in ("who decided", "that compliance has it")
        ):
            assert seeing <= inside, row.en
    assert agrees("Reporting", tables), "docs/who-sees-what.md is out of date"


async def _known(web: httpx.AsyncClient) -> bool:
    return (await web.get(f"{API}/applications")).status_code in (200, 403)


def _table(
    seen: Mapping[Role, Mapping[str, str]],
    bank: Bank,
    application: str,
    en: str,
    zh: str,
    more: Mapping[tuple[str, str], str],
) -> Table:
    rows = []
    for words, needle in {**more, **_OF_ANY}.items():
        sought = needle or bank.number(application)
        sights: dict[Role, Sight] = {
            role: "shown" if sought in answers[application] else "hidden"
            for role, answers in seen.items()
        }
        rows.append(Row(*words, sights))
    return Table(en, zh, rows)


async def _shown(web: httpx.AsyncClient, bank: Bank, application: str) -> str:
    """Everything that is read about an application, in both languages, by pages and by the API."""
    transport: Any = web._transport
    texts = [(await web.get(f"{API}/applications", params={"page_size": 200})).text]
    texts = [text for text in texts if application in text]
    for route in declared_access(transport.app):
        method, _, path = route.partition(" ")
        if method.startswith("GET") and "{application_id}" in path:
            for language in ("zh-CN", "en"):
                answer = await web.get(
                    path.format(application_id=application), params={"lang": language}
                )
                texts += [answer.text] if answer.status_code == 200 else []
    return "\n".join(texts)
