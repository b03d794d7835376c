"""The rules of the pre-check by name: what each looks at, why there is one, and what it does.

The rules themselves are small functions (`rules.py`, `shared/formats.py`, `store.Standing`); here
stands what a person has to know of them. `make docs` writes the tables in docs/rules.md from it,
and the tests hold it against what the functions find.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["block", "return", "warn"]
"""block: the office cannot take the application, and no paper mends it. return: the customer has to
bring or mend something. warn: a person has to look, and nothing stops."""

Grade = Literal["A", "B", "C", "u"]
"""How well the reason is known: A statute or standard, B the vendor's or the press, C a secondary
source, u the office's practice."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. looks_at: fields of the form, `papers`, `consent`, `persons` of the form, `other
    applications`, or `product`; parameter: file and path of what a bank may set about it."""

    code: str
    severity: Severity
    looks_at: tuple[str, ...]
    citation: str
    grade: Grade
    parameter: str | None = None
    by: Literal["rules", "people"] = "rules"

    @property
    def key(self) -> tuple[str, Severity]:
        return self.code, self.severity


POLICY = "bank's policy"
_CARD_RULES = "商业银行信用卡业务监督管理办法 2011"
_JOINT = "银保监规〔2022〕13号"
_ID_LAW = "居民身份证法"
_ID_STANDARD = "GB 11643"
_PLACES = "GB/T 2260"
_BUREAU = "征信业管理条例"
_CIVIL_CODE = "民法典"
_LAUNDERING = "反洗钱法 2024"
_CREDIT_CODE = "GB 32100"
_PERMIT = "港澳台居民居住证申领发放办法"
_RESIDENCE = "外国人在中国永久居留审批管理办法"
_PASSPORT = "ICAO Doc 9303"
_COUNTRY = "ISO 3166-1"
_ID_CARD = ("id_issued", "id_expires", "id_number")
_OTHERS = ("other applications",)

RULES: tuple[Rule, ...] = (
    # who may apply
    Rule("UNKNOWN_PRODUCT", "block", ("product",), POLICY, "u", "product: product"),
    Rule("PRODUCT_NOT_OFFERED", "block", ("product",), POLICY, "u", "product: valid_from"),
    Rule(
        "PRODUCT_NOT_FOR_APPLICANT",
        "block",
        ("product",),
        f"{_CARD_RULES} Art. 42; {POLICY}",
        "C",
        "product: applicants",
    ),
    Rule(
        "AGE_OUT_OF_RANGE",
        "block",
        ("id_number",),
        f"{_CARD_RULES}; {POLICY}",
        "C",
        "product: applicants",
    ),
    Rule("DUPLICATE_APPLICATION", "block", _OTHERS, POLICY, "u"),
    Rule("TOO_MANY_CARDS", "block", _OTHERS, _JOINT, "C", "product: cards_per_customer"),
    Rule("COOL_DOWN", "block", _OTHERS, POLICY, "C", "product: cool_down"),
    # fields of the form
    Rule(
        "EMPTY",
        "return",
        ("every needed field",),
        f"{_CARD_RULES} Art. 37",
        "C",
        "product: form.needed",
    ),
    Rule("NAME_FORM", "return", ("name",), f"{_LAUNDERING} Art. 28", "u"),
    Rule("NAME_PRIVATE_CHARACTER", "warn", ("name",), "GB 18030", "u"),
    Rule("ID_FORM", "return", ("id_number",), _ID_STANDARD, "A"),
    Rule("ID_BIRTH_DATE", "return", ("id_number",), _ID_STANDARD, "A"),
    Rule("ID_CHECK_DIGIT", "return", ("id_number",), _ID_STANDARD, "A"),
    Rule("ID_PROVINCE", "warn", ("id_number",), _PLACES, "A"),
    Rule("ID_PLACE_UNKNOWN", "warn", ("id_number",), _PLACES, "A"),
    Rule("ID_PLACE_RETIRED", "warn", ("id_number",), _PLACES, "u", "attention: retired_place"),
    Rule("ID_RESIDENCE_PERMIT", "warn", ("id_number",), f"{_LAUNDERING} Art. 29; {_PERMIT}", "A"),
    Rule("ID_PASSPORT", "warn", ("id_type",), f"{_LAUNDERING} Art. 29", "A"),
    Rule("PASSPORT_NOT_TAKEN", "return", ("id_type",), POLICY, "u", "product: identity.passport"),
    Rule(
        "PASSPORT_NUMBER",
        "return",
        ("id_number",),
        f"{_PASSPORT}-4; {POLICY}",
        "u",
        "product: identity.passport",
    ),
    Rule(
        "PASSPORT_ENDS_SOON",
        "warn",
        ("id_expires",),
        POLICY,
        "u",
        "product: identity.passport",
    ),
    Rule("MRZ_FORM", "return", ("mrz",), f"{_PASSPORT}-4", "A"),
    Rule("MRZ_CHECK_DIGIT", "return", ("mrz",), f"{_PASSPORT}-3", "A"),
    Rule(
        "MRZ_MISMATCH",
        "return",
        ("mrz", "id_number", "nationality", "birth_date", "id_expires"),
        f"{_LAUNDERING} Art. 28",
        "A",
    ),
    Rule("BIRTH_DATE", "return", ("birth_date",), f"{_LAUNDERING} Art. 28", "A"),
    Rule(
        "BIRTH_DATE_MISMATCH",
        "return",
        ("birth_date", "id_number", "papers"),
        f"{_LAUNDERING} Art. 28",
        "A",
    ),
    Rule("NATIONALITY_FORM", "return", ("nationality",), f"{_COUNTRY}; {_PASSPORT}-3", "A"),
    Rule("NAME_NOT_LATIN", "return", ("name",), f"{_PASSPORT}-3", "A"),
    Rule("NAME_NOT_CHINESE", "return", ("chinese_name",), POLICY, "u"),
    Rule("ID_EXPIRED", "return", _ID_CARD, f"{_ID_LAW}; {_LAUNDERING} Art. 28", "A"),
    Rule("ID_NOT_YET_VALID", "return", _ID_CARD, _ID_LAW, "A"),
    Rule(
        "ID_TERM",
        "return",
        _ID_CARD,
        f"{_ID_LAW} Art. 5; {_PERMIT}; {_RESIDENCE}",
        "A",
        "product: identity.term_tolerance_days",
    ),
    Rule("MOBILE_FORM", "return", ("mobile",), f"{_CARD_RULES} Art. 37", "C"),
    Rule(
        "MOBILE_VIRTUAL_OPERATOR",
        "warn",
        ("mobile",),
        POLICY,
        "C",
        "product: form.fields.virtual_operators",
    ),
    Rule("EMAIL_FORM", "return", ("email",), "RFC 5321", "A"),
    Rule(
        "ADDRESS_LENGTH",
        "return",
        ("home_address", "work_address"),
        POLICY,
        "C",
        "product: form.fields.address",
    ),
    Rule(
        "EMPLOYER_TOO_SHORT",
        "return",
        ("employer",),
        POLICY,
        "C",
        "product: form.fields.employer_shortest",
    ),
    Rule("EMPLOYER_EDGE_SPACE", "return", ("employer",), POLICY, "C"),
    Rule(
        "EMPLOYER_PLACEHOLDER",
        "return",
        ("employer",),
        POLICY,
        "C",
        "product: form.fields.employer_placeholders",
    ),
    Rule(
        "OFFICE_PHONE_FORM",
        "return",
        ("office_phone",),
        POLICY,
        "C",
        "product: form.fields.landline_digits",
    ),
    Rule("OFFICE_PHONE_IS_MOBILE", "return", ("office_phone", "mobile"), POLICY, "C"),
    Rule("POSTCODE_FORM", "return", ("postcode",), POLICY, "C"),
    Rule(
        "POSTCODE_REPEATED",
        "return",
        ("postcode",),
        POLICY,
        "C",
        "product: form.fields.repeated_postcodes",
    ),
    Rule("CREDIT_CODE_FORM", "return", ("credit_code",), _CREDIT_CODE, "A"),
    Rule("CREDIT_CODE_CHECK_DIGIT", "return", ("credit_code",), _CREDIT_CODE, "A"),
    Rule("CARD_FORM", "return", ("main_card_number",), "ISO/IEC 7812", "A"),
    Rule("CARD_CHECK_DIGIT", "return", ("main_card_number",), "ISO/IEC 7812", "A"),
    Rule("CARD_NOT_UNIONPAY", "warn", ("main_card_number",), POLICY, "C"),
    # consent and persons
    Rule("NO_CREDIT_AUTH", "return", ("consent",), f"{_BUREAU} Art. 18, 19", "A"),
    Rule("HOLDER_MISSING", "return", ("persons",), f"{_CARD_RULES} Art. 38", "C"),
    Rule(
        "GUARDIAN_MISSING",
        "return",
        ("persons",),
        f"{_CIVIL_CODE} Art. 19, 27",
        "A",
        "product: identity.minor_under",
    ),
    Rule(
        "GUARDIAN_UNDER_AGE",
        "return",
        ("persons",),
        f"{_CIVIL_CODE} Art. 17, 18, 27",
        "A",
        "product: identity.minor_under",
    ),
    Rule("HOLDER_IS_APPLICANT", "warn", ("persons",), f"{_CARD_RULES} Art. 38", "C"),
    Rule("CONTACT_IS_APPLICANT", "warn", ("persons",), f"{_CARD_RULES} Art. 37", "C"),
    Rule(
        "NATIONALITY_MISMATCH",
        "warn",
        ("nationality", "id_number"),
        f"{_LAUNDERING} Art. 29",
        "A",
        "attention: chinese_nationality",
    ),
    # papers
    Rule(
        "DOC_MISSING",
        "return",
        ("papers",),
        f"{_CARD_RULES} Art. 38, 42",
        "C",
        "product: materials",
    ),
    Rule("DOC_STALE", "return", ("papers",), POLICY, "C", "product: validity.longest_days"),
    Rule("DOC_STALE", "warn", ("papers",), POLICY, "C", "product: validity.warn_days"),
    Rule("DOC_UNDATED", "return", ("papers",), POLICY, "u", "product: validity.longest_days"),
    Rule("NAME_MISMATCH", "return", ("name", "papers"), f"{_LAUNDERING} Art. 28", "A"),
    Rule("ID_NUMBER_MISMATCH", "return", ("id_number", "papers"), f"{_LAUNDERING} Art. 28", "A"),
    Rule(
        "ID_DATES_MISMATCH",
        "return",
        ("id_issued", "id_expires", "papers"),
        f"{_LAUNDERING} Art. 29",
        "A",
    ),
    Rule(
        "NATIONALITY_MISMATCH",
        "return",
        ("nationality", "papers"),
        f"{_LAUNDERING} Art. 28",
        "A",
    ),
    Rule("EMPLOYER_MISMATCH", "return", ("employer", "papers"), f"{_CARD_RULES} Art. 42", "C"),
    Rule(
        "CREDIT_CODE_MISMATCH", "return", ("credit_code", "papers"), f"{_CARD_RULES} Art. 42", "C"
    ),
    Rule("DOC_EXPIRED", "return", ("papers",), POLICY, "u"),
    Rule("DOC_SHORT", "return", ("papers",), POLICY, "C", "product: validity.shortest_months"),
    Rule("DOC_SHORT", "warn", ("papers",), POLICY, "C", "attention: short_months"),
    Rule("BUSINESS_YOUNG", "warn", ("papers",), POLICY, "C", "attention: young_business_days"),
    Rule(
        "ADDR_MISMATCH",
        "warn",
        ("home_address", "work_address", "papers"),
        f"{_CARD_RULES} Art. 42",
        "C",
    ),
    Rule("NAME_MISMATCH", "warn", ("name", "papers"), POLICY, "C", "checklist_items: spouses"),
    Rule(
        "ID_NUMBER_MISMATCH",
        "warn",
        ("id_number", "papers"),
        POLICY,
        "C",
        "checklist_items: spouses",
    ),
    Rule(
        "BIRTH_DATE_MISMATCH",
        "warn",
        ("birth_date", "papers"),
        POLICY,
        "C",
        "checklist_items: spouses",
    ),
    # patterns
    Rule("MOBILE_SHARED", "warn", ("mobile", *_OTHERS), POLICY, "u", "attention: shared_mobile"),
    Rule("DEVICE_SHARED", "warn", ("device", *_OTHERS), POLICY, "u", "attention: shared_device"),
    Rule("MANY_BRANCHES", "warn", _OTHERS, POLICY, "u", "attention: branches"),
    # what only eyes can tell
    Rule("PHOTO_UNCLEAR", "return", ("papers",), POLICY, "C", by="people"),
    Rule("DOC_UNREADABLE", "return", ("papers",), POLICY, "C", by="people"),
    Rule("TEMP_ID", "return", ("papers",), POLICY, "C", by="people"),
    Rule("ADDR_MISMATCH", "return", ("papers",), f"{_CARD_RULES} Art. 42", "C", by="people"),
    Rule("UNSIGNED", "return", ("papers",), f"{_CARD_RULES} Art. 42", "C", by="people"),
    Rule("NO_STAMP", "return", ("papers",), POLICY, "C", by="people"),
)

BY_KEY = {rule.key: rule for rule in RULES}
"""{(code, severity): rule}."""


def applied_by(by: Literal["rules", "people"]) -> Iterable[Rule]:
    """The rules that the program applies, or that people do."""
    return (rule for rule in RULES if rule.by == by)
