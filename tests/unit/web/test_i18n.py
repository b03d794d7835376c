"""The words: Chinese by default, English by choice, and none forgotten."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from jinja2 import TemplateSyntaxError

from shared.events.catalog import SERVICES
from shared.web import i18n, states
from shared.web.i18n import in_language
from shared.web.pages import LOCALE

ROOT = Path(__file__).parents[3]
PACKAGES = [ROOT / "shared" / "web", *(ROOT / "services" / name for name in SERVICES)]
NOON = datetime(2026, 11, 24, 4, 5, tzinfo=UTC)  # 12:05 in Shanghai


@pytest.fixture(autouse=True)
def _shared_words() -> None:
    i18n.load([LOCALE])


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.name))
def test_no_text_is_left_in_english_for_a_chinese_reader(package: Path) -> None:
    assert [str(one) for one in i18n.untranslated(package, [LOCALE])] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.name))
def test_no_translation_is_left_unsure_or_for_a_text_that_is_gone(package: Path) -> None:
    words = package / "locale" / "zh_CN.po"
    if words.exists():
        text = words.read_text(encoding="utf-8")
        assert '#, fuzzy\nmsgid ""' not in text or "Content-Type" in text
        assert not [line for line in text.splitlines() if line.startswith("#~")]
        assert '\nmsgstr ""\n\n' not in text.split("\n\n", 1)[1]


def a_package(folder: Path, template: str, words: str = "") -> Path:
    (folder / "templates").mkdir()
    (folder / "templates" / "page.html").write_text(template, encoding="utf-8")
    (folder / "locale").mkdir()
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
    (folder / "locale" / "zh_CN.po").write_text(head + words, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "template",
    [
        '<h1>{{ _("Nobody has put this into Chinese") }}</h1>',
        '{% do rows.append(_("Nobody has put this into Chinese")) %}',
        '{% do rows.append(1) %}<h1>{{ _("Nobody has put this into Chinese") }}</h1>',
        "{% trans %}Nobody has put this into Chinese{% endtrans %}",
        '{{ ngettext("Nobody has put this into Chinese", "These", 2) }}',
        '{{ pgettext("heading", "Nobody has put this into Chinese") }}',
    ],
)
def test_a_text_without_chinese_is_found_wherever_a_template_has_it(
    tmp_path: Path, template: str
) -> None:
    (found,) = i18n.untranslated(a_package(tmp_path, template))
    assert (found.path, found.line, found.problem) == ("templates/page.html", 1, "missing")
    assert "Nobody has put this into Chinese" in str(found)


def test_a_text_in_a_table_of_python_is_found(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text('WORDS = {"a": mark("A word of a table")}\n')
    assert [one.message for one in i18n.untranslated(tmp_path)] == ["A word of a table"]


def test_a_template_that_cannot_be_read_is_an_error_not_a_pass(tmp_path: Path) -> None:
    with pytest.raises(TemplateSyntaxError):
        i18n.untranslated(a_package(tmp_path, '{% unheard_of %}{{ _("Hidden") }}'))


def test_a_placeholder_that_the_text_does_not_give_is_found(tmp_path: Path) -> None:
    words = 'msgid "%(n)s cards"\nmsgstr "%(number)s 张卡"\n'
    (found,) = i18n.untranslated(a_package(tmp_path, '{{ _("%(n)s cards", n=2) }}', words))
    assert found.problem == "placeholders"


def test_an_unsure_translation_does_not_count(tmp_path: Path) -> None:
    words = '#, fuzzy\nmsgid "Held"\nmsgstr "持有"\n'
    (found,) = i18n.untranslated(a_package(tmp_path, '{{ _("Held") }}', words))
    assert found.problem == "missing"


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        (None, "zh-CN"),
        ("", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh_TW", "zh-CN"),
        ("en", "en"),
        ("EN-gb", "en"),
        (" en ", "en"),
        ("fr", "zh-CN"),
        ("../../etc", "zh-CN"),
    ],
)
def test_the_language_is_one_of_ours(wanted: str | None, language: str) -> None:
    assert i18n.choose_language(wanted) == language


def test_a_language_holds_for_its_block_only() -> None:
    assert i18n.gettext("Sign in") == "登录"
    with in_language("en"):
        assert i18n.gettext("Sign in") == "Sign in"
        with in_language("zh-CN"):
            assert i18n.gettext("Sign in") == "登录"
        assert i18n.current_language() == "en"
    assert i18n.current_language() == "zh-CN"


@pytest.mark.parametrize("service", SERVICES)
def test_a_state_is_called_the_same_on_the_pages_of_every_service(service: str) -> None:
    labels = [one.label for one in (*states.STATES.values(), *states.ITEMS.values())]
    with in_language("zh-CN"):
        everywhere = [i18n.gettext(label) for label in labels]
        i18n.load([LOCALE, ROOT / "services" / service / "locale"])
        assert [i18n.gettext(label) for label in labels] == everywhere


def test_an_unknown_text_stays_itself() -> None:
    assert i18n.gettext("Never heard of") == "Never heard of"
    with in_language("en"):
        assert i18n.ngettext("a card", "cards", 1) == "a card"
        assert i18n.ngettext("a card", "cards", 2) == "cards"


@pytest.mark.parametrize(
    ("shown", "chinese", "english"),
    [
        (lambda: i18n.show_date(NOON), "2026年11月24日", "24 Nov 2026"),
        (lambda: i18n.show_weekday(NOON), "星期二", "Tuesday"),
        (lambda: i18n.show_datetime(NOON), "2026-11-24 12:05", "2026-11-24 12:05"),
        (lambda: i18n.show_time(NOON), "12:05", "12:05"),
        (lambda: i18n.show_day(date(2026, 1, 2)), "2026-01-02", "2026-01-02"),
        (lambda: i18n.show_duration(timedelta(days=3, hours=4, minutes=9)), "3天4小时", "3 d 4 h"),
        (lambda: i18n.show_duration(45), "45秒", "45 s"),
        (lambda: i18n.show_money(1_234_500), "¥12,345.00", "¥12,345.00"),
        (lambda: i18n.show_money({"minor": -5, "currency": "CNY"}), "-¥0.05", "-¥0.05"),
        (lambda: i18n.show_number(12345.6), "12,345.6", "12,345.6"),
        (lambda: i18n.show_percent(Decimal("0.1234")), "12.3%", "12.3%"),
        (lambda: i18n.show_ago(NOON - timedelta(hours=3), NOON), "3小时前", "3 h ago"),
        (lambda: i18n.show_ago(NOON + timedelta(hours=3), NOON), "3小时后", "in 3 h"),
        (lambda: i18n.show_ago(NOON, NOON), "刚刚", "just now"),
        (lambda: i18n.show_date(None), "—", "—"),
    ],
)
def test_values_are_shown_in_the_readers_way(shown, chinese: str, english: str) -> None:  # type: ignore[no-untyped-def]
    assert shown() == chinese
    with in_language("en"):
        assert shown() == english


def test_a_day_is_that_of_the_office_not_of_greenwich() -> None:
    late = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    assert i18n.show_day(late) == "2026-11-25"


def test_what_could_be_shown_wrong_is_refused() -> None:
    with pytest.raises(TypeError, match="never a float"):
        i18n.show_money(12.5)
    with pytest.raises(ValueError, match="zone"):
        i18n.show_datetime(datetime(2026, 11, 24, 4, 5))  # noqa: DTZ001 - that is the point
