"""A held application and its twin that a person looks at are in reporting the same bytes to whoever
may not know of holds (反洗钱法 35)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from shared.events import intake, review
from shared.web.access import declared_access
from shared.web.permissions import GRANTS, Permission, Role
from tests.eventually import eventually
from tests.integration.reporting.bank import Bank
from tests.integration.reporting.test_service import API, in_state, signed_in

UNKNOWING = [role for role in Role if Permission.HOLD_VIEW not in GRANTS[role]]
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PLACE = re.compile(
    r'"partition":\d+,"offset":\d+'
)  # on the topic, where others' events lie between
_OF_A_REQUEST = re.compile(r'\b[0-9a-f]{32}\b|(?<=value=")[\w.=-]{30,}|(?<=content=")[\w.=-]{30,}')


async def twins(bank: Bank, *, ended: bool) -> tuple[str, str]:
    """Two applications of one moment, of which the first was held, and released where `ended`."""
    both = bank.application(), bank.application()
    for application in both:
        await bank.tell(
            application,
            intake.ApplicationDrafted,
            intake.ApplicationSubmitted,
            intake.PreCheckStarted,
            intake.PreCheckPassed,
            review.ChecksCompleted,
        )
    held, plain = both
    await bank.tell(held, review.ApplicationHeld)
    if ended:
        await bank.tell(held, review.ApplicationReleased)
    await bank.tell(plain, review.ApplicationReferred)
    return both


async def seen(web: httpx.AsyncClient, bank: Bank, application: str) -> dict[str, str]:
    """{what was asked: status and bytes, without what the application is known by}"""
    transport: Any = web._transport
    got = {}
    for route in declared_access(transport.app):
        method, _, path = route.partition(" ")
        if not method.startswith("GET") or "{application_id}" not in path:
            continue
        for language in ("zh-CN", "en"):
            answer = await web.get(
                path.format(application_id=application), params={"lang": language}
            )
            text = f"{answer.status_code} {answer.text}".replace(application, "ID")
            text = text.replace(bank.number(application), "NUMBER")
            got[f"{path} {language}"] = _OF_A_REQUEST.sub(
                "TOKEN", _PLACE.sub("PLACE", _UUID.sub("UUID", text))
            )
    listed = (await web.get(f"{API}/applications", params={"page_size": 200})).json()
    for one in listed.get("applications", []):
        if application in str(one):
            text = str(one).replace(application, "ID").replace(bank.number(application), "NUMBER")
            got["row"] = _UUID.sub("UUID", text)
    return got


@pytest.mark.parametrize("ended", [False, True], ids=["held", "released"])
async def test_whoever_may_not_know_of_holds_gets_the_same_bytes(
    web: httpx.AsyncClient, bank: Bank, ended: bool
) -> None:
    held, plain = await twins(bank, ended=ended)
    await signed_in(web, bank, "compliance", "*")
    await in_state(web, held, "manual_review" if ended else "on_hold")
    await in_state(web, plain, "manual_review")
    own, other = [await seen(web, bank, one) for one in (held, plain)]
    assert own != other, "compliance sees a difference, or the test sees nothing"
    for role in UNKNOWING:
        web.cookies.clear()
        web.cookies.update(await bank.staff(role.value, "*"))

        async def known() -> bool:
            return (await web.get(f"{API}/applications")).status_code in (200, 403)

        await eventually(known)
        own, other = [await seen(web, bank, one) for one in (held, plain)]
        assert own.keys() == other.keys()
        for asked, text in own.items():
            at = next(
                (n for n, (a, b) in enumerate(zip(text, other[asked], strict=False)) if a != b),
                None,
            )
            assert at is None, (
                role,
                asked,
                text[at - 80 : at + 80],
                other[asked][at - 80 : at + 80],
            )
            assert len(text) == len(other[asked]), (role, asked)
