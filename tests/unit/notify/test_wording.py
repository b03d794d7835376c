"""Texts to customers: every one we can write obeys the rules; the rules catch what they must."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.notify.messages import Channel, Template
from services.notify.wording import (
    ADDRESSEE,
    LANGUAGES,
    SMS_LONGEST,
    address,
    compose,
    faults,
    fill,
    load_templates,
    say_date,
    signature_of,
)
from shared.events.payload import PartyRole
from shared.events.review import DeclineCategory, LimitBasis
from shared.parameters import load_checklist_items, load_phrases, load_products, load_return_codes

GOLDEN = Path(__file__).with_name("golden_messages.yaml")
ZONE = ZoneInfo("Asia/Shanghai")
NUMBER = "110120261102000017"
DETAILS = {
    "date": "2026-11-02T16:30:00+00:00",  # already the 3rd in the office
    "deadline": "2026-11-16T15:59:59+00:00",
    "reapply_from": "2027-02-01",
    "effective_on": "2026-11-06",
    "category": "credit_history",
    "decided_by": "policy",
    "basis": "other_limits",
    "working_days": 15,
    "days": 20,
    "items": [
        {"item": "work_proof", "code": "NO_STAMP"},
        {"item": "income_proof", "code": "DOC_MISSING"},
    ],
}

languages = st.sampled_from(LANGUAGES)
wanted_items = st.lists(
    st.fixed_dictionaries(
        {
            "item": st.sampled_from([*load_checklist_items().items, "mobile"]),
            "code": st.sampled_from([*load_return_codes().codes]),
        }
    ),
    min_size=1,
    max_size=17,
)
han_names = st.text(
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=2, max_size=4
)


def composed(template: Template, language: str, channel: Channel, **changes: object) -> str:
    text = compose(
        template,
        language,
        channel,
        application_number=NUMBER,
        product=str(changes.pop("product", "standard")),
        details={**DETAILS, **changes},
        zone=ZONE,
    )
    return text.body


@given(
    template=st.sampled_from(Template),
    language=languages,
    channel=st.sampled_from(Channel),
    product=st.sampled_from([*load_products()]),
    category=st.sampled_from(DeclineCategory),
    basis=st.sampled_from(LimitBasis),
    items=wanted_items,
    name=st.one_of(han_names, st.text(max_size=40)),
    salutation=st.sampled_from(["mr", "ms", ""]),
)
def test_every_text_we_can_write_may_be_sent(
    template: Template,
    language: str,
    channel: Channel,
    product: str,
    category: DeclineCategory,
    basis: LimitBasis,
    items: list[dict[str, str]],
    name: str,
    salutation: str,
) -> None:
    body = composed(
        template,
        language,
        channel,
        product=product,
        category=category.value,
        basis=basis.value,
        items=items,
    )
    text = fill(body, address(name, salutation, language))
    assert faults(text, channel, language) == []
    assert body.count(ADDRESSEE) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_item_and_every_reason_may_be_named(language: str) -> None:
    for item in load_checklist_items().items:
        for code in load_return_codes().codes:
            body = composed(
                Template.MATERIAL_WANTED,
                language,
                Channel.SMS,
                items=[{"item": item, "code": code}],
            )
            assert faults(fill(body, "客户"), Channel.SMS, language) == [], (item, code)


@given(name=han_names, salutation=st.sampled_from(["mr", "ms"]), language=languages)
def test_a_text_holds_the_surname_and_nothing_else_of_the_name(
    name: str, salutation: str, language: str
) -> None:
    said = address(name, salutation, language)
    surname = said[3:] if language == "en" else said[:-2]
    assert 1 <= len(surname) < max(len(name), 2)
    assert name.startswith(surname)
    assert len(said) <= len(ADDRESSEE)  # the length of a text is measured before it is filled in


@pytest.mark.parametrize(
    ("name", "salutation", "language", "expected"),
    [
        ("张三", "mr", "zh-CN", "张先生"),
        ("欧阳娜娜", "ms", "zh-CN", "欧阳女士"),
        ("欧阳", "ms", "zh-CN", "欧女士"),
        ("张三", "ms", "en", "Ms 张"),
        ("𠮷一", "mr", "zh-CN", "𠮷先生"),
        ("张三", "", "zh-CN", "客户"),
        ("John Smith", "mr", "en", "Sir"),
        ("阿依古丽·买买提", "ms", "zh-CN", "女士"),
        ("【广告】", "mr", "zh-CN", "先生"),
        ("", "ms", "en", "Madam"),
    ],
)
def test_address(name: str, salutation: str, language: str, expected: str) -> None:
    assert address(name, salutation, language) == expected


@pytest.mark.parametrize("role", [role.value for role in PartyRole])
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_whose_field_is_wrong_where_that_is_not_who_is_written_to(
    role: str, language: str
) -> None:
    items = [{"item": "application_form_signed", "code": "MOBILE_FORM", "role": role}]
    body = composed(Template.MATERIAL_WANTED, language, Channel.SMS, items=items)
    words = {
        "guardian": ("申请表（监护人）：", "form (guardian): "),
        "contact": ("申请表（联系人）：", "form (contact person): "),
        "supplementary_holder": ("申请表（附属卡持卡人）：", "form (supplementary cardholder): "),
        "applicant": ("申请表：", "form: "),
    }[role]
    assert words[language == "en"] in body
    assert faults(fill(body, "客户"), Channel.SMS, language) == []


def test_a_short_list_tells_what_why_and_how_to_mend() -> None:
    body = composed(Template.MATERIAL_WANTED, "zh-CN", Channel.SMS)
    assert "工作证明：未加盖公章，请由单位加盖公章" in body
    assert "收入证明：资料缺失，近三个月工资单或代发工资流水" in body
    assert "2026年11月16日" in body
    assert body.startswith("【示例银行信用卡】尊敬的{addressee}，")


@given(items=wanted_items, language=languages)
def test_a_long_list_stays_within_an_sms_and_counts_what_it_leaves_out(
    items: list[dict[str, str]], language: str
) -> None:
    body = composed(Template.MATERIAL_WANTED, language, Channel.SMS, items=items)
    assert len(body) <= SMS_LONGEST
    told = sum(
        f"({number})" in body or f"（{number}）" in body for number in range(1, len(items) + 1)
    )
    left_out = len(items) - told
    assert (f"and {left_out} more" in body or f"另有{left_out}项" in body) == (left_out > 0)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("channel", Channel)
def test_a_decline_says_why_in_approved_words_and_what_the_customer_may_do(
    language: str, channel: Channel
) -> None:
    body = composed(Template.DECLINED, language, channel)
    assert load_phrases().declines["credit_history"].customer.in_language(language) in body
    assert load_phrases().declines["credit_history"].desk.in_language(language) not in body
    assert load_phrases().your_rights.in_language(language) in body
    assert say_date("2027-02-01", language, ZONE) in body


# What each message is for, in as few words as carry it.
SAYS: dict[Template, dict[str, tuple[str, ...]]] = {
    Template.RECEIVED: {"zh-CN": ("2026年11月3日收到",), "en": ("received", "3 November 2026")},
    Template.MATERIAL_WANTED: {
        "zh-CN": ("工作证明：未加盖公章", "收入证明：资料缺失", "2026年11月16日前", "申请将关闭"),
        "en": ("Proof of work: No stamp", "Proof of income: Missing", "by 16 November 2026"),
    },
    Template.MATERIAL_REMINDER: {
        "zh-CN": (
            "提醒您",
            "工作证明：未加盖公章",
            "收入证明：资料缺失",
            "截止日期为2026年11月16日",
        ),
        "en": ("reminder", "Proof of work", "Proof of income", "last day is 16 November 2026"),
    },
    Template.DRAFT_REMINDER: {
        "zh-CN": ("尚未提交", "2026年11月16日之后将关闭", "在该日或之前"),
        "en": ("has not been handed in", "after 16 November 2026", "by then"),
    },
    Template.ACTIVATION_REMINDER: {
        "zh-CN": ("尚未激活", "激活期限截至2026年11月16日", "不产生任何费用"),
        "en": ("not activated yet", "last day for it is 16 November 2026", "no cost to you"),
    },
    Template.WITHDRAWN: {"zh-CN": ("2026年11月3日撤回",), "en": ("withdrawn on 3 November",)},
    Template.EXPIRED: {
        "zh-CN": ("未在期限内收到", "2026年11月3日关闭"),
        "en": ("did not receive", "closed on 3 November 2026"),
    },
    Template.CARD_LAPSED: {
        "zh-CN": ("未在期限内激活", "2026年11月3日关闭", "剪断"),
        "en": ("not activated in time", "closed on 3 November 2026", "cut the card up"),
    },
    Template.APPROVED: {"zh-CN": ("2026年11月3日批准",), "en": ("approved on 3 November 2026",)},
    Template.DECLINED: {
        "zh-CN": ("未获批准：您的信用记录", "人工复核", "2027年2月1日起重新申请"),
        "en": ("not approved: your credit record", "review by a person", "from 1 February 2027"),
    },
    Template.CARD_POSTED: {"zh-CN": ("2026年11月3日寄出",), "en": ("posted on 3 November 2026",)},
    Template.ACTIVATED: {"zh-CN": ("2026年11月3日激活",), "en": ("activated on 3 November 2026",)},
    Template.ACCESS_CODE: {
        "zh-CN": ("查询码为{access_code}，", "只能使用一次，2026年11月16日前有效"),
        "en": ("is {access_code}.", "used once, until 16 November 2026"),
    },
    Template.APPEAL_OPENED: {
        "zh-CN": ("未参与原决定", "15个工作日内"),
        "en": ("took no part", "within 15 working days"),
    },
    Template.APPEAL_EXPLAINED: {
        "zh-CN": ("由系统根据", "主要原因：您的信用记录", "人工复核"),
        "en": ("made automatically", "Its main reason: your credit record", "decides anew"),
    },
    Template.APPEAL_UPHELD: {
        "zh-CN": ("2026年11月3日复核", "原审批结果不变", "主要原因：您的信用记录"),
        "en": ("on 3 November 2026", "stays as it was", "your credit record"),
    },
    Template.APPEAL_CHANGED: {
        "zh-CN": ("2026年11月3日复核", "重新提交申请", "无需等待"),
        "en": ("on 3 November 2026", "apply again", "need not wait"),
    },
    Template.APPEAL_LIMIT_EXPLAINED: {
        "zh-CN": ("由系统根据", "收入的一定倍数", "取决于：您在本行及其他银行已有的", "由人员复核"),
        "en": ("made automatically", "a multiple of the income", "cards that you have already"),
    },
    Template.APPEAL_LIMIT_UPHELD: {
        "zh-CN": ("2026年11月3日复核", "核定结果不变", "取决于：您在本行及其他银行已有的"),
        "en": ("on 3 November 2026", "stays as it was", "cards that you have already"),
    },
    Template.APPEAL_LIMIT_BEGUN: {
        "zh-CN": ("2026年11月3日复核", "已为您发起调额申请", "现有额度不变"),
        "en": ("on 3 November 2026", "have begun it for you", "stays as it is"),
    },
    Template.APPEAL_LIMIT_INVITED: {
        "zh-CN": ("2026年11月3日复核", "卡片激活后", "提出调额申请"),
        "en": ("on 3 November 2026", "Once the card is activated", "please ask for it"),
    },
    Template.LIMIT_ASKED: {
        "zh-CN": ("额度调整申请已收到", "15个工作日内"),
        "en": ("wish for another limit", "within 15 working days"),
    },
    Template.LIMIT_RAISED: {
        "zh-CN": ("按您的申请", "2026年11月3日调高"),
        "en": ("as you asked", "was raised on 3 November 2026"),
    },
    Template.LIMIT_RAISED_UNTIL: {
        "zh-CN": ("临时额度", "2026年11月16日后自动恢复", "最低还款额"),
        "en": ("until 16 November 2026", "goes back by itself", "minimum payment"),
    },
    Template.LIMIT_LOWERED: {
        "zh-CN": ("按您的申请", "2026年11月3日调低"),
        "en": ("as you asked", "was lowered on 3 November 2026"),
    },
    Template.LIMIT_LOWERED_BY_BANK: {
        "zh-CN": ("定期评估", "将于2026年11月6日调低"),
        "en": ("regular review", "will be lowered on 6 November 2026"),
    },
    Template.LIMIT_REFUSED: {
        "zh-CN": ("暂未通过", "现有额度不变"),
        "en": ("could not grant", "stays as it is"),
    },
    Template.LIMIT_EXPIRING: {
        "zh-CN": ("将于2026年11月16日到期", "自动恢复"),
        "en": ("ends on 16 November 2026", "goes back by itself"),
    },
    Template.LIMIT_EXPIRED: {
        "zh-CN": ("已于2026年11月3日到期", "恢复为原额度"),
        "en": ("ended on 3 November 2026", "limit from before"),
    },
    Template.DISPUTE_OPENED: {
        "zh-CN": ("异议已收到", "20日内核查", "书面答复"),
        "en": ("answer in writing within 20 days", "no decision is made automatically"),
    },
    Template.DISPUTE_CORRECTED: {
        "zh-CN": ("2026年11月3日处理完毕", "已更正", "原报告不再使用", "重新查询", "无需等待"),
        "en": ("on 3 November 2026", "put right", "used no more", "checked anew", "apply again"),
    },
    Template.DISPUTE_UPHELD: {
        "zh-CN": ("2026年11月3日处理完毕", "相关信息无误", "征信中心"),
        "en": ("on 3 November 2026", "no error was found", "Credit Reference Center"),
    },
    Template.DISPUTE_ANNOTATED: {
        "zh-CN": ("2026年11月3日处理完毕", "标注"),
        "en": ("on 3 November 2026", "noted in the credit report"),
    },
    Template.FIRST_USE: {
        "zh-CN": ("2026年11月3日首次使用",),
        "en": ("used for the first time on 3 November",),
    },
}


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.EMAIL])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", Template)
def test_each_message_says_its_fact_and_is_worded_as_agreed(
    template: Template, language: str, channel: Channel
) -> None:
    text = compose(
        template,
        language,
        channel,
        application_number=NUMBER,
        product="gold",
        details=DETAILS,
        zone=ZONE,
    )
    flowing = " ".join(text.body.split())
    product = "金卡" if language == "zh-CN" else "Gold card"
    for words in (ADDRESSEE, product, "000017", *SAYS[template][language]):
        assert words in flowing
    golden = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))[template.value][language]
    assert (text.title, text.body) == (golden["title"], golden[channel.value])


def test_dates_are_the_office_s_days() -> None:
    assert say_date("2026-11-02T16:30:00+00:00", "zh-CN", ZONE) == "2026年11月3日"
    assert say_date("2026-11-02T16:30:00+00:00", "en", ZONE) == "3 November 2026"


def test_every_template_has_a_version() -> None:
    second = {Template.RECEIVED, Template.MATERIAL_WANTED, Template.MATERIAL_REMINDER}
    assert {template: found.version for template, found in load_templates().items()} == {
        template: "2" if template in second else "1" for template in Template
    }


GOOD = {
    "zh-CN": f"【{signature_of('zh-CN')}】尊敬的张先生：编号末六位000017，于2026年11月2日批准。",
    "en": f"【{signature_of('en')}】Dear Mr 张, number ending 000017, approved on 2 November 2026.",
}

separators = st.sampled_from(["", " ", "-", " - ", ".", "　", "－", "·", "/"])


@st.composite
def personal_numbers(draw: st.DrawFn) -> str:
    """An ID, card or phone number, split up and in full-width digits as people try."""
    length = draw(st.sampled_from([11, 16, 18, 19]))
    digits = draw(st.text("0123456789", min_size=length, max_size=length))
    group = draw(st.integers(3, 6))
    text = draw(separators).join(digits[i : i + group] for i in range(0, length, group))
    if draw(st.booleans()):
        text = text.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    return text


@given(number=personal_numbers(), language=languages, at=st.integers(20, 40))
def test_no_personal_number_gets_through_wherever_it_stands(
    number: str, language: str, at: int
) -> None:
    text = GOOD[language][:at] + number + GOOD[language][at:]
    assert "personal_number" in faults(text, Channel.SMS, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_good_text_passes(language: str) -> None:
    assert faults(GOOD[language], Channel.SMS, language) == []


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ("您的评分较低", "inner_word"),
        ("命中规则", "inner_word"),
        ("在黑名单中", "inner_word"),
        ("涉嫌欺诈", "inner_word"),
        ("your score is low", "inner_word"),
        ("SCORING", "inner_word"),
        ("blacklisted", "inner_word"),
        ("保证下卡", "promise"),
        ("秒批", "promise"),
        ("Guaranteed approval", "promise"),
        ("办卡抽奖", "marketing"),
        ("拒收请回复R", "marketing"),
        ("分期手续费低", "marketing"),
        ("a special offer", "marketing"),
        ("see www.example.cn", "link"),
        ("https://t.example/x", "link"),
        ("【再签】", "signature"),
        ("{product}", "placeholder"),
        ("最低利率", "forbidden"),
        ("长" * 500, "too_long"),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_forbidden_word_is_found(added: str, fault: str, language: str) -> None:
    assert fault in faults(GOOD[language] + added, Channel.SMS, language)


def test_a_signature_stands_once_at_the_start_of_an_sms_and_nowhere_else() -> None:
    plain = GOOD["zh-CN"].split("】")[1]
    assert faults(plain, Channel.SMS, "zh-CN") == ["signature"]
    assert faults(plain, Channel.EMAIL, "zh-CN") == []
    assert faults(GOOD["zh-CN"], Channel.EMAIL, "zh-CN") == ["signature"]
    assert "signature" in faults("x" + GOOD["zh-CN"], Channel.SMS, "zh-CN")


def test_an_empty_text_is_not_sent() -> None:
    assert faults(f"【{signature_of('en')}】 ", Channel.SMS, "en") == ["empty"]
