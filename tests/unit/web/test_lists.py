"""What addresses of lists may say, pages between places, and files that a spreadsheet opens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from services.notify.filters import MessagesChosen
from services.review.queue import QueueFilter
from shared.identifiers import new_id
from shared.web.csv_table import csv_bytes, neutral
from shared.web.lists import MOST_COUNTED, Chosen, Place, Total, page_from
from shared.web.permissions import Role
from tests.unit.web.test_permissions import viewer

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ours(Chosen):
    """A list with one filter."""

    SORTS: ClassVar = ("age",)

    kind: str = ""


def test_an_address_has_filters_first_and_nothing_unknown() -> None:
    sent = {"sort": "-age", "section": "late", "kind": "NEW_ONE", "q": "13900005678"}
    assert Ours.read(sent).query() == "kind=NEW_ONE&section=late&sort=-age"
    assert Ours.read({"sort": "name"}) == Ours()
    assert not Ours.read({"sort": "age", "section": "late"}).narrows
    assert Ours.read({"kind": "x"}).narrows


@pytest.mark.parametrize(
    "text", ["13900005678", "110105194912310021", "11010519491231002X", "张伟", "a b", "x" * 31]
)
def test_what_may_be_somebodys_number_is_no_code(text: str) -> None:
    chosen = Ours.read({"kind": text, "section": text})
    assert text not in chosen.query()
    assert chosen.narrows


def test_ids_and_days_are_codes() -> None:
    case = new_id()
    chosen = MessagesChosen.read({"application": case, "first": "2026-10-12", "last": "soon"})
    assert chosen.application == case
    assert chosen.days == (NOW.date(), None)
    assert chosen.order == ("requested", True)
    assert MessagesChosen(sort="number").order == ("number", False)


def test_who_may_not_know_of_holds_does_not_sort_by_when_a_case_came_into_the_queue() -> None:
    chosen = QueueFilter.read({"sort": "-since", "section": "mine"})
    assert chosen.known_to(viewer(Role.REVIEWER)) == chosen
    assert chosen.known_to(viewer(Role.MANAGER)).order == ("due", False)
    assert QueueFilter.read({"section": "x"}).known_to(viewer(Role.REVIEWER)).section == ""
    assert QueueFilter.read({"section": "open"}).known_to(viewer(Role.REVIEWER)).section == ""


@pytest.mark.parametrize("size", [2, 3, 5])
def test_pages_go_on_behind_and_in_front_of_places(size: int) -> None:
    places = [Place(NOW, str(n)) for n in range(5)]
    rows = list(range(5))
    first = page_from(rows, places, size)
    assert (first.rows, first.before) == (rows[:size], None)
    assert first.after == (places[size - 1] if size < 5 else None)
    back = page_from(rows[::-1], places[::-1], size, before=Place(NOW, "5"))
    assert back.rows == rows[-size:]
    assert back.after == places[-1]
    assert back.before == (places[-size] if size < 5 else None)
    assert page_from([], [], size, after=places[0]).rows == []


def test_a_total_says_where_it_stops_counting() -> None:
    assert Total.of(7).shown == 7
    assert Total.of(MOST_COUNTED).shown == MOST_COUNTED
    assert Total.of(MOST_COUNTED + 1).shown == f"{MOST_COUNTED:,}+"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-5", "'-5"),
        ("\t=1", "'\t=1"),
        ("110120261116000019", "'110120261116000019"),
        ("0101", "'0101"),
        ("3101", "3101"),
        ("张伟", "张伟"),
    ],
)
def test_a_spreadsheet_neither_computes_nor_shortens_a_cell(text: str, cell: str) -> None:
    assert neutral(text) == cell
    assert csv_bytes([[cell]]).startswith("\ufeff".encode())
