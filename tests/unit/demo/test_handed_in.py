"""What the demo hands in is what the office takes: papers by content, forms, lists of a branch."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import get_args

import pytest
from openpyxl import load_workbook

from deploy.demo.handed_in import batch_file, content, form, personal
from deploy.demo.plan import Application, Branch, Paper, make_plan
from shared.events.payload import FIELD_CLASSES
from shared.paper_images import MediaType, PaperReader

PLANNED = make_plan(3, [Branch("1101", "11"), Branch("3101", "31")], days=4, per_day=40)


@pytest.mark.parametrize("media_type", get_args(MediaType))
async def test_a_paper_is_taken_and_of_its_type(media_type: MediaType) -> None:
    paper = Paper("id_front", date(2026, 10, 1), media_type)
    reader = PaperReader()
    try:
        assert (await reader.check(content(paper, "0001"))).media_type == media_type
    finally:
        reader.close()
    assert content(paper, "0001") != content(paper, "0002")


def test_a_form_names_only_fields_that_the_office_knows() -> None:
    for one in PLANNED.applications:
        fields = set(personal(one.person))
        assert fields <= set(FIELD_CLASSES)
        parties = form(one, one.applied_at)["parties"]
        assert [party["role"] for party in parties] == (
            ["applicant", "supplementary_holder"] if one.holder else ["applicant"]
        )


def _rows() -> list[Application]:
    return [one for one in PLANNED.applications if one.route in ("csv", "xlsx")][:3]


def test_a_list_says_the_same_as_csv_and_as_workbook() -> None:
    rows = _rows()
    text = batch_file(rows, "csv").decode("utf-8-sig")
    as_csv = list(csv.reader(io.StringIO(text)))
    sheet = load_workbook(io.BytesIO(batch_file(rows, "xlsx"))).active
    assert sheet is not None
    as_book = [
        ["" if cell is None else str(cell) for cell in row]
        for row in sheet.iter_rows(values_only=True)
    ]
    assert as_csv == as_book
    assert len(as_csv) == len(rows) + 1
    assert as_csv[1][0] == rows[0].person.name
