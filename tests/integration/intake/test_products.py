"""Products change while the office works: no case under way notices, none is answered by 500."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy import local
from deploy.demo.papers import pdf
from deploy.provision import provision
from shared.identifiers import new_id
from shared.parameters import load, load_products
from shared.parameters.held import SHIPPED, published_list, read_held
from shared.parameters.watch import Watch
from shared.postgres.migrate import migrate
from shared.privacy.vault_database import migrate_vault
from tests.eventually import eventually
from tests.integration.intake.office import API, SALARIED_PAPERS, Office, settings_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MONDAY = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)
TUESDAY = date(2026, 10, 13)


class Bank:
    """The folder of parameters, as the bank's product manager writes in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))

    def file(self, version: str, code: str = "standard") -> Path:
        return self.folder / "products" / code / f"{version}.yaml"

    def publish(self) -> None:
        listed = self.folder / "products" / "published.sha256"
        listed.write_text(published_list(read_held(self.folder, drafts=True)), encoding="utf-8")

    def raise_version(self, version: str, *changes: tuple[str, str], valid_from: date) -> None:
        """A new version out of the one that ships."""
        text = self.file("2026.2").read_text(encoding="utf-8")
        for old, new in (
            ('version: "2026.2"', f'version: "{version}"'),
            ("valid_from: 2026-10-10", f"valid_from: {valid_from}"),
            *changes,
        ):
            assert old in text
            text = text.replace(old, new)
        self.file(version).write_text(text, encoding="utf-8")
        self.publish()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return Bank(tmp_path_factory.mktemp("products") / "parameters")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(
    intake_stack: local.Stack, tmp_path_factory: pytest.TempPathFactory, bank: Bank
) -> AsyncIterator[Office]:
    await provision(intake_stack)
    settings = settings_of(intake_stack, tmp_path_factory.mktemp("intake"))
    settings = settings.model_copy(update={"parameters": bank.folder})
    await migrate_vault(settings)
    await migrate(settings, "intake")
    try:
        async with Office.open(intake_stack, settings, MONDAY) as office:
            # the same watch, which looks more often than every five seconds
            office.service._parameters = watch = Watch(bank.folder, seconds=0.05)
            office.service._spawn("quick-watch", watch.run())
            yield office
    finally:
        load.take(SHIPPED)


async def ready(office: Office) -> dict[str, Any]:
    """What the service says of itself; whatever the parameters, it takes traffic."""

    async def takes_traffic() -> dict[str, Any]:
        answer = await office.client().get("/readyz")
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 200 else {}

    return await eventually(takes_traffic)


async def taken(version: str) -> None:
    async def there() -> bool:
        return load_products()["standard"].version == version

    await eventually(there)


async def lines(office: Office, application_id: str) -> dict[str, str]:
    """{item: need} of what the checklist has open."""
    answer = await office.client().get(f"{API}/applications/{application_id}/checklist")
    assert answer.status_code == 200, answer.text
    return {row["item"]: row["need"] for row in answer.json() if not row["done"]}


async def product_in_events(office: Office, application_id: str) -> set[tuple[str, str]]:
    rows = await office.fetch(
        "SELECT DISTINCT convert_from(body, 'UTF8')::jsonb ->> 'product_version' AS version,"
        " convert_from(body, 'UTF8')::jsonb ->> 'product_digest' AS digest"
        " FROM messaging.event_log WHERE topic = 'banka.applications' AND subject = $1",
        application_id,
    )
    return {(row["version"], row["digest"]) for row in rows}


async def test_a_case_keeps_the_version_that_it_began_with(office: Office, bank: Bank) -> None:
    old = await office.begun()
    before, first = await lines(office, old.application_id), load_products()["standard"]

    # from Tuesday on, everybody proves the address, and the material term is shorter
    bank.raise_version(
        "2026.3",
        ("items: [address_proof], when: id_province_not_work_province", "items: [address_proof]"),
        (
            "limit:\n",
            "terms:\n  material: {working_days: 5, remind_working_days_before: 2}\nlimit:\n",
        ),
        valid_from=TUESDAY,
    )
    await taken("2026.3")
    assert (await ready(office))["notes"] == {}
    same_day = await office.begun()
    assert await lines(office, same_day.application_id) == before

    office.step(MONDAY + timedelta(days=1))
    new = await office.begun()
    assert before["address_proof"] == "optional"
    assert (await lines(office, new.application_id))["address_proof"] == "mandatory"
    assert await lines(office, old.application_id) == before

    # each is asked by its own rules, within its own term
    second = load_products()["standard"]
    for customer, product, wanted, deadline in (
        (old, first, {"income_proof"}, date(2026, 10, 27)),
        (new, second, {"income_proof", "address_proof"}, date(2026, 10, 20)),
    ):
        for item in SALARIED_PAPERS[:-1]:
            assert (await office.upload(customer, item)).status_code == 201
        answer = await office.submit(customer)
        assert answer.status_code == 200, answer.text
        said = await office.said(customer.application_id)
        (asked,) = [data for kind, _, data in said if kind == "application.material-requested"]
        assert {one["item"] for one in asked["items"]} == wanted
        row = await office.service.pool.fetchrow(
            "SELECT product_version, product_digest, material_deadline FROM application"
            " WHERE application_id = $1",
            customer.application_id,
        )
        assert row is not None
        assert row["material_deadline"].date() == deadline
        expected = (product.version, product.digest)
        assert (row["product_version"], row["product_digest"]) == expected
        assert await product_in_events(office, customer.application_id) == {expected}


async def test_a_published_version_that_is_edited_is_noticed_and_not_taken(
    office: Office, bank: Bank
) -> None:
    customer = await office.begun()
    before = await lines(office, customer.application_id)
    path = bank.file("2026.1")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("items: [work_proof]", "items: [asset_proof]"), encoding="utf-8")

    async def noticed() -> str:
        return str((await ready(office))["notes"].get("parameters", ""))

    note = await eventually(noticed)
    assert "products/standard/2026.1.yaml:" in note
    assert "was published with the digest" in note
    assert await lines(office, customer.application_id) == before

    # whoever mends the list too has the running service against him
    listed = bank.folder / "products" / "published.sha256"
    honest = listed.read_text(encoding="utf-8")
    listed.write_text("".join(x for x in honest.splitlines(True) if "standard/2026.1" not in x))
    bank.publish()

    async def seen_through() -> bool:
        note = await noticed()
        return "products/standard/2026.1.yaml:1:1: was published with the digest" in note

    await eventually(seen_through)
    assert await lines(office, customer.application_id) == before

    path.write_text(text, encoding="utf-8")
    listed.write_text(honest, encoding="utf-8")

    async def mended() -> bool:
        return not (await ready(office))["notes"]

    await eventually(mended)


@pytest.mark.parametrize(
    ("column", "value", "code", "words"),
    [
        ("product_version", "2025.9", "parameters-missing", "is not held"),
        ("product_digest", "0" * 64, "parameters-changed", "was changed"),
    ],
)
async def test_rules_that_are_not_held_are_a_clear_answer_and_never_500(
    office: Office, column: str, value: str, code: str, words: str
) -> None:
    customer = office.customer()
    reference = customer.reference = f"app-{new_id()}"
    event_id = await office.partner_says(
        "mobile-app", "application.submitted", reference, office.app_form(customer)
    )
    (answer,) = await office.answers("mobile-app", event_id)
    application_id = answer["application_id"]
    # as after a restart with another folder
    await office.service.pool.execute(
        f"UPDATE application SET {column} = $2 WHERE application_id = $1", application_id, value
    )
    office.service._compared = None
    path = f"{API}/applications/{application_id}"

    for refused in (
        await office.client().patch(path, json={"consent": customer.form["consent"]}),
        await office.client().post(
            f"{path}/documents",
            data={"item": "income_proof", "issued_on": "2026-10-12"},
            files={"file": ("scan", pdf(["income"]), "application/pdf")},
        ),
    ):
        assert refused.status_code == 503, refused.text
        assert refused.json()["code"] == code
        assert words in refused.text
    # the list is kept as it stands: it is read without the rules
    assert (await office.client().get(f"{path}/checklist")).status_code == 200
    assert (await office.client().get(f"{API}/applications")).status_code == 200
    # it is shown all the same, and offers nothing that would need them
    colleague = await office.colleague("assistant")
    here = f"/intake/applications/{application_id}"
    page = await colleague.get(here)
    assert page.status_code == 200
    assert "该申请适用的规则未加载" in page.text
    assert f'action="{here}/corrections"' not in page.text
    assert f'action="{here}/documents"' not in page.text
    assert f'action="{here}/withdraw"' in page.text
    for reader in ("customer", "office"):
        printed = await colleague.get(f"{here}/checklist", params={"reader": reader})
        assert printed.status_code == 200
    refused = await colleague.post(
        f"{here}/corrections", data={"employer": "某某公司"}, headers={"accept": "text/html"}
    )
    assert refused.status_code == 503
    assert "该申请适用的规则未加载" in refused.text
    notes = (await ready(office))["notes"]
    what = "is missing" if code == "parameters-missing" else "was changed"
    assert [text for name, text in notes.items() if name.startswith("product") and what in text]

    # an event of the partner waits, with words, for somebody to put the file back
    papers = {"reference": reference, "documents": office.app_papers(("income_proof",))}
    await office.partner_says("mobile-app", "document.supplied", reference, papers)

    async def parked() -> str:
        rows = await office.fetch(
            "SELECT reason FROM messaging.blocked_key WHERE subject = $1", reference
        )
        return rows[0]["reason"] if rows else ""

    assert words in await eventually(parked)


async def test_a_product_is_not_offered_before_its_first_version_holds(
    office: Office, bank: Bank
) -> None:
    path = bank.file("2026.1", "platinum")
    path.parent.mkdir()
    text = bank.file("2026.1", "gold").read_text(encoding="utf-8")
    text = text.replace("product: gold", "product: platinum")
    path.write_text(
        text.replace("valid_from: 2026-01-01", "valid_from: 2026-10-20"), encoding="utf-8"
    )
    bank.publish()

    async def there() -> bool:
        return "platinum" in load_products()

    await eventually(there)
    wish = office.customer(product="platinum")
    early = await office.client().post(f"{API}/applications", json=wish.form)
    assert (early.status_code, early.json()["code"]) == (422, "not-acceptable")
    assert [one["code"] for one in early.json()["errors"]] == ["PRODUCT_NOT_OFFERED"]
    office.step(datetime(2026, 10, 20, 2, 0, tzinfo=UTC))
    assert (await office.begun(wish)).application_id
