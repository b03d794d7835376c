"""Applications for tests: complete and sound unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.intake.form import ApplicationForm
from services.intake.rules import EarlierPaper, Examination, Paper, examine
from shared.formats import make_synthetic_resident_id
from shared.parameters import Product, product_of

TODAY = date(2026, 10, 12)
REGION = "11"
ID_NUMBER = make_synthetic_resident_id("11", date(1990, 5, 20), 123)
# the lower line of her passport
MRZ = "C01X00T478D<<9005204F3002289<<<<<<<<<<<<<<<2"
SALARIED_PAPERS = ("application_form_signed", "id_front", "id_back", "work_proof", "income_proof")


def person(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "role": "applicant",
        "name": "测试员",
        "salutation": "mr",
        "id_number": ID_NUMBER,
        "id_issued": date(2020, 3, 1),
        "id_expires": date(2040, 3, 1),
        "nationality": "CHN",
        "mobile": "13900001234",
        "email": "somebody@mail.example",
        "home_address": "北京市城东区建设路1号",
        "employer": "恒远科技有限公司",
        "occupation": "工程师",
        "work_address": "北京市城东区人民路2号",
        "office_phone": "010-66001234",
        "monthly_income": "1200000",
        "other_bank_limits": "0",
    }
    return {**fields, **changed}


def foreigner(**changed: Any) -> dict[str, Any]:
    """Somebody who shows a passport."""
    fields: dict[str, Any] = {
        "name": "Anna-Maria Müller",
        "id_type": "passport",
        "id_number": "C01X00T47",
        "nationality": "DEU",
        "birth_date": date(1990, 5, 20),
        "id_issued": date(2020, 3, 1),
        "id_expires": date(2030, 2, 28),
    }
    return person(**{**fields, **changed})


def form(*, parties: list[dict[str, Any]] | None = None, **changed: Any) -> ApplicationForm:
    """A salaried applicant's form; `parties` in place of the sound applicant."""
    content: dict[str, Any] = {
        "branch": "1101",
        "product": "standard",
        "applicant_type": "salaried",
        "channel": "counter",
        "parties": parties or [person()],
        "consent": {
            "signed_at": datetime(2026, 10, 12, 1, 30, tzinfo=UTC),
            "purpose": "信用卡审批",
        },
    }
    return ApplicationForm.model_validate({**content, **changed})


def papers(
    items: Iterable[str] = SALARIED_PAPERS,
    *,
    received_on: date = TODAY,
    issued_on: date | None = TODAY,
) -> list[Paper]:
    return [Paper(item, received_on, issued_on, f"doc-{item}") for item in items]


def on_file(items: Iterable[str], **changed: Any) -> list[EarlierPaper]:
    """Accepted papers of an earlier application with the same form."""
    paper = EarlierPaper(
        item="",
        document_id="earlier-paper",
        application_id="earlier",
        received_on=TODAY - timedelta(days=20),
        issued_on=TODAY - timedelta(days=21),
        fields=form().applicant.fields(),
    )
    return [replace(paper, item=item, **changed) for item in items]


def look(
    application: ApplicationForm | None = None,
    handed_in: list[Paper] | None = None,
    *,
    today: date = TODAY,
    region: str = REGION,
    filed: Sequence[EarlierPaper] = (),
    submitted_on: date | None = None,
    product: Product | None = None,
) -> Examination:
    application = application or form()
    return examine(
        application,
        papers() if handed_in is None else handed_in,
        product or product_of(application.product),
        today=today,
        region=region,
        filed=filed,
        submitted_on=submitted_on,
    )
