"""The bank's own list of names: found, held, for compliance alone; and searched again when it
changes, on a real broker, database and vault."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from services.review import screening
from services.review.app import build
from shared.parameters import load_internal_list
from shared.parameters.held import SHIPPED
from shared.parameters.load import take
from tests.eventually import eventually
from tests.integration.review.bank import NAME, Applicant, Bank, Colleague

pytestmark = pytest.mark.asyncio(loop_scope="module")

API = "/review/api/v1"
REASON = "冒用他人证件，见台账"
ALIAS = "QINGYANG DUANMU"  # sounds as the applicants' name does


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bank's own parameters; those that ship are taken again at the end."""
    folder = tmp_path_factory.mktemp("parameters")
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    yield folder
    take(None)


def put_on_the_list(folder: Path, *entries: dict[str, Any]) -> None:
    text = json.dumps({"version": "2026.1", "entries": entries}, ensure_ascii=False)
    (folder / "internal_list.yaml").write_text(text, encoding="utf-8")
    take(folder)


@dataclass
class Office:
    """The running service with its people."""

    app: FastAPI
    reviewer: Colleague
    compliance: Colleague


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(bank: Bank, folder: Path) -> AsyncIterator[Office]:
    put_on_the_list(folder)
    settings = bank.settings.model_copy(update={"call_backoff": 0.05, "parameters": folder})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screening, "LOOK_SECONDS", 0.1)
        patch.setattr(screening, "AGAIN_SECONDS", 0.1)
        patch.setattr(screening, "SETTLED_SECONDS", 0.5)
        app = build(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            yield Office(
                app,
                await bank.colleague(transport, "reviewer"),
                await bank.colleague(transport, "compliance"),
            )


async def becomes(bank: Bank, applicant: Applicant, last: str) -> None:
    async def so() -> bool:
        told = await bank.types(applicant)
        return bool(told) and told[-1] == last

    await eventually(so)


async def page(colleague: Colleague, applicant: Applicant, field: str = "") -> httpx.Response:
    more = f"/fields/{field}" if field else ""
    return await colleague.get(f"/review/cases/{applicant.application_id}{more}", lang="en")


async def test_who_is_open_is_screened_again_and_what_was_found_is_compliances_alone(
    bank: Bank, office: Office, folder: Path
) -> None:
    applicant = await bank.applicant(101, new_to_bank=True)
    await bank.hand_over(applicant)
    await becomes(bank, applicant, "application.referred")
    assert load_internal_list().mark == ""

    put_on_the_list(
        folder,
        {"entry": "IL-7", "name": "端木晴", "aliases": [ALIAS], "kind": "fraud", "reason": REASON},
        {"entry": "IL-8", "name": "端木青", "kind": "internal", "reason": "同音"},
    )
    await becomes(bank, applicant, "application.held")
    rows = await bank.fetch(
        "SELECT list FROM screened WHERE application_id = $1", applicant.application_id
    )
    assert [row["list"] for row in rows] == [load_internal_list().mark]
    asked = (await bank.receipts(applicant))["watchlist"]
    assert list(asked.values()) == [1, 1]

    told = (await page(office.compliance, applicant)).text
    assert "Own list: Fraud" in told
    assert "sound 100% alike" in told
    assert ALIAS not in told
    assert REASON not in told
    path = f"/review/cases/{applicant.application_id}/fields/watchlist"
    opened = await office.compliance.client.post(
        path, data={"why": "decide", "text": ""}, params={"lang": "en"}
    )
    assert opened.status_code == 200, opened.text
    for words in ("IL-7", ALIAS, REASON, "IL-8", "an alternative, does not count"):
        assert words in opened.text

    seen = (await page(office.reviewer, applicant)).text
    for words in ("Own list", "IL-7", ALIAS, REASON, "alike"):
        assert words not in seen
    assert (await page(office.reviewer, applicant, "watchlist")).status_code == 404


async def test_a_new_application_is_held_at_once_and_nothing_of_it_lies_in_clear(
    bank: Bank, office: Office, folder: Path
) -> None:
    put_on_the_list(
        folder, {"entry": "IL-9", "name": NAME, "kind": "default", "reason": "核销户，见台账九"}
    )
    applicant = await bank.applicant(101)
    await bank.hand_over(applicant)
    await becomes(bank, applicant, "application.held")
    tables = await bank.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'messaging')"
    )
    assert len(tables) > 15
    for table in tables:
        name = f'{table["schemaname"]}."{table["tablename"]}"'
        rows = await bank.fetch(f"SELECT row_to_json(t)::text AS row FROM {name} t")
        assert not any("IL-9" in row["row"] or "台账九" in row["row"] for row in rows), name
    said = await bank.said(applicant, "banka.applications")
    assert [data.get("reason") for kind, _version, data in said if kind.endswith("held")] == [
        "internal"
    ]


async def test_who_is_taken_off_the_list_is_held_no_more(
    bank: Bank, office: Office, folder: Path
) -> None:
    put_on_the_list(folder, {"entry": "IL-9", "name": NAME, "kind": "pep", "reason": "职务"})
    applicant = await bank.applicant(101, new_to_bank=True)
    await bank.hand_over(applicant)
    await becomes(bank, applicant, "application.held")
    put_on_the_list(folder)

    async def clear() -> bool:
        rows = await bank.fetch(
            "SELECT list FROM screened WHERE application_id = $1", applicant.application_id
        )
        found = (await page(office.compliance, applicant)).text
        return [row["list"] for row in rows] == [""] and "Own list" not in found

    await eventually(clear)
    # compliance ends the hold: what holds a case is theirs to judge, not the list's
    assert (await bank.types(applicant))[-1] == "application.held"
