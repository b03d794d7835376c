"""What a card's page shows: what the machine read, what the form says, where they differ."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.intake import audit_words, words
from services.intake.desk import masked_field
from services.intake.idcard import FIELDS, CardReading, Side
from services.intake.pages_reading import compared, rows_of
from services.intake.reader import KEPT
from shared.events.payload import FIELD_CLASSES
from shared.parameters import load_papers
from shared.parameters.models import Papers
from shared.web import i18n
from shared.web.audit import Line, Place

NAME, OTHER = "司徒望月", "司徒看月"


def reading(side: Side = "front", **told: tuple[float, tuple[str, ...]]) -> CardReading:
    return CardReading("d", side, "read", None, {}, told)


@pytest.mark.parametrize(
    ("one", "other", "first", "second"),
    [
        ("司徒望月", "司徒看月", [("司徒", False), ("望", True), ("月", False)],
         [("司徒", False), ("看", True), ("月", False)]),
        ("王小明", "王明", [("王", False), ("小", True), ("明", False)],
         [("王", False), ("明", False)]),
        ("李", "李", [("李", False)], [("李", False)]),
        ("张", "王", [("张", True)], [("王", True)]),
    ],
)  # fmt: skip
def test_what_differs_is_marked_in_both_texts(
    one: str, other: str, first: list[object], second: list[object]
) -> None:
    assert compared(one, other) == (first, second)


def test_a_row_says_what_was_read_how_surely_and_where_the_form_differs() -> None:
    rows = rows_of(
        reading(name=(0.979, ()), id_number=(0.99, ("check_digit",)), sex=(0.5, ())),
        {"name": OTHER, "id_number": "1", "sex": "male"},
        {"name": NAME, "id_number": "1", "home_address": "上海市"},
        ["name"],
        {"name": "typed"},
        clear=True,
    )
    by_name = {row.name: row for row in rows}
    # nobody needs to know the ethnicity; the order is the card's
    assert list(by_name) == ["name", "sex", "birth_date", "home_address", "id_number"]
    name = by_name["name"]
    assert (name.value, name.suggestion, name.differs, name.sure) == ("typed", OTHER, True, True)
    assert name.percent == 97  # never more than it is
    assert name.written == [("司徒", False), ("望", True), ("月", False)]
    assert name.said == [("司徒", False), ("看", True), ("月", False)]
    number = by_name["id_number"]
    assert (number.differs, number.sure, number.doubts) == (False, False, ("check_digit",))
    assert by_name["sex"].value is None  # the form has no such field: it is not taken over
    assert not by_name["sex"].sure
    address = by_name["home_address"]
    assert (address.suggestion, address.said, address.differs) == (None, None, None)
    # nothing to compare it with: it stays masked
    assert address.written == [(masked_field("home_address", "上海市"), False)]
    assert number.written == [(masked_field("id_number", "1"), False)]


def test_whoever_may_not_see_the_form_sees_it_masked_and_learns_that_it_differs() -> None:
    (row, *_) = rows_of(
        reading(name=(0.99, ())), {"name": OTHER}, {"name": NAME}, ["name"], {}, clear=False
    )
    assert row.differs
    assert row.written is not None
    assert row.said == [(OTHER, False)]
    assert NAME not in "".join(text for text, _ in row.written)


def test_every_field_of_a_card_has_a_name_and_a_key() -> None:
    assert {name for names in FIELDS.values() for name in names} - KEPT.keys() == {"ethnicity"}
    for name in KEPT:
        assert name in words.READ or name in words.CARD
    assert all(KEPT[name] == FIELD_CLASSES.get(name, "identity") for name in KEPT)


def test_a_bank_whose_papers_say_nothing_of_cards_has_them_read_as_usual() -> None:
    shipped = load_papers()
    without = shipped.model_dump(exclude={"cards"})
    assert Papers.model_validate(without).cards == shipped.cards


def test_the_audit_log_has_words_for_who_was_shown_what_a_machine_read() -> None:
    place = Place(datetime(2026, 10, 12, tzinfo=UTC), "view", 1)
    details = dict.fromkeys(("party", "field", "why", "reason"))
    line = Line(place, "read", "staff:A1", "card", "a", "1", None, details)
    i18n.load([Path(i18n.__file__).parent / "locale", Path(words.__file__).parent / "locale"])
    for language, told in (
        ("en", "What a machine read on an ID card"),
        ("zh-CN", "查看证件的识别内容"),
    ):
        with i18n.in_language(language):
            assert audit_words.told(line, {"A1": "Lin"}).title == told
