"""A held application and its twin that lies with a reviewer are in intake the same bytes to whoever
may not know of holds (反洗钱法 35): staff, the customer on their own page, the partner who sent
it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.events import review
from shared.formats import make_synthetic_resident_id
from shared.privacy.masking import mask_id_number
from shared.web.access import declared_access
from shared.web.permissions import GRANTS, Permission, Role
from tests.integration.intake.office import Customer, Office
from tests.integration.intake.test_customer import OWN, Phone, code_for
from tests.integration.intake.test_partners import OUTBOUND, applied

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWING = [role for role in Role if Permission.HOLD_VIEW not in GRANTS[role]]
REFERRED = {"reason_codes": ["CLOSER_LOOK"], "policy_version": "1"}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OF_A_REQUEST = re.compile(
    r'\b(?:[0-9a-f]{12}|[0-9a-f]{32,64})\b|(?<=value=")[\w.=-]{30,}|(?<=content=")[\w.=-]{30,}|nonce="[^"]*"'
)
_SIZE = re.compile(r'(?<="size":)\d+|[\d.,]+\s?[kKM]?B\b')  # of pictures, each drawn for itself

Seen = Mapping[str, str]
Look = Callable[[Customer], Awaitable[Seen]]


def plain(text: str, one: Customer) -> str:
    """Without what one of the twins is known by."""
    for own, name in (
        (one.application_id, "ID"),
        (one.number, "NUMBER"),
        (one.number[-6:], "END"),
        (one.reference, "REFERENCE"),
        (mask_id_number(one.id_number), "MASKED"),
    ):
        text = text.replace(own, name)
    return _SIZE.sub("SIZE", _OF_A_REQUEST.sub("REQUEST", _UUID.sub("UUID", text)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twins(office: Office) -> tuple[Customer, Customer]:
    """Two people of one age, who apply in the bank's app in the same moment."""
    made = []
    for sequence in (211, 213):
        number = make_synthetic_resident_id("31", date(1991, 4, 9), sequence)
        made.append(await applied(office, party={"id_number": number}))
    held, other = made
    await office.review_says(held, review.ChecksCompleted, review.ApplicationHeld)
    await office.review_says(other, review.ChecksCompleted, review.ApplicationReferred, **REFERRED)
    await office.until(held, "on_hold")
    await office.until(other, "manual_review")
    for one in made:  # a page says of a paper whether it is drawn yet
        for document in (await office.shown(one))["documents"]:
            await office.drawn(document["document_id"])
    return held, other


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def released(office: Office, twins: tuple[Customer, Customer]) -> tuple[Customer, Customer]:
    """The same after the hold. Asked for last."""
    await office.review_says(twins[0], review.ApplicationReleased)
    await office.until(twins[0], "manual_review")
    return twins


def by_staff(office: Office, client: httpx.AsyncClient) -> Look:
    """Every address that reads something of an application."""

    async def look(one: Customer) -> Seen:
        got = {}
        for declared in declared_access(office.app):
            method, _, path = declared.partition(" ")
            if not method.startswith("GET") or re.findall(r"{(\w+)}", path) != ["application_id"]:
                continue
            for language in ("zh-CN", "en"):
                answer = await client.get(
                    path.format(application_id=one.application_id), params={"lang": language}
                )
                if answer.headers.get("content-type", "").startswith(("text", "application/json")):
                    got[f"{path} {language}"] = plain(f"{answer.status_code} {answer.text}", one)
        assert len(got) >= 4
        return got

    return look


async def differences(look: Look, twins: tuple[Customer, Customer]) -> dict[str, Any]:
    """{what was asked: the first fields and tags that differ}"""
    one, other = [await look(twin) for twin in twins]
    assert one.keys() == other.keys()
    found: dict[str, Any] = {}
    for asked in one:
        if one[asked] != other[asked]:
            first, second = [re.split(r"(?<=[,>])", text) for text in (one[asked], other[asked])]
            found[asked] = [*difflib.unified_diff(first, second, n=0, lineterm="")][3:9]
    return found


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_gets_the_same_bytes_while_it_is_held(
    office: Office, twins: tuple[Customer, Customer], role: Role
) -> None:
    assert await differences(by_staff(office, await office.colleague(role)), twins) == {}


async def test_the_twins_differ_for_compliance_so_that_the_test_can_see_something(
    office: Office, twins: tuple[Customer, Customer]
) -> None:
    found = await differences(by_staff(office, await office.colleague("compliance")), twins)
    assert "/intake/applications/{application_id} en" in found


async def test_a_channel_and_the_customer_get_the_same_bytes(
    office: Office, twins: tuple[Customer, Customer]
) -> None:
    assert await differences(by_staff(office, office.client()), twins) == {}
    clerk = await office.colleague("assistant")

    async def own_page(one: Customer) -> Seen:
        phone = Phone.at(office)
        await phone.enter(one.number, await code_for(office, one, clerk))
        asked = [f"{OWN}{what}" for what in ("", "/withdraw", "/dispute", "/appeal")]
        return {
            f"{path} {language}": plain((await phone.get(path, lang=language)).text, one)
            for path in asked
            for language in ("zh-CN", "en")
        }

    assert await differences(own_page, twins) == {}


async def told(office: Office, one: Customer) -> list[tuple[str, str]]:
    """What the partner was told of an application, as it reads it."""
    return [
        (kind, plain(str(data), one))
        for kind, _, data in await office.said(one.reference, OUTBOUND)
    ]


async def test_the_partners_topic_says_the_same_of_both(
    office: Office, twins: tuple[Customer, Customer]
) -> None:
    held, other = [await told(office, one) for one in twins]
    assert held == other
    assert held[-1][0] == "application-status.changed"


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_gets_the_same_bytes_after_it(
    office: Office, released: tuple[Customer, Customer], role: Role
) -> None:
    assert await differences(by_staff(office, await office.colleague(role)), released) == {}
    held, other = [await told(office, one) for one in released]
    assert held == other
