"""Everything on reporting's pages has a name in both languages."""

from pathlib import Path

from services.reporting import words
from services.reporting.kpis import FLOWS, FUNNEL
from shared.events.catalog import EVENTS
from shared.events.lifecycle import OWNERS
from shared.events.review import DeclineCategory
from shared.web import i18n
from shared.web.pages import LOCALE

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
