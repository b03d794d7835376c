"""The words on the screens: English message ids, Chinese beside the code, chosen per request.

Each package keeps `locale/zh_CN.po`. At start-up the files are parsed and merged, the service's own
over the shared ones; nothing is compiled. English needs no file: the message id is the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

DEFAULT_LANGUAGE = "zh-CN"
LANGUAGES: dict[str, str] = {"zh-CN": "中文", "en": "English"}  # each in its own words
# not their names: to read one takes longer than the rest of showing a date
_LOCALES = {"zh-CN": Locale.parse("zh_CN"), "en": Locale.parse("en")}
_NOTHING = "—"  # shown where there is no value

_language: ContextVar[str] = ContextVar("banka_language", default=DEFAULT_LANGUAGE)
_zone: ZoneInfo = ZoneInfo("Asia/Shanghai")  # the business zone; instants are stored in UTC
_messages: dict[tuple[str | None, str], str] = {}
_EXTRACTED_CALLS = {
    "_": None,
    "gettext": None,
    "mark": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


def mark(message: str) -> str:
    """Marks a text in a table for translation; it is translated where it is shown, by `_(text)`."""
    return message


def load(directories: Iterable[Path], zone: str = "Asia/Shanghai") -> None:
    """Reads `zh_CN.po` of each directory, later ones over earlier, and sets the business zone."""
    global _zone
    _zone = ZoneInfo(zone)
    for directory in directories:
        _messages.update(read_messages(directory / "zh_CN.po"))


def read_messages(path: Path) -> dict[tuple[str | None, str], str]:
    """The finished translations of one file: {(context, message id): text}; none if it is absent.

    Chinese has one plural form, so a plural entry is its first form. Fuzzy entries do not count.
    """
    if not path.exists():
        return {}
    with path.open("rb") as file:
        catalog = read_po(file, locale="zh_CN")
    found: dict[tuple[str | None, str], str] = {}
    for entry in catalog:
        if not entry.id or entry.fuzzy:
            continue
        identifier = entry.id[0] if isinstance(entry.id, tuple | list) else entry.id
        text = entry.string[0] if isinstance(entry.string, tuple | list) else entry.string
        if text:
            found[(entry.context, identifier)] = text
    return found


def current_language() -> str:
    """The language in which this request, or this `in_language` block, is answered."""
    return _language.get()


def choose_language(wanted: str | None) -> str:
    """The language that a link, cookie or header asks for; Chinese unless it is one of ours."""
    if not wanted:
        return DEFAULT_LANGUAGE
    primary = wanted.strip().lower().replace("_", "-").split("-")[0]
    return {"zh": "zh-CN", "en": "en"}.get(primary, DEFAULT_LANGUAGE)


@contextmanager
def in_language(language: str) -> Iterator[None]:
    """Texts within the block are in this language, whoever asked; for messages and reports."""
    token = _language.set(choose_language(language))
    try:
        yield
    finally:
        _language.reset(token)


def gettext(message: str) -> str:
    """The text in the current language."""
    if _language.get() == "en":
        return message
    return _messages.get((None, message), message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """The text for a number of things in the current language."""
    if _language.get() == "en":
        return singular if n == 1 else plural
    return _messages.get((None, singular), plural)


def pgettext(context: str, message: str) -> str:
    """The text where one English word has two Chinese ones, told apart by `context`."""
    if _language.get() == "en":
        return message
    return _messages.get((context, message), message)


def npgettext(context: str, singular: str, plural: str, n: int) -> str:
    """`ngettext` with a context."""
    if _language.get() == "en":
        return singular if n == 1 else plural
    return _messages.get((context, singular), plural)


_ = gettext

# What templates are parsed with, where they are rendered and where their texts are looked for:
# a tag that the search did not know would hide the rest of its template.
TEMPLATE_EXTENSIONS = ("jinja2.ext.i18n", "jinja2.ext.do")


def _locale() -> Locale:
    return _LOCALES[_language.get()]


def local(instant: datetime) -> datetime:
    """An instant on the office's wall clock. Raises ValueError for a naive datetime."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return instant.astimezone(_zone)


def show_date(value: date | datetime | None) -> str:
    """2026年11月24日 · 24 Nov 2026. A datetime is taken to the business zone first."""
    if value is None:
        return _NOTHING
    day = local(value).date() if isinstance(value, datetime) else value
    pattern = "y年M月d日" if current_language() == "zh-CN" else "d MMM y"
    return format_date(day, pattern, locale=_locale())


def show_day(value: date | datetime | None) -> str:
    """2026-11-24: for tables, where columns must line up."""
    if value is None:
        return _NOTHING
    day = local(value).date() if isinstance(value, datetime) else value
    return day.isoformat()


def show_weekday(value: date | datetime | None) -> str:
    """星期二 · Tuesday."""
    if value is None:
        return _NOTHING
    day = local(value).date() if isinstance(value, datetime) else value
    return format_date(day, "EEEE", locale=_locale())


def show_datetime(value: datetime | None) -> str:
    """2026-11-24 15:04 on the office's clock, in both languages: for tables and timelines."""
    return (
        _NOTHING
        if value is None
        else format_datetime(local(value), "yyyy-MM-dd HH:mm", locale=_locale())
    )


def show_time(value: datetime | None) -> str:
    """15:04 on the office's clock."""
    return _NOTHING if value is None else format_time(local(value), "HH:mm", locale=_locale())


def show_duration(value: timedelta | float | None) -> str:
    """3天4小时 · 3 d 4 h: the largest two units, seconds below a minute. A number is seconds."""
    if value is None:
        return _NOTHING
    seconds = int(value.total_seconds() if isinstance(value, timedelta) else value)
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    if seconds < 60:
        return sign + _("%(n)s s") % {"n": seconds}
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes = rest // 60
    parts = [
        (days, _("%(n)s d")),
        (hours, _("%(n)s h")),
        (minutes, _("%(n)s min")),
    ]
    first = next(index for index, (count, _unit) in enumerate(parts) if count)
    shown = [unit % {"n": count} for count, unit in parts[first : first + 2] if count]
    return sign + ("" if current_language() == "zh-CN" else " ").join(shown)


def show_money(value: Any, *, symbol: bool = True) -> str:
    """¥12,345.00. Takes Money, its JSON form, or a whole number of fen; never a float."""
    if value is None:
        return _NOTHING
    if isinstance(value, float):
        raise TypeError("money is never a float")
    minor = (
        value
        if isinstance(value, int)
        else (value["minor"] if isinstance(value, dict) else value.minor)
    )
    sign = "-" if minor < 0 else ""
    return f"{sign}{'¥' if symbol else ''}{abs(minor) // 100:,}.{abs(minor) % 100:02d}"


def show_number(value: int | float | Decimal | None) -> str:
    """12,345.6."""
    return _NOTHING if value is None else format_decimal(value, locale=_locale())


def show_percent(value: float | Decimal | None, digits: int = 1) -> str:
    """A ratio of 1 as 12.3%."""
    if value is None:
        return _NOTHING
    pattern = "0." + "0" * digits + "%" if digits else "0%"
    return format_percent(value, pattern, locale=_locale())


def show_ago(value: datetime | None, now: datetime) -> str:
    """How long ago by the business clock: 3小时前 · 3 h ago; 3小时后 · in 3 h for what is ahead."""
    if value is None:
        return _NOTHING
    gap = now - value
    if abs(gap) < timedelta(minutes=1):
        return _("just now")
    if gap < timedelta(0):
        return _("in %(duration)s") % {"duration": show_duration(-gap)}
    return _("%(duration)s ago") % {"duration": show_duration(gap)}


FILTERS = {
    "date": show_date,
    "day": show_day,
    "weekday": show_weekday,
    "datetime": show_datetime,
    "time": show_time,
    "duration": show_duration,
    "money": show_money,
    "number": show_number,
    "percent": show_percent,
}


@dataclass(frozen=True, slots=True)
class Untranslated:
    """A text in a package that has no Chinese, or whose placeholders differ in Chinese."""

    path: str
    line: int
    message: str
    problem: str  # "missing" or "placeholders"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}: {self.message!r}"


_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")


def untranslated(package: Path, known: Iterable[Path] = ()) -> list[Untranslated]:
    """Every text in the package's Python files and templates that a Chinese reader sees in English.

    `known` are locale directories of other packages whose texts may be used (shared/web/locale).
    Raises TemplateSyntaxError for a template that cannot be read: what is not read is not checked.
    """
    messages: dict[tuple[str | None, str], str] = {}
    for directory in (*known, package / "locale"):
        messages.update(read_messages(directory / "zh_CN.po"))
    found: list[Untranslated] = []
    for path, line, extracted, _comments, context in extract_from_dir(
        package,
        method_map=[("**.py", "python"), ("**/templates/**.*", "jinja2.ext:babel_extract")],
        options_map={
            "**/templates/**.*": {"extensions": ",".join(TEMPLATE_EXTENSIONS), "silent": "false"}
        },
        keywords=_EXTRACTED_CALLS,
    ):
        message = extracted[0] if isinstance(extracted, tuple) else extracted
        translation = messages.get((context, message))
        if translation is None:
            found.append(Untranslated(path, line, message, "missing"))
        elif not set(_PLACEHOLDER.findall(translation)) <= set(
            _PLACEHOLDER.findall(str(extracted))
        ):
            found.append(Untranslated(path, line, message, "placeholders"))
    return found
