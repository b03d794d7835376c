"""The words of a message: from a versioned template and codes to a text, and the rules it obeys.

What is kept and shown holds `{addressee}` where the person is addressed, and `{access_code}` in the
place of a code; only the sending worker puts surname and code in, and checks the finished text by
`faults` before it leaves.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml
from babel.dates import format_date

from services.notify.messages import Channel, Template
from shared.parameters import (
    load_checklist_items,
    load_phrases,
    load_products,
    load_return_codes,
)

FOLDER: Final = Path(__file__).with_name("templates_messages")
ADDRESSEE: Final = "{addressee}"
CODE: Final = "{access_code}"
SMS_LONGEST: Final = 500  # characters, signature included
LONGEST: Final = 4000  # characters of any other message
_REFERENCE_DIGITS: Final = 6  # running number and check digit: enough to talk about on the phone
_DIGITS_MOST: Final = 8  # a longer run may be an ID, card or phone number

LANGUAGES: Final = ("zh-CN", "en")


class WordingError(ValueError):
    """A template file is wrong, or lacks a word that the message needs."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message's words in one language. `long` is for e-mail, `short` for SMS and app."""

    title: str
    short: str
    long: str


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """One version of a template; versions are never edited once they were sent."""

    template: Template
    version: str
    texts: Mapping[str, Text]  # by language


@dataclass(frozen=True, slots=True)
class Composed:
    """A text ready but for the addressee, and for a code."""

    title: str
    body: str
    template_version: str


@cache
def load_templates() -> dict[Template, MessageTemplate]:
    """The newest version of every template; raises WordingError naming file and fault."""
    newest: dict[Template, MessageTemplate] = {}
    for template in Template:
        paths = sorted(
            (FOLDER / template.value).glob("[0-9]*.yaml"), key=lambda path: int(path.stem)
        )
        if not paths:
            raise WordingError(f"templates_messages/{template.value}: no version")
        newest[template] = _read(template, paths[-1])
    return newest


def _read(template: Template, path: Path) -> MessageTemplate:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        texts = {
            language: Text(
                title=content[language]["title"],
                short=_one_line(content[language]["short"]),
                long=content[language].get("long", _one_line(content[language]["short"])).strip(),
            )
            for language in LANGUAGES
        }
    except (KeyError, TypeError, AttributeError) as fault:
        raise WordingError(f"{template.value}/{path.name}: {fault!r} is missing") from None
    return MessageTemplate(template, path.stem, texts)


def _one_line(text: str) -> str:
    """The text without its file's line breaks; Chinese has no space where a line was broken."""
    return re.sub(r"(?<=[，。：；？！]) ", "", " ".join(text.split()))


def compose(
    template: Template,
    language: str,
    channel: Channel,
    *,
    application_number: str,
    product: str,
    details: Mapping[str, Any],
    zone: ZoneInfo,
) -> Composed:
    """The message's title and body with `{addressee}` left open.

    An SMS bears the bank's signature and stays within SMS_LONGEST: where a long list of material
    does not fit, the ways to mend go first, then the reasons; what still does not fit is counted.
    """
    found = load_templates()[template]
    text = found.texts[language]
    values = {
        "addressee": ADDRESSEE,
        "access_code": CODE,
        "reference": application_number[-_REFERENCE_DIGITS:],
        "product": _product_name(product, language),
        "rights": load_phrases().your_rights.in_language(language),
        **{
            name: say_date(details[name], language, zone)
            for name in ("date", "deadline", "reapply_from", "effective_on")
            if name in details
        },
    }
    if "category" in details:
        phrase = load_phrases().declines[details["category"]]
        values["category"] = phrase.customer.in_language(language)
    if "basis" in details:
        limits = load_phrases().limits
        values["way"] = limits.way.in_language(language)
        values["basis"] = getattr(limits, details["basis"]).in_language(language)
    if "decided_by" in details:
        decided_by = getattr(load_phrases().decided_by, details["decided_by"])
        values["decided_by"] = decided_by.in_language(language)
    values |= {term: str(details[term]) for term in ("working_days", "days") if term in details}
    shape = text.long if channel is Channel.EMAIL else text.short
    signature = f"【{signature_of(language)}】" if channel is Channel.SMS else ""
    longest = SMS_LONGEST if channel is Channel.SMS else LONGEST
    body = ""
    for items in _item_lists(details.get("items"), language, lines=channel is Channel.EMAIL):
        body = signature + shape.format_map({**values, "items": items})
        if len(body) <= longest:  # whoever is addressed is shorter than the placeholder
            break
    return Composed(text.title, body, found.version)


def signature_of(language: str) -> str:
    """The sender's name that an SMS begins with, without its brackets."""
    return load_phrases().signature.in_language(language)


def _product_name(product: str, language: str) -> str:
    known = load_products().get(product)
    if known is not None:
        return known.names.in_language(language)
    return "credit card" if language == "en" else "信用卡"


def _item_lists(items: list[dict[str, str]] | None, language: str, *, lines: bool) -> Iterator[str]:
    """Ways to say what is missing, the fullest first; one empty way where nothing is."""
    if items is None:
        yield ""
        return
    for parts in (3, 2, 1):
        yield _say_items(items, language, parts, lines=lines)
    for kept in range(len(items) - 1, 0, -1):
        more = len(items) - kept
        told = _say_items(items[:kept], language, 1, lines=lines)
        if language == "en":
            yield f"{told}; and {more} more, listed where you applied"
        else:
            yield f"{told}；另有{more}项，详见原申请渠道"


def _say_items(items: list[dict[str, str]], language: str, parts: int, *, lines: bool) -> str:
    """Every missing item by its first `parts` of: what, why, how to mend."""
    english = language == "en"
    said = []
    for number, wanted in enumerate(items, start=1):
        what, *rest = _explain(wanted, language)[:parts]
        if english:
            said.append(". ".join([": ".join([f"({number}) {what}", *rest[:1]]), *rest[1:]]))
        else:
            said.append("，".join(["：".join([f"（{number}）{what}", *rest[:1]]), *rest[1:]]))
    if lines:
        return "\n".join(said)
    return ("; " if english else "；").join(said)


def _explain(wanted: Mapping[str, str], language: str) -> list[str]:
    """What is wanted and of whom, where it is not who is written to; why, and how to mend it, as
    far as there are words for it."""
    item = load_checklist_items().items.get(wanted["item"])
    code = load_return_codes().codes.get(wanted["code"])
    if item is not None:
        what = item.names.in_language(language)
    else:  # a field of the form
        what = "Application form" if language == "en" else "申请表信息"
    if whose := load_phrases().persons.get(wanted.get("role", "")):
        person = whose.in_language(language)
        what = f"{what} ({person})" if language == "en" else f"{what}（{person}）"
    if code is None:
        return [what]
    how = code.mend
    if wanted["code"] == "DOC_MISSING" and item is not None:
        how = item.how  # that it is to be handed in goes without saying; what it must show does not
    return [what, code.names.in_language(language), how.in_language(language)]


def say_date(value: str, language: str, zone: ZoneInfo) -> str:
    """A day in words: 2026年11月2日 · 2 November 2026. An instant is taken to the bank's zone.

    Never digits with hyphens: those could be read, and are refused, as a number of a person.
    """
    if "T" in value:
        day = datetime.fromisoformat(value).astimezone(zone).date()
    else:
        day = date.fromisoformat(value)
    if language == "en":
        return format_date(day, "d MMMM y", locale="en")
    return format_date(day, "y年M月d日", locale="zh_CN")


# --- the addressee -------------------------------------------------------------------------------

_COMPOUND_SURNAMES: Final = frozenset(
    Path(__file__).with_name("compound_surnames.txt").read_text(encoding="utf-8").split()
)
# the planes of rare characters included: 𠮷野 is a name too
_HAN_NAME = re.compile(r"[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff·]{2,20}")


def address(name: str, salutation: str, language: str) -> str:
    """How the person is addressed: 张先生, Mr 张; by title alone where the surname is not certain.

    salutation: `mr`, `ms`, or anything else for neither.
    """
    surname = _surname(name.strip())
    if language == "en":
        title = {"mr": "Mr", "ms": "Ms"}.get(salutation)
        if title is None:
            return "customer"
        return f"{title} {surname}" if surname else {"Mr": "Sir", "Ms": "Madam"}[title]
    title = {"mr": "先生", "ms": "女士"}.get(salutation)
    return "客户" if title is None else f"{surname}{title}"


def _surname(name: str) -> str:
    """The surname of a Chinese name; nothing for names whose order we do not know."""
    if _HAN_NAME.fullmatch(name) is None or "·" in name:
        return ""
    return name[:2] if len(name) > 2 and name[:2] in _COMPOUND_SURNAMES else name[0]


MASKED_ADDRESSEE: Final = {"zh-CN": "＊先生/女士", "en": "Mr/Ms ＊"}
"""What a page shows in the place of the addressee."""


MASKED_CODE: Final = "＊＊＊＊-＊＊＊＊"
"""What a page shows in the place of a code."""


def fill(text: str, addressee: str, code: str = MASKED_CODE) -> str:
    """The text with the person addressed in it, and the code where it has one."""
    return text.replace(CODE, code).replace(ADDRESSEE, addressee)


# --- the rules -----------------------------------------------------------------------------------

_DIGIT_RUN = re.compile(r"\d(?:[\s\-‐-―－_.,，、()（）/\\|:：*+·]*\d){" + str(_DIGITS_MOST) + ",}")
_LINK = re.compile(r"https?:|www\.|\b[a-z0-9-]+\.(?:cn|com|net|top|xyz)\b", re.IGNORECASE)
_INNER_WORDS: Final = re.compile(
    r"评分|分数|得分|打分|模型|规则|名单|欺诈|洗钱|可疑|风控|高风险|黑户|策略|命中"
    r"|\b(?:scor(?:e|es|ing|ecard)|rules?|models?|black ?list\w*|watch ?list\w*|grey ?list\w*"
    r"|fraud\w*|suspic\w*|launder\w*|risk\w*)\b",
    re.IGNORECASE,
)
_MARKETING: Final = re.compile(
    r"优惠|特惠|抽奖|返现|立减|礼品|好礼|赠送|积分|推荐好友|限时|退订|拒收请回复|分期"
    r"|\b(?:offers?|discounts?|bonus|cash ?back|promotions?|gifts?|lottery|points|unsubscribe"
    r"|opt out|instal?ments?|refer a friend)\b",
    re.IGNORECASE,
)
_PROMISE: Final = re.compile(
    r"保证(?:下卡|批准|通过)|必过|包过|百分之?百|稳下|秒批|最低利率|一定(?:会)?(?:批|通过)"
    r"|\b(?:we guarantee|guaranteed|(?:will|shall) (?:surely|certainly|definitely)|instant approval"
    r"|lowest (?:interest )?rates?|100 ?%)",
    re.IGNORECASE,
)
_OPEN_PLACEHOLDER = re.compile(r"\{[a-z_]*\}")


def faults(text: str, channel: Channel, language: str) -> list[str]:
    """What a finished text breaks, as codes; empty if it may be sent.

    signature (once, at the start of an SMS and nowhere else) · too_long · personal_number ·
    link · inner_word (score, rule, list) · promise · marketing · forbidden (compliance's own list)
    · placeholder (something was not filled in) · empty.
    """
    found = []
    seen = unicodedata.normalize("NFKC", text)  # full-width digits and letters count as plain ones
    head = f"【{signature_of(language)}】"
    brackets = text.count("【") + text.count("】")
    if channel is Channel.SMS:
        if not text.startswith(head) or brackets != 2:
            found.append("signature")
    elif brackets:
        found.append("signature")
    if len(text) > (SMS_LONGEST if channel is Channel.SMS else LONGEST):
        found.append("too_long")
    if _DIGIT_RUN.search(seen):
        found.append("personal_number")
    if _LINK.search(seen):
        found.append("link")
    if _INNER_WORDS.search(seen):
        found.append("inner_word")
    if _PROMISE.search(seen):
        found.append("promise")
    if _MARKETING.search(seen):
        found.append("marketing")
    lowered = seen.lower()
    if any(
        word.lower() in lowered for words in load_phrases().forbidden.values() for word in words
    ):
        found.append("forbidden")
    if _OPEN_PLACEHOLDER.search(text):
        found.append("placeholder")
    if not text.removeprefix(head).strip():
        found.append("empty")
    return found
