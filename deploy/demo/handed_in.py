"""What customers and branches hand in: forms, papers, and a branch's list as CSV or workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from openpyxl import Workbook

from deploy.demo.papers import paper as made
from deploy.demo.people import Person
from deploy.demo.plan import Application, Paper
from shared.calendar import BUSINESS_ZONE
from shared.clock import format_instant

PURPOSE = "信用卡审批"
SIGNED_BEFORE = timedelta(minutes=5)  # the form is handed in, by a clock that stands still


def form(application: Application, now: datetime) -> dict[str, Any]:
    """The application as the API takes it."""
    parties = [party_form("applicant", application.person)]
    if application.holder is not None:
        parties.append(party_form("supplementary_holder", application.holder))
    body: dict[str, Any] = {
        "branch": application.branch.code,
        "product": application.product,
        "applicant_type": application.applicant_type,
        "channel": application.channel,
        "parties": parties,
        "consent": {"signed_at": format_instant(now - SIGNED_BEFORE), "purpose": PURPOSE},
    }
    if application.requested_limit is not None:
        body["requested_limit"] = {"minor": application.requested_limit, "currency": "CNY"}
    return body


def personal(person: Person) -> dict[str, str]:
    """A person's fields as text; a card without end has none of `id_expires`."""
    return {name: str(value) for name, value in asdict(person).items() if value is not None}


def party_form(role: str, person: Person) -> dict[str, Any]:
    """A party of the form."""
    fields: dict[str, Any] = {"role": role, **personal(person)}
    if person.id_expires is None:
        fields["id_long_term"] = True
    return fields


def content(paper: Paper, owner: str) -> bytes:
    """A small file of the paper's type, another one for each application and date of issue."""
    return made(paper.media_type, f"{paper.item} {owner} {paper.issued_on or ''}".strip())


# column of a branch's list: how it comes from an application
_COLUMNS: dict[str, Callable[[Application], str]] = {
    "姓名": lambda one: one.person.name,
    "称呼": lambda one: one.person.salutation,
    "身份证号": lambda one: one.person.id_number,
    "证件签发日": lambda one: one.person.id_issued.isoformat(),
    "证件到期日": lambda one: (
        one.person.id_expires.isoformat() if one.person.id_expires else "长期"
    ),
    "手机": lambda one: one.person.mobile,
    "邮箱": lambda one: one.person.email,
    "住址": lambda one: one.person.home_address,
    "单位": lambda one: one.person.employer,
    "职业": lambda one: one.person.occupation,
    "单位地址": lambda one: one.person.work_address,
    "单位电话": lambda one: one.person.office_phone,
    "月收入(元)": lambda one: str(one.person.monthly_income // 100),
    "他行授信(元)": lambda one: str(one.person.other_bank_limits // 100),
    "申请人类型": lambda one: one.applicant_type,
    "产品": lambda one: one.product,
    "申请额度(元)": lambda one: str(one.requested_limit // 100) if one.requested_limit else "",
    "征信授权日": lambda one: one.applied_at.astimezone(BUSINESS_ZONE).date().isoformat(),
}


def batch_file(rows: Sequence[Application], kind: str) -> bytes:
    """A branch's list, as CSV with a byte order mark or as a workbook."""
    lines = [[write(one) for write in _COLUMNS.values()] for one in rows]
    if kind == "csv":
        text = io.StringIO()
        csv.writer(text).writerows([list(_COLUMNS), *lines])
        return text.getvalue().encode("utf-8-sig")
    book = Workbook(write_only=True)
    sheet = book.create_sheet("申请")
    for line in [list(_COLUMNS), *lines]:
        sheet.append(line)
    binary = io.BytesIO()
    book.save(binary)
    return binary.getvalue()
