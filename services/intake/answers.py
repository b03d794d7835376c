"""The codes with which a partner's event is refused: what is the matter, and how it is mended.

Answers carry the English words, the partner guide's table (`make docs`) both languages. Return
codes, which customers meet as well, have theirs in `return_codes.yaml`; why a file is no paper
(`DOCUMENT_…`) stands in `papers.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Layer = Literal["record", "event", "schema", "sealed", "case"]


@dataclass(frozen=True, slots=True)
class Words:
    """A code in words. `layer`: at which level of the event it arises."""

    layer: Layer
    cause: str
    mend: str
    cause_zh: str
    mend_zh: str

    def in_english(self) -> str:
        """Cause and mend, as the answer says them."""
        return f"{self.cause}. {self.mend}."


REFUSALS = (
    "UNKNOWN_PRODUCT",
    "PRODUCT_NOT_OFFERED",
    "PRODUCT_NOT_FOR_APPLICANT",
    "AGE_OUT_OF_RANGE",
    "DUPLICATE_APPLICATION",
    "TOO_MANY_CARDS",
    "COOL_DOWN",
)
"""Return codes with which an application is refused at once."""

_AGAIN = "Send it again under a new event id"
_AGAIN_ZH = "修正后用新的事件编号重新发送"

CODES: Mapping[str, Words] = {
    # what is no CloudEvent at all (shared.events.envelope, lower case)
    "not-a-cloudevent": Words(
        "record",
        "The record has no ce_ headers and is not structured",
        "Set the ce_ headers, or the header content-type application/cloudevents+json",
        "记录既无 ce_ 头，也不是结构化模式",
        "设置 ce_ 头，或设置 content-type 头为 application/cloudevents+json",
    ),
    "wrong-content-type": Words(
        "record",
        "The content is not declared as JSON",
        "Say application/json, or application/cloudevents+json for structured mode",
        "内容类型不是 JSON",
        "使用 application/json；结构化模式使用 application/cloudevents+json",
    ),
    "empty": Words(
        "record",
        "There is no content, or `data` is no object",
        "Send a JSON object",
        "没有内容，或 data 不是对象",
        "发送 JSON 对象",
    ),
    "broken-json": Words(
        "record",
        "The structured event is not one JSON object in UTF-8",
        "Check how it is written",
        "结构化事件不是一个 UTF-8 编码的 JSON 对象",
        "检查序列化",
    ),
    "empty-header": Words(
        "record",
        "A header has no value",
        "Give it one or leave it out",
        "头没有值",
        "填值或去掉该头",
    ),
    "repeated-header": Words(
        "record", "A header stands there twice", "Send it once", "头重复", "只发送一次"
    ),
    "not-utf-8": Words(
        "record", "A header is not UTF-8", "Encode it as UTF-8", "头不是 UTF-8", "以 UTF-8 编码"
    ),
    "wrong-characters": Words(
        "record",
        "An attribute holds control characters or half a character",
        "Send Unicode text",
        "属性含控制字符或不完整的字符",
        "发送 Unicode 文本",
    ),
    "too-long": Words(
        "record",
        "An attribute is longer than 1024 bytes in UTF-8",
        "Shorten it",
        "属性超过 1024 字节（UTF-8）",
        "缩短",
    ),
    "wrong-type": Words(
        "record",
        "An attribute is neither text nor a whole number",
        "Send text",
        "属性不是文本或整数",
        "发送文本",
    ),
    "wrong-specversion": Words(
        "record", "specversion is not 1.0", "Send 1.0", "specversion 不是 1.0", "发送 1.0"
    ),
    "wrong-value": Words(
        "record",
        "An attribute is not what it must be, such as a time without its offset",
        "Times are RFC 3339, e.g. 2026-11-02T01:30:00Z",
        "属性值不合要求，例如时间缺少时区",
        "时间按 RFC 3339，如 2026-11-02T01:30:00Z",
    ),
    # what is an event, but not one that we can take
    "UNREADABLE": Words(
        "event",
        "The content is not a JSON object of Unicode text",
        _AGAIN,
        "内容不是由 Unicode 文本组成的 JSON 对象",
        _AGAIN_ZH,
    ),
    "KEY_UNREADABLE": Words(
        "event",
        "The record's key is not text of at most 1024 bytes in UTF-8",
        "Use your reference as the key",
        "记录的键不是最长 1024 字节的 UTF-8 文本",
        "以贵方参考号作为键",
    ),
    "WRONG_SOURCE": Words(
        "event",
        "The event's source is not this partner's",
        "Send source /partners/<your name>",
        "事件的 source 不属于该合作方",
        "source 填 /partners/<贵方名称>",
    ),
    "UNKNOWN_TYPE": Words(
        "event",
        "This partner may not send events of this type",
        "See the list of types above",
        "该合作方不得发送此类事件",
        "见上文事件类型表",
    ),
    "SAME_ID_OTHER_BODY": Words(
        "event",
        "An event with this id and another content was taken before",
        "Every new event has a new id; only the very same bytes may be repeated",
        "此事件编号已用于另一内容",
        "新事件用新编号；只有完全相同的字节可以重发",
    ),
    "NOT_THE_KEY": Words(
        "event",
        "The record's key and the reference differ",
        "Send the same text as both",
        "记录的键与 reference 不同",
        "两处填写相同文本",
    ),
    "MORE_PROBLEMS": Words(
        "event",
        "There are more problems than these",
        "Correct these first",
        "问题不止这些",
        "先修正这些",
    ),
    "INVALID": Words(
        "event",
        "There are several problems, or one of the schema",
        "Each is listed under `problems`",
        "有多个问题，或不符合数据格式",
        "逐项见 problems",
    ),
    "LEFT_OUT": Words(
        "event",
        "The office decided not to take this event",
        "Ask the office, or say it anew under a new id",
        "本行决定不处理此事件",
        "与本行联系，或用新的事件编号重新发送",
    ),
    # the schema (pydantic's names, lower case)
    "missing": Words("schema", "A field is missing", "Add it", "缺少字段", "补上该字段"),
    "extra_forbidden": Words(
        "schema",
        "The contract knows no such field",
        "Take it out; it may be personal data in clear",
        "协议中没有此字段",
        "去掉；该字段可能是未加密的个人信息",
    ),
    "string_type": Words("schema", "This is no text", "Send text", "不是文本", "发送文本"),
    "string_unicode": Words(
        "schema",
        "This is no Unicode text",
        "Send whole characters",
        "不是 Unicode 文本",
        "发送完整字符",
    ),
    "string_pattern_mismatch": Words(
        "schema",
        "The text has not the form that the schema states",
        "See `pattern` in the schema",
        "文本格式不符",
        "见数据格式中的 pattern",
    ),
    "string_too_short": Words(
        "schema", "The text is too short", "See `minLength`", "文本过短", "见 minLength"
    ),
    "string_too_long": Words(
        "schema", "The text is too long", "See `maxLength`", "文本过长", "见 maxLength"
    ),
    "enum": Words(
        "schema",
        "This is none of the values that are allowed",
        "See `enum` in the schema",
        "不在允许的取值之内",
        "见数据格式中的 enum",
    ),
    "literal_error": Words(
        "schema",
        "This is none of the values that are allowed",
        "See the schema",
        "不在允许的取值之内",
        "见数据格式",
    ),
    "list_type": Words("schema", "This is no list", "Send a list", "不是列表", "发送列表"),
    "too_short": Words(
        "schema", "The list is too short", "See `minItems`", "列表过短", "见 minItems"
    ),
    "too_long": Words(
        "schema",
        "The list is too long",
        "Send more papers in a further event",
        "列表过长",
        "其余资料另发事件",
    ),
    "model_type": Words("schema", "This is no object", "Send an object", "不是对象", "发送对象"),
    "int_type": Words(
        "schema", "This is no whole number", "Send a whole number", "不是整数", "发送整数"
    ),
    "int_from_float": Words(
        "schema", "This is no whole number", "Send fen, not yuan", "不是整数", "以分为单位，不用元"
    ),
    "bool_type": Words(
        "schema",
        "This is neither true nor false",
        "Send true or false",
        "不是布尔值",
        "发送 true 或 false",
    ),
    "bool_parsing": Words(
        "schema",
        "This is neither true nor false",
        "Send true or false",
        "不是布尔值",
        "发送 true 或 false",
    ),
    "greater_than_equal": Words(
        "schema", "The number is too small", "See `minimum`", "数值过小", "见 minimum"
    ),
    "less_than_equal": Words(
        "schema", "The number is too large", "See `maximum`", "数值过大", "见 maximum"
    ),
    "date_from_datetime_inexact": Words(
        "schema",
        "This is a time, not a date",
        "Send YYYY-MM-DD",
        "是时间而非日期",
        "按 YYYY-MM-DD 发送",
    ),
    "datetime_type": Words(
        "schema", "This is no time", "Send RFC 3339", "不是时间", "按 RFC 3339 发送"
    ),
    "date_from_datetime_parsing": Words(
        "schema", "This is no date", "Send YYYY-MM-DD", "不是日期", "按 YYYY-MM-DD 发送"
    ),
    "date_type": Words(
        "schema", "This is no date", "Send YYYY-MM-DD", "不是日期", "按 YYYY-MM-DD 发送"
    ),
    "datetime_from_date_parsing": Words(
        "schema", "This is no time", "Send RFC 3339", "不是时间", "按 RFC 3339 发送"
    ),
    "timezone_aware": Words(
        "schema",
        "The time has no offset from UTC",
        "Send e.g. 2026-11-02T01:30:00Z",
        "时间缺少时区",
        "例如 2026-11-02T01:30:00Z",
    ),
    "value_error": Words(
        "schema",
        "Parts contradict one another",
        "Name each role once and an applicant; an ID card is either long-term or has an end",
        "各部分相互矛盾",
        "每种角色只填一次且须有申请人；身份证要么长期，要么有到期日",
    ),
    # what came encrypted
    "JWE_CLEAR": Words(
        "sealed",
        "This is not a JWE at all",
        "Personal data come encrypted to the office's key, never in clear",
        "不是 JWE",
        "个人信息须以本行公钥加密，不得明文",
    ),
    "JWE_UNKNOWN_KEY": Words(
        "sealed",
        "The key is not one of the office's",
        "Fetch the current ones and use the first",
        "不是本行的密钥",
        "重新获取公钥，用第一把",
    ),
    "JWE_ALGORITHM": Words(
        "sealed",
        "Another algorithm was used",
        "Use ECDH-ES with A256GCM, without compression",
        "算法不符",
        "使用 ECDH-ES 与 A256GCM，不压缩",
    ),
    "JWE_BROKEN": Words(
        "sealed",
        "It cannot be decrypted, or is not what it must be",
        "`personal` is a JSON object, `content` the bytes of a file, `words` text in UTF-8",
        "无法解密，或内容不合要求",
        "personal 为 JSON 对象，content 为文件字节，words 为 UTF-8 文本",
    ),
    "UNKNOWN_ITEM": Words(
        "sealed",
        "There is no such paper on the checklist",
        "See the list of items below",
        "资料清单中没有此项",
        "见下文资料项目表",
    ),
    "ISSUED_IN_FUTURE": Words(
        "sealed",
        "The paper is dated in the future",
        "Send the date that it bears",
        "开具日期在将来",
        "填写资料上的日期",
    ),
    "PAPERS_NOT_LOOKED_AT": Words(
        "sealed",
        "Papers of yours took too long to be opened, and these were not looked at",
        "Send them again under a new event id in ten minutes, and leave out what is no paper",
        "贵方资料解析耗时过长，这些资料未予查看",
        "十分钟后用新的事件编号重新发送，勿附非资料文件",
    ),
    # what the case does not allow
    "KNOWN_REFERENCE": Words(
        "case",
        "An application with this reference was taken before",
        "Every application has a reference of its own",
        "此参考号的申请已受理",
        "每笔申请使用新的参考号",
    ),
    "UNKNOWN_REFERENCE": Words(
        "case",
        "There is no application with this reference",
        "Send papers under a new event id once the application was accepted",
        "没有此参考号的申请",
        "申请受理后，用新的事件编号发送资料",
    ),
    "UNKNOWN_BRANCH": Words(
        "case",
        "There is no such branch, or it is closed",
        "Choose an open branch",
        "没有该网点，或已停业",
        "选择营业中的网点",
    ),
    "UNKNOWN_CARD": Words(
        "case",
        "No card was ordered with this id",
        "The reference is the card_id of the order",
        "没有此编号的制卡订单",
        "reference 填订单中的 card_id",
    ),
    "NOT_POSSIBLE": Words(
        "case",
        "This cannot have happened to the application as it stands",
        "Compare with your own records; the office looks into it, too",
        "以该申请目前的状态，此事不可能发生",
        "核对贵方记录；本行也会核查",
    ),
    "MONTH_NOT_OVER": Words(
        "case",
        "The month is not over yet",
        "Report a month once it has ended",
        "该月份尚未结束",
        "月份结束后再报送",
    ),
    "DAY_IN_FUTURE": Words(
        "case",
        "The day lies in the future",
        "Report what is held at the end of a day that has come",
        "日期在未来",
        "报送已到日期的日终持卡情况",
    ),
    "TIME_IN_FUTURE": Words(
        "case",
        "The time lies in the future",
        "Report a change once it is made, and check your clock",
        "时间在未来",
        "变更生效后再报送，并检查系统时钟",
    ),
    "DAYS_CONTRADICT": Words(
        "case",
        "A day lies before the account's opening, or after the month",
        "Compare the days with your own records",
        "日期早于开户日或晚于所报月份",
        "按贵方记录核对各日期",
    ),
    "STATED_OTHERWISE": Words(
        "case",
        "The same revision was stated before with another content",
        "Send a correction with a higher revision",
        "同一修订号此前报送过不同内容",
        "更正时使用更高的修订号",
    ),
    "CARD_NUMBER": Words(
        "case",
        "A card's mark looks like a card number",
        "Name a card by its card_id or a mark of your own, never by its number",
        "卡片标识疑似卡号",
        "以 card_id 或贵方自有标识指代卡片，切勿使用卡号",
    ),
    "CARD_TWICE": Words(
        "case",
        "A card stands in the list twice",
        "Name each card once",
        "同一张卡重复列出",
        "每张卡只列一次",
    ),
    "CARD_ORDERED": Words(
        "case",
        "The card is ordered already",
        "The customer cancels it once it has arrived",
        "卡片已下单制作",
        "客户收到卡后可销卡",
    ),
    "NOT_OPEN": Words(
        "case",
        "Fields can be corrected while material is wanted, not now",
        "Wait for the status material-wanted",
        "只有在要求补正期间才能更正字段",
        "等待状态 material-wanted",
    ),
    "NOT_APPEALABLE": Words(
        "case",
        "Only a decline, or a limit that was set automatically and not changed since, is objected"
        " to, once by each wish, one at a time",
        "Wait for the status declined or approved, and for the answer to what was asked before;"
        " of a limit that was changed another one is asked for",
        "只能对拒绝结果或系统自动核定且其后未调整的额度提出异议；每种诉求一次，同一时间只受理一件",
        "等待状态 declined 或 approved；此前提出的，等待答复；额度已调整的，可申请调整额度",
    ),
    "NOT_DISPUTABLE": Words(
        "case",
        "Only a credit report that the office asked for is disputed, one dispute at a time",
        "Wait for the status in-review, and for the answer to the dispute before",
        "只能对本行已查询的信用报告提出异议，同一时间只受理一件",
        "等待状态 in-review；此前提出的异议，等待答复",
    ),
    "ALREADY_ENDED": Words(
        "case", "The application has ended", "Begin a new one", "申请已结束", "重新申请"
    ),
    "TOO_MANY_PAPERS": Words(
        "case",
        "As many papers of this kind, or of the application, are there as the office takes",
        "Send no more of them, and ask the office what is still missing",
        "此类材料或该申请的材料份数已达上限",
        "不要再发送，并向办卡中心确认还缺什么",
    ),
    "ERASED": Words(
        "case",
        "The customer's data was erased or restricted",
        "Ask the office",
        "客户信息已删除或限制处理",
        "与本行联系",
    ),
    "CALENDAR_ENDS": Words(
        "case",
        "A term would end after the office's calendar",
        "Send it later, under a new id",
        "期限超出本行工作日历",
        "稍后用新的事件编号发送",
    ),
}

OTHER = Words(
    "schema",
    "This is not what the contract asks for",
    "See the schema of the type",
    "不符合协议",
    "见该事件类型的数据格式",
)
"""For the rarer ones among the schema's."""


def words_of(code: str) -> Words:
    """What a code says, whatever it is."""
    return CODES.get(code, OTHER)
