"""Everything on reporting's pages has a name in both languages."""

from pathlib import Path

import pytest

from services.notify.messages import Template
from services.reporting import words
from services.reporting.kpis import FLOWS, FUNNEL
from shared.events import intake
from shared.events.catalog import EVENTS
from shared.events.lifecycle import OWNERS
from shared.events.review import DeclineCategory
from shared.web import i18n
from shared.web.pages import LOCALE
from tests.unit.reporting.walks import MONDAY, Office

PACKAGE = Path(words.__file__).parent


def test_no_text_is_left_in_english_for_a_chinese_reader() -> None:
    assert i18n.untranslated(PACKAGE, [LOCALE]) == []


def test_every_event_that_is_shown_has_words() -> None:
    shown = {
        event_type
        for event_type, model in EVENTS.items()
        if model.topic in {"banka.applications", "banka.contacts", "banka.cases"}
    }
    named = {f"banka.{key}.v1" for key in words.EVENTS}
    assert shown - named == set()


def test_every_message_that_notify_sends_has_a_name() -> None:
    for language in ("zh-CN", "en"):
        with i18n.in_language(language):
            for template in Template:
                assert words.message_name(template.value) != template.value, template


@pytest.mark.parametrize(
    ("entered_by", "zh", "en"),
    [
        (None, "代客户", "for the customer"),
        ("staff:A0001", "林晓岚（代客户）", "林晓岚, for the customer"),
        ("staff:A0002", "A0002（代客户）", "A0002, for the customer"),
        ("customer", "客户", "the customer"),
        (
            "customer:staff:A0001",
            "客户（凭林晓岚打印的查询码）",
            "the customer, by the code that 林晓岚 printed",
        ),
        ("client:web-channel", "客户（经官网）", "the customer, through Website"),
        ("partner:mobile-app", "客户（经手机银行）", "the customer, through Mobile app"),
    ],
)
def test_who_did_it_is_said_as_far_as_it_is_known(entered_by: str | None, zh: str, en: str) -> None:
    i18n.load([LOCALE, PACKAGE / "locale"])
    office = Office()
    event = office.happen("a", intake.ApplicationDrafted, MONDAY, entered_by=entered_by)
    _, by_staff, person = (entered_by or "").rpartition("staff:")
    assert words.people_of(event) == ([person] if by_staff else [])
    for language, words_of_it in (("zh-CN", zh), ("en", en)):
        with i18n.in_language(language):
            assert words.who(event, {"A0001": "林晓岚"}) == words_of_it


def test_every_figure_desk_and_category_has_a_name() -> None:
    with i18n.in_language("en"):
        for key in (*FLOWS, *FUNNEL):
            assert words.figure_name(key) != key
        for owner in OWNERS.values():
            assert words.desk_name(owner.desk) != owner.desk
            assert words.waiting_name(owner.waiting_on) != owner.waiting_on
        for category in DeclineCategory:
            assert words.category_name(category.value) != category.value
        for key in ("stage.checking.median", "declined30.internal", "tat30.net_p90", "stock.draft"):
            assert words.figure_name(key) != key


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("100000+", "100,000 及以上", "100,000 or more"),
        ("10000-29999", "10,000–29,999", "10,000–29,999"),
        ("46-55", "46–55", "46–55"),
        (None, "—", "—"),
    ],
)
def test_a_band_is_written_for_people(text: str | None, zh: str, en: str) -> None:
    for language, written in (("zh-CN", zh), ("en", en)):
        with i18n.in_language(language):
            assert words.band(text) == written
