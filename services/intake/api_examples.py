"""An example of what is sent to each route, for its description: each is posted by a test. Nobody
in them exists."""

from __future__ import annotations

from typing import Any


def _line(
    item: str,
    *reasons: tuple[str, str | None],
    need: str = "mandatory",
    group: str | None = None,
) -> dict[str, Any]:
    """A line of a checklist to which nothing has come yet."""
    return {
        "item": item,
        "need": need,
        "group": group,
        "done": False,
        "reasons": [{"code": code, "field": field} for code, field in reasons],
        "documents": [],
    }


APPLICATION: dict[str, Any] = {
    "branch": "1101",
    "product": "standard",
    "applicant_type": "salaried",
    "channel": "web",
    "parties": [
        {
            "role": "applicant",
            "name": "上官云舒",
            "salutation": "ms",
            "id_number": "119999198803092588",
            "id_issued": "2019-03-01",
            "id_expires": "2039-03-01",
            "nationality": "CHN",
            "mobile": "13900001234",
            "email": "shangguan@example.com",
            "home_address": "北京市海淀区建设路18号3单元501室",
            "employer": "恒远科技有限公司",
            "occupation": "工程师",
            "work_address": "北京市朝阳区科技大道66号",
            "office_phone": "010-81234567",
            "monthly_income": "1500000",
            "other_bank_limits": "0",
        }
    ],
    "consent": {"signed_at": "2026-10-12T01:30:00Z", "purpose": "信用卡审批"},
    "requested_limit": {"minor": 2000000, "currency": "CNY"},
    "submit": False,
}

DRAFT: dict[str, Any] = {
    **APPLICATION,
    "product": "gold",
    "parties": [
        {
            "role": "applicant",
            "name": "上官云舒",
            "id_number": "119999198803092588",
            "mobile": "13900005678",
        }
    ],
    "consent": None,
    "requested_limit": None,
}
"""A form of which the rest follows: it takes the place of what the draft said."""

DRAFT_ANSWER: dict[str, Any] = {
    "application_id": "01a21a0c-56dd-74c0-a77c-5bcde4e47620",
    "application_number": "110120261012000259",
    "state": "draft",
    "revision": 1,
    "state_version": None,
    "state_since": None,
    "branch": "1101",
    "region": "11",
    "channel": "web",
    "product": "gold",
    "product_version": "2026.3",
    "applicant_type": "salaried",
    "created_at": "2026-10-12T02:00:00Z",
    "submitted_at": None,
    "requested_limit": None,
    "reopens": None,
    "consent": False,
    "parties": [
        {
            "role": "applicant",
            "fields": {
                "name": "上***",
                "mobile": "139****5678",
                "id_number": "119***********2588",
            },
        }
    ],
    "checklist": [
        _line(
            "application_form_signed",
            ("EMPTY", "home_address"),
            ("EMPTY", "employer"),
            ("EMPTY", "occupation"),
            ("EMPTY", "work_address"),
            ("EMPTY", "office_phone"),
            ("EMPTY", "monthly_income"),
            ("DOC_MISSING", None),
        ),
        _line("credit_authorization", ("NO_CREDIT_AUTH", None)),
        _line("id_front", ("DOC_MISSING", None)),
        _line("id_back", ("EMPTY", "id_issued"), ("EMPTY", "id_expires"), ("DOC_MISSING", None)),
        _line("work_proof", ("DOC_MISSING", None)),
        _line("income_proof", ("DOC_MISSING", None), need="one_of", group="income"),
        _line("tax_proof", need="one_of", group="income"),
        _line("social_security_proof", need="one_of", group="income"),
        _line("address_proof", need="optional"),
        _line("asset_proof", need="optional"),
    ],
    "wanted": [],
    "deadline": None,
    "warnings": [],
    "documents": [],
    "withdrawal": None,
    "limit": None,
    "reapply_from": None,
    "card": None,
    "imported": False,
}
"""What the draft above is answered with when it is looked at: which fields are set, masked, and
which are wanted."""

CORRECTION: dict[str, Any] = {
    "parties": [
        {"role": "applicant", "mobile": "13900005678", "work_address": "北京市西城区复兴街9号"}
    ]
}

DOCUMENT: dict[str, Any] = {"item": "work_proof", "issued_on": "2026-10-08", "file": "paper.pdf"}

WITHDRAWAL: dict[str, Any] = {"reason": "暂时不需要了"}

ACCEPT: dict[str, Any] = {"document_id": "01936f2e-8a60-7000-8000-000000000101"}

RETURN: dict[str, Any] = {"codes": ["PHOTO_UNCLEAR"], "remark": "左下角反光"}

ASK: dict[str, Any] = {"codes": ["PHOTO_UNCLEAR"], "reason": "ACCEPTED_IN_ERROR"}

WAIVER: dict[str, Any] = {"reason": "KNOWN_OTHERWISE"}

AGREEMENT: dict[str, Any] = {"agreed": True}

MEETING: dict[str, Any] = {
    "saw_person": True,
    "saw_original": True,
    "saw_signing": True,
    "at": "2026-10-12T01:30:00Z",
    "evidence": ["01936f2e-8a60-7000-8000-000000000102"],
}

READING: dict[str, Any] = {"employer": "恒远科技有限公司", "name": "测试员"}

SEARCH: dict[str, Any] = {"mobile": "13900001234"}

TOKEN: dict[str, Any] = {
    "grant_type": "client_credentials",
    "scope": "application.create application.view",
}

BATCH: dict[str, Any] = {"branch": "1101", "file": "applications.csv"}

IMPORT: dict[str, Any] = {
    "applications": [
        {
            **{name: value for name, value in APPLICATION.items() if name != "submit"},
            "state": "delivered",
            "submitted_at": "2026-09-01T02:00:00Z",
            "state_since": "2026-09-20T02:00:00Z",
            "limit": {"minor": 1000000, "currency": "CNY"},
            "card_id": "OLD-SYSTEM-000123",
        }
    ]
}
