"""The tables of the partner guide, written from the sources by `make docs`, in both languages.

A guide marks each place with `<!-- table: NAME -->` and `<!-- end -->`; between them nobody writes
by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from deploy.demo.credit_systems import SCENARIOS
from services.intake.answers import CODES, REFUSALS
from services.intake.inbound import REFUSED_PAPER
from shared.events import catalog, envelope
from shared.events.partners import PartnerApplicationSubmitted, PartnerDocument, PartnerParty
from shared.events.payload import FIELD_CLASSES
from shared.formats import make_synthetic_resident_id
from shared.parameters import (
    load_checklist_items,
    load_clocks,
    load_papers,
    load_products,
    load_return_codes,
)

FOLDER = Path(__file__).parent.parent / "docs" / "partner"
GUIDES: Mapping[str, str] = {"en": "README.md", "zh-CN": "README.zh-CN.md"}
_PLACE = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Row = Sequence[str]


class UnknownTableError(Exception):
    """The guide asks for a table that nobody writes."""


def with_tables(text: str, language: str) -> str:
    """A guide with its tables as the sources have them today. Raises UnknownTableError."""

    def written(place: re.Match[str]) -> str:
        name = place[2]
        if name not in TABLES:
            raise UnknownTableError(f"the partner guide has no table {name!r}")
        return f"{place[1]}{_table(TABLES[name](language))}{place[3]}"

    return _PLACE.sub(written, text)


def _table(rows: Iterable[Row]) -> str:
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _in(language: str, english: str, chinese: str) -> str:
    return english if language == "en" else chinese


def _types(language: str) -> Iterable[Row]:
    """Who sends and hears what."""
    yield (
        _in(language, "partner", "合作方"),
        _in(language, "may send", "可发送"),
        _in(language, "hears", "会收到"),
    )
    for partner in catalog.PARTNERS:
        yield (
            f"`{partner.name}`",
            "<br>".join(f"`{one.type}`" for one in partner.sends),
            "<br>".join(f"`{one.type}`" for one in partner.receives),
        )


def _answers(language: str) -> Iterable[Row]:
    """Every code of a refusal, as far as it is ours."""
    yield (
        _in(language, "code", "代码"),
        _in(language, "what is the matter", "原因"),
        _in(language, "what to do", "处理办法"),
    )
    for code, words in CODES.items():
        yield (
            f"`{code}`",
            _in(language, words.cause, words.cause_zh),
            _in(language, words.mend, words.mend_zh),
        )
    for code, why in load_papers().refusals.items():
        yield (
            f"`{REFUSED_PAPER}{code.upper()}`",
            why.names.in_language(language),
            why.mend.in_language(language),
        )
    yield from _return_codes(language, REFUSALS)


def _wanted(language: str) -> Iterable[Row]:
    """What an application may be held up for."""
    yield (
        _in(language, "code", "代码"),
        _in(language, "what is the matter", "原因"),
        _in(language, "what to tell the customer", "请客户"),
    )
    yield from _return_codes(
        language, [code for code in load_return_codes().codes if code not in REFUSALS]
    )


def _return_codes(language: str, codes: Iterable[str]) -> Iterable[Row]:
    known = load_return_codes().codes
    for code in codes:
        said = known[code]
        yield f"`{code}`", said.names.in_language(language), said.mend.in_language(language)


def _items(language: str) -> Iterable[Row]:
    """Papers that can be sent."""
    yield (
        _in(language, "item", "项目"),
        _in(language, "paper", "资料"),
        _in(language, "how it must be", "要求"),
    )
    for code, item in load_checklist_items().items.items():
        if item.upload:
            yield f"`{code}`", item.names.in_language(language), item.how.in_language(language)


def _products(language: str) -> Iterable[Row]:
    """Products with who may apply."""
    yield (
        _in(language, "product", "产品"),
        _in(language, "name", "名称"),
        _in(language, "applicant type (age)", "申请人类型（年龄）"),
        _in(language, "channel", "渠道"),
    )
    for code, product in load_products().items():
        yield (
            f"`{code}`",
            product.names.in_language(language),
            "<br>".join(
                f"`{kind}` ({age.youngest}–{age.oldest})"
                for kind, age in product.applicants.items()
            ),
            ", ".join(f"`{channel}`" for channel in product.channels),
        )


def _fields(language: str) -> Iterable[Row]:
    """What `personal` may hold."""
    yield _in(language, "field", "字段"), _in(language, "what it is", "说明")
    for name in (*FIELD_CLASSES, "device"):
        english, chinese = _FIELDS[name]
        yield f"`{name}`", _in(language, english, chinese)


_FIELDS: Mapping[str, tuple[str, str]] = {
    "name": (
        "as on the ID card; of who has a passport its Latin name",
        "与证件一致的姓名；持护照的填护照上的拉丁字母姓名",
    ),
    "chinese_name": ("of who has a passport, if there is one", "持护照的有中文姓名时填写"),
    "id_type": (
        "`passport`; may be left out for any of the cards",
        "持护照的填 `passport`；持身份证、居住证或永久居留身份证的可不填",
    ),
    "mobile": ("11 digits", "11 位手机号"),
    "email": ("", "电子邮箱"),
    "home_address": ("from the province on", "从省级行政区写起"),
    "work_address": ("from the province on", "从省级行政区写起"),
    "id_number": (
        "resident ID, residence permit (港澳台) or residence card, 18 characters; or a passport's",
        "居民身份证、港澳台居民居住证或外国人永久居留身份证号码（18 位）；或护照号码",
    ),
    "id_issued": ("YYYY-MM-DD", "YYYY-MM-DD，签发日期"),
    "id_expires": (
        "YYYY-MM-DD; 9999-12-31 for an ID card without end (长期)",
        "YYYY-MM-DD；长期为 9999-12-31",
    ),
    "nationality": (
        "three letters, `CHN`; with a passport needed, as it names it (ISO 3166-1)",
        "三位字母，如 `CHN`；持护照的必填，与护照一致（ISO 3166-1）",
    ),
    "birth_date": ("YYYY-MM-DD; needed with a passport", "YYYY-MM-DD，持护照的必填"),
    "mrz": (
        "of a passport the lower machine-readable line, 44 characters; may be left out",
        "护照资料页下一行机读码，44 个字符，可不填",
    ),
    "employer": ("full name, as on the stamp", "单位全称，与公章一致"),
    "occupation": ("", "职业"),
    "office_phone": ("area code and number; not the mobile", "区号加号码，不得为本人手机"),
    "monthly_income": ("in fen, digits as text", "以分为单位，数字文本"),
    "other_bank_limits": ("in fen, digits as text", "以分为单位，数字文本"),
    "salutation": ("`mr` or `ms`", "`mr` 或 `ms`"),
    "device": (
        "where the form was filled in, as the app knows it; kept as a keyed digest alone",
        "填写申请的设备标识；本行只保存其带密钥的摘要",
    ),
    "postcode": ("of the home address, 6 digits", "住址邮政编码，6 位数字"),
    "credit_code": ("of the employer, 18 characters", "单位统一社会信用代码，18 位"),
    "main_card_number": (
        "for a supplementary card, 16 digits",
        "申请附属卡时的主卡卡号，16 位数字",
    ),
}


def _limits(language: str) -> Iterable[Row]:
    """Numbers to know, from where they are enforced."""
    clocks, papers, schema = load_clocks(), load_papers(), _properties
    largest = int(str(schema(PartnerDocument)["content"]["maxLength"]))
    bytes_of_it = (largest - 400) * 3 // 4  # what the header, the key and base64 leave
    [retention] = {
        topic.retention_ms for topic in catalog.TOPICS if topic.name == "banka.inbound.<partner>"
    }
    yield _in(language, "what", "内容"), _in(language, "limit", "限制")
    yield (
        _in(language, "a record, whole", "一条记录（整体）"),
        f"{catalog.MAX_MESSAGE_BYTES:,} B",
    )
    yield (
        _in(language, "key, id, each attribute", "键、编号、每个属性"),
        f"{envelope.MAX_ATTRIBUTE:,} B",
    )
    reference = schema(PartnerApplicationSubmitted)["reference"]
    yield "`reference`", f"{reference['maxLength']}, `{reference['pattern']}`"
    yield (
        _in(language, "`content` of a paper, as JWE", "一份资料的 `content`（JWE）"),
        _in(
            language,
            f"{largest:,} characters: a file of at most {bytes_of_it // 1000} kB",
            f"{largest:,} 字符，即文件不超过 {bytes_of_it // 1000} kB",
        ),
    )
    yield _in(language, "pages of a PDF", "PDF 页数"), str(papers.most_pages)
    yield (
        _in(language, "papers of one item, of an application", "同类材料份数、每笔申请材料份数"),
        f"{papers.most_of_item}, {papers.most_of_application}",
    )
    yield _in(language, "pixels of a picture", "图片像素"), f"{papers.most_pixels:,}"
    yield (
        _in(language, "`personal` of a person, as JWE", "一人的 `personal`（JWE）"),
        f"{schema(PartnerParty)['personal']['maxLength']:,}",
    )
    for field, words in (
        ("parties", _in(language, "persons of an application", "一笔申请的人数")),
        ("documents", _in(language, "papers of an event", "一个事件的资料份数")),
    ):
        yield words, str(schema(PartnerApplicationSubmitted)[field]["maxItems"])
    yield (
        _in(language, "your topic keeps records for", "贵方主题保留"),
        _in(language, f"{retention // 86_400_000} days", f"{retention // 86_400_000} 天"),
    )
    yield (
        _in(language, "answers are kept", "答复保留"),
        _in(language, "for ever", "永久"),
    )
    yield (
        _in(language, "a withdrawal waits for its application", "撤回等待其申请"),
        _in(
            language,
            f"{clocks.early_withdrawal_days} days",
            f"{clocks.early_withdrawal_days} 天",
        ),
    )
    yield (
        _in(language, "a delivered card is to be activated within", "卡片签收后激活期限"),
        _in(language, f"{clocks.activation_days} days", f"{clocks.activation_days} 天"),
    )
    yield (
        _in(language, "facts from before the end of that term may arrive", "期限内的事实可迟到"),
        _in(language, f"{clocks.late_facts_days} days later", f"{clocks.late_facts_days} 天"),
    )


def _people(language: str) -> Iterable[Row]:
    """Made-up people, and what the systems that the demo plays say of each."""
    yield (
        _in(language, "ID number", "身份证号"),
        _in(language, "what becomes of it", "结果"),
    )
    for sequence in range(200, 205):
        yield f"`{_made_up(sequence)}`", _in(language, "nothing in the way", "一切正常")
    for span, scenario in SCENARIOS.items():
        yield f"`{_made_up(span.start)}`", _in(language, *_SCENARIOS[scenario])


def _made_up(sequence: int) -> str:
    return make_synthetic_resident_id("11", date(1991, 4, 16), sequence)


_SCENARIOS: Mapping[str, tuple[str, str]] = {
    "identity-mismatch": ("the identity check fails", "身份核验不一致"),
    "adverse": ("the bureau has adverse records", "征信有不良记录"),
    "queries": ("many credit queries of late", "近期征信查询过多"),
    "debts": ("high debts", "负债较高"),
    "watchlist": ("a hit on a watchlist", "命中名单"),
    "no-record": ("the bureau knows nobody of that name", "征信无记录"),
    "middling": ("a middling score: a person decides", "评分居中，由人工审查"),
    "bureau-times-out": ("the bureau does not answer", "征信系统不应答"),
    "cards": ("cards of many banks", "多家银行持卡"),
}


def _properties(model: type) -> Mapping[str, Mapping[str, object]]:
    found: Mapping[str, Mapping[str, object]] = model.model_json_schema()["properties"]  # type: ignore[attr-defined]
    return found


TABLES: Mapping[str, Callable[[str], Iterable[Row]]] = {
    "types": _types,
    "answers": _answers,
    "wanted": _wanted,
    "items": _items,
    "products": _products,
    "fields": _fields,
    "limits": _limits,
    "people": _people,
}
