"""What may be said outside about a reason, and which reason counts."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from services.notify.messages import Channel, Template
from services.notify.wording import compose
from services.review.reason_codes import (
    DECLINE_REASONS,
    INTERNAL,
    REASONS,
    Effect,
    category_of,
    primary,
    public_codes,
)
from shared.calendar import BUSINESS_ZONE
from shared.events.review import DeclineCategory
from shared.parameters import load_phrases

ROOT = Path(__file__).parents[3]
FORBIDDEN = ("WATCHLIST", "HIT", "SCORE", "FRAUD", "AML", "RISK", "ADVERSE", "LIST")


def test_every_decline_has_a_category_with_approved_words() -> None:
    phrases = load_phrases().declines
    for reason in DECLINE_REASONS:
        assert category_of(reason).value in phrases
    assert {category_of(reason) for reason in DECLINE_REASONS} == set(DeclineCategory)


def test_no_public_code_tells_what_was_suspected() -> None:
    told = {reason.public for reason in REASONS.values() if reason.public is not None}
    for code in told:
        assert not any(part in code.split("_") for part in FORBIDDEN), code


def test_an_internal_reason_hides_every_other() -> None:
    assert public_codes(["INTERNAL_RISK", "QUERIES_MANY"]) == [INTERNAL]
    assert public_codes(["WATCHLIST_HIT", "ID_MISMATCH"]) == [INTERNAL]


def test_public_codes_are_sorted_and_never_repeated() -> None:
    assert public_codes(["SCORE_TOO_LOW", "BUREAU_ADVERSE", "AGE_OUTSIDE"]) == [
        "AGE_OUTSIDE",
        "CREDIT_HISTORY",
    ]


def test_a_watchlist_that_was_not_searched_is_not_mentioned() -> None:
    assert public_codes(["WATCHLIST_UNAVAILABLE", "NEW_TO_BANK"]) == ["NEW_TO_BANK"]


def test_identity_outranks_history_and_missing_material_comes_last() -> None:
    assert primary(["OVERDUE_SERIOUS", "ID_MISMATCH"]).code == "ID_MISMATCH"
    assert primary(["MATERIAL_MISSING", "NO_LIMIT_LEFT"]).code == "NO_LIMIT_LEFT"


def test_a_decline_without_a_reason_that_declines_is_refused() -> None:
    for codes in ([], ["NEW_TO_BANK"], ["SCORE_MIDDLING", "INCOME_UNKNOWN"]):
        with pytest.raises(ValueError, match="reason"):
            primary(codes)


def test_what_refers_has_no_category() -> None:
    for reason in REASONS.values():
        assert (reason.category is None) is (reason.effect is Effect.REFER)


# --- from inside to the customer ---------------------------------------------------------------

with (ROOT / "services/review/locale/zh_CN.po").open("rb") as _file:
    CHINESE = {str(one.id): str(one.string) for one in read_po(_file) if isinstance(one.id, str)}
_HAN = re.compile("[\u4e00-\u9fff]")
DECLINING = [code for code, reason in REASONS.items() if reason.category is not None]


@pytest.mark.parametrize("code", REASONS)
def test_each_reason_is_said_inside_in_both_languages_and_outside_by_code_alone(code: str) -> None:
    reason = REASONS[code]
    assert reason.words
    assert not _HAN.search(reason.words)
    assert _HAN.search(CHINESE[reason.words])
    assert reason.public is None or re.fullmatch("[A-Z]+(_[A-Z]+)*", reason.public)


@pytest.mark.parametrize("code", DECLINING)
def test_each_reason_of_a_decline_has_an_approved_phrase_and_neutral_words(code: str) -> None:
    phrase = load_phrases().declines[category_of(REASONS[code]).value]
    for words in (phrase.desk, phrase.customer):
        assert _HAN.search(words.zh)
        assert not _HAN.search(words.en)
        assert words.en.strip()
    assert phrase.customer != phrase.desk


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("code", DECLINING)
def test_no_code_and_no_word_from_inside_reaches_the_message(
    code: str, language: str, channel: Channel
) -> None:
    category = category_of(REASONS[code]).value
    details = {"category": category, "reapply_from": "2027-02-01"}
    told = compose(
        Template.DECLINED,
        language,
        channel,
        application_number="110120261102000017",
        product="standard",
        details=details,
        zone=BUSINESS_ZONE,
    )
    said = f"{told.title}\n{told.body}".lower()
    assert load_phrases().declines[category].customer.in_language(language).lower() in said
    for reason in REASONS.values():
        inside = (reason.code, reason.public or reason.code, reason.words, CHINESE[reason.words])
        assert not [word for word in inside if word.lower() in said], reason.code
    desks = [phrase.desk.in_language(language) for phrase in load_phrases().declines.values()]
    assert not [word for word in desks if word.lower() in said]


def test_no_two_reasons_of_a_decline_have_one_rank() -> None:
    assert len({REASONS[code].rank for code in DECLINING}) == len(DECLINING)


@given(st.lists(st.sampled_from(sorted(REASONS)), min_size=1, max_size=8), st.randoms())
def test_a_decline_has_one_primary_reason_in_whatever_order_its_reasons_come(
    codes: list[str], chance: Random
) -> None:
    if not set(codes) & set(DECLINING):
        return
    found = primary(codes)
    shuffled = [*codes, *codes]
    chance.shuffle(shuffled)
    assert primary(shuffled) is found
    assert found.code in codes
    assert found.category is not None


@given(st.lists(st.sets(st.sampled_from(sorted(DECLINING)), min_size=1), max_size=40))
def test_primary_reasons_sum_to_the_declines(declines: list[set[str]]) -> None:
    by_reason = Counter(primary(codes).code for codes in declines)
    by_category = Counter(category_of(primary(codes)) for codes in declines)
    assert by_reason.total() == by_category.total() == len(declines)
    assert all(
        by_category[one]
        == sum(count for code, count in by_reason.items() if REASONS[code].category is one)
        for one in DeclineCategory
    )
