"""What an address may say of a list, and that it says nothing of a person."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest

from services.intake import viewing, words
from services.intake.filters import AGES, DUES, ListFilter
from services.intake.pages_lists import Search, read_search
from shared.events.lifecycle import OWNERS, TERMINAL, State
from shared.formats import make_synthetic_resident_id
from shared.web.lists import Place
from tests.unit.intake.builders import ID_NUMBER

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai
NUMBER = "310120261012000019"


def as_it_is(state: str) -> str:
    return state


def without_holds(state: str) -> str:
    return "manual_review" if state == "on_hold" else state


def test_an_address_is_read_and_written_in_one_form() -> None:
    sent = {"sort": "-due", "branch": "3101", "state": "open", "page": "7", "lang": "en"}
    chosen = ListFilter.read(sent)
    assert chosen.query() == "state=open&branch=3101&sort=-due"
    assert ListFilter.read(dict(parse_qsl(chosen.query()))) == chosen
    assert chosen.query(state="draft", sort="") == "state=draft&branch=3101"
    assert ListFilter.read({}).query() == ""


@pytest.mark.parametrize("text", ["欧阳望舒", "张 伟", "a'--", "x" * 31, "<b>", "13900007788"])
def test_what_is_no_code_is_not_told_again(text: str) -> None:
    chosen = ListFilter.read({"product": text, "sort": text})
    assert text not in chosen.query()
    assert chosen.narrows, "and does not pass for no filter at all"
    assert chosen.order == ("begun", True)


def test_every_filter_of_states_leaves_those_that_fit() -> None:
    def states(**chosen: str) -> set[State]:
        return set(ListFilter(**chosen).states(as_it_is))

    assert states() == set(State)
    assert states(state="draft") == {State.DRAFT}
    assert states(state="open") == set(OWNERS)
    assert states(state="open", desk="risk") == {State.CHECKING, State.SCORING}
    assert states(waiting="partner") == {State.CHECKING, State.CARD_PRODUCING, State.POSTED}
    assert states(state="in_use", waiting="customer") == set()
    assert not states(desk="assistant") & TERMINAL
    for one in ({"due": "any"}, {"sort": "due"}, {"sort": "-due"}):
        assert states(**one) == set(OWNERS)
    for one in ({"state": "nonsense"}, {"desk": "-"}, {"age": "old"}, {"due": "soon"}):
        assert states(**one) == set()


def test_a_hold_is_found_by_nothing_by_whoever_may_not_know_it() -> None:
    def states(**chosen: str) -> set[State]:
        return set(ListFilter(**chosen).states(without_holds))

    both = {State.MANUAL_REVIEW, State.ON_HOLD}
    assert states(state="on_hold") == set()
    assert states(desk="compliance") == set()
    assert states(state="manual_review") == both
    assert states(desk="credit_review") == both
    assert both <= states(waiting="bank")


def test_ages_and_terms_end_with_days_of_the_office() -> None:
    def at(day: int, hour: int = 16, second: int = 0) -> datetime:
        return datetime(2026, 10, day, hour, 0, second, tzinfo=UTC)

    assert ListFilter(age="day").begun(NOW).start == at(11)  # midnight in Shanghai
    assert ListFilter(age="week").begun(NOW).start == at(5)
    old = ListFilter(age="over-7").begun(NOW)
    assert (old.start, old.end) == (None, at(4))
    assert ListFilter(due="overdue").term(NOW).end == NOW
    soon = ListFilter(due="in-3").term(NOW)
    assert (soon.start, soon.end) == (NOW, at(15))
    assert ListFilter(due="any").term(NOW).end is None


def test_every_age_and_term_has_words() -> None:
    assert set(words.AGES) == set(AGES)
    assert set(words.DUES) == set(DUES)


def test_a_place_in_a_list_is_read_back() -> None:
    place = Place(NOW, NUMBER)
    assert Place.read(str(place), datetime) == place
    assert Place.read(str(Place(None, NUMBER)), None) == Place(None, NUMBER)
    assert Place.read(f"{NUMBER}~{NUMBER}", str) == Place(NUMBER, NUMBER)
    for instant in ("", "2026-10-12", "2026-10-12T00:00:00", "0001-01-01T00:00:00+08:00", "\x00"):
        assert Place.read(f"{instant}~{NUMBER}", datetime) is None
    for number in ("", "²", "1" * 41, "a'b"):
        assert Place.read(f"{NOW.isoformat()}~{number}", datetime) is None
        assert Place.read(f"{number}~{NUMBER}", str) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (NUMBER, Search(number=NUMBER)),
        (f" {NUMBER[:4]} {NUMBER[4:]} ", Search(number=NUMBER)),
        (NUMBER[:12], Search(begin_of_number=NUMBER[:12])),
        (NUMBER[:11], None),
        ("139 0000-7788", Search(mobile="13900007788")),
        ("+8613900007788", Search(mobile="13900007788")),
        (ID_NUMBER, Search(number=ID_NUMBER, id_number=ID_NUMBER)),
        # the beginning of an ID number is no number of ours, and none of it is looked for
        (ID_NUMBER[:14], None),
        ("31010519101201", None),
        ("欧阳望舒", Search(name="欧阳望舒")),
        ("阿卜杜拉·买买提", Search(name="阿卜杜拉·买买提")),
        ("Anna  Müller", Search(name="Anna Müller")),
        ("张伟3", None),
        ("", None),
        ("²", None),
        ("deu c01x00t47", Search(id_number="DEU C01X00T47")),
        ("GBR / 123456789", Search(id_number="GBR 123456789")),
        ("ABC C01X00T47", None),  # no country
        ("C01X00T47", None),  # two countries may have given it out
        ("ANN MARIE", Search(name="ANN MARIE")),
        ("USA110085030412", Search(id_number="USA110085030412")),
    ],
)
def test_a_search_is_for_what_the_text_can_be(text: str, meant: Search | None) -> None:
    assert read_search(text, NOW) == meant


def test_an_id_number_with_a_letter_is_none_of_ours() -> None:
    born = datetime(1990, 5, 20, tzinfo=UTC).date()
    numbers = [make_synthetic_resident_id("31", born, n) for n in range(100, 140)]
    with_letter = next(one for one in numbers if one.endswith("X"))
    for text in (with_letter, with_letter.lower()):
        found = read_search(text, NOW)
        assert found is not None
        assert found.of_person == {"id_number": text}
        assert found.number == ""


def test_since_when_a_held_case_is_held_shows_in_no_order() -> None:
    from shared.web.permissions import Role
    from tests.unit.web.test_permissions import viewer

    assistant = viewing.states_of_unknown_age(viewer(Role.ASSISTANT))
    assert assistant == {State.MANUAL_REVIEW, State.ON_HOLD}
    assert viewing.states_of_unknown_age(viewer(Role.REVIEWER)) == frozenset()
