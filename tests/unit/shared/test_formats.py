"""Check digits and forms, with the vectors that the standards and the office know."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.countries import country_name, is_country
from shared.formats import (
    FormatCode,
    IdKind,
    Severity,
    age_on,
    check_address,
    check_birth_date,
    check_card_number,
    check_chinese_name,
    check_credit_code,
    check_email,
    check_employer,
    check_id_place,
    check_id_term,
    check_latin_name,
    check_mobile,
    check_mrz,
    check_name,
    check_nationality,
    check_office_phone,
    check_passport_number,
    check_passport_term,
    check_postcode,
    check_resident_id,
    credit_code_check_character,
    is_resident_id,
    is_synthetic_resident_id,
    make_synthetic_resident_id,
    mrz_check_digit,
    normalise_mrz,
    normalise_name,
    person_number,
    read_mrz,
    read_resident_id,
    resident_id_check_digit,
)
from shared.identifiers import luhn_check_digit
from shared.parameters import product_of
from shared.places import PROVINCES

TODAY = date(2026, 3, 2)
RULES = product_of("standard").form.fields
BIRTHS = st.dates(date(1920, 1, 1), date(2025, 12, 31))


def codes(findings: list[object]) -> list[str]:
    return [str(getattr(finding, "code", finding)) for finding in findings]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("360426199101010071", []),
        (" 360426199101010071 ", []),
        ("360426199101010072", ["ID_CHECK_DIGIT"]),
        ("", ["EMPTY"]),
        ("36042619910101007", ["ID_FORM"]),
        ("3604261991010100711", ["ID_FORM"]),
        ("３60426199101010071", ["ID_FORM"]),
        ("360426199113010071", ["ID_BIRTH_DATE", "ID_CHECK_DIGIT"]),
        ("990426199101010071", ["ID_PROVINCE", "ID_CHECK_DIGIT"]),
        ("USA110085030412", []),
        (" usa110085030412 ", []),
        ("US1110085030412", ["ID_FORM"]),
        ("USA1100850304123", ["ID_FORM"]),
        ("USA110085133212", ["ID_BIRTH_DATE"]),
        ("USA990085030412", ["ID_PROVINCE"]),
    ],
)
def test_resident_id(number: str, expected: list[str]) -> None:
    assert codes(list(check_resident_id(number, TODAY))) == expected


@given(st.sampled_from(sorted(PROVINCES)), BIRTHS, st.integers(0, 999))
def test_made_up_numbers_pass_and_say_what_they_were_made_from(
    province: str, birth: date, sequence: int
) -> None:
    number = make_synthetic_resident_id(province, birth, sequence)
    assert check_resident_id(number.lower(), TODAY) == []
    assert is_synthetic_resident_id(number)
    read = read_resident_id(number)
    assert (read.province, read.birth_date) == (province, birth)
    assert read.sex == ("male" if sequence % 2 else "female")


@given(BIRTHS, st.integers(0, 999), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_of_an_id_number_is_noticed(
    birth: date, sequence: int, at: int, shift: int
) -> None:
    number = make_synthetic_resident_id("44", birth, sequence)
    wrong = number[:at] + str((int(number[at]) + shift) % 10) + number[at + 1 :]
    assert check_resident_id(wrong, TODAY) != []


def test_a_check_character_x_may_be_small() -> None:
    number = next(
        made
        for made in (make_synthetic_resident_id("11", TODAY, n) for n in range(50))
        if made.endswith("X")
    )
    assert check_resident_id(number.lower(), TODAY) == []


def test_a_birth_date_in_the_future_is_refused() -> None:
    number = make_synthetic_resident_id("11", date(2026, 3, 3), 1)
    assert codes(list(check_resident_id(number, TODAY))) == ["ID_BIRTH_DATE"]


def test_what_is_no_number_cannot_be_read_and_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="not a resident ID number") as refused:
        read_resident_id("360426199113010071")
    assert "3604" not in str(refused.value)


@pytest.mark.parametrize(
    ("birth", "issued", "expires", "expected"),
    [
        (date(2012, 1, 1), date(2025, 6, 1), date(2030, 6, 1), []),
        (date(2000, 1, 1), date(2020, 6, 1), date(2030, 6, 1), []),
        (date(1990, 1, 1), date(2020, 6, 1), date(2040, 6, 1), []),
        (date(1970, 1, 1), date(2020, 6, 1), None, []),
        (date(2000, 6, 1), date(2016, 5, 31), date(2026, 5, 31), ["ID_TERM"]),  # 15: 5 years
        (date(2000, 6, 1), date(2016, 6, 1), date(2026, 6, 1), []),  # 16: 10 years
        (date(1994, 6, 1), date(2020, 6, 1), date(2030, 6, 1), ["ID_TERM"]),  # 26: 20 years
        (date(1974, 6, 2), date(2020, 6, 1), date(2040, 6, 1), []),  # 45: 20 years
        (date(1974, 6, 1), date(2020, 6, 1), date(2040, 6, 1), ["ID_TERM"]),  # 46: without end
        (date(1990, 1, 1), date(2020, 6, 1), None, ["ID_TERM"]),
        (date(1990, 1, 1), date(2004, 3, 1), date(2009, 3, 1), ["ID_EXPIRED"]),
        (date(2000, 1, 1), date(2016, 3, 2), date(2026, 3, 2), []),  # in force on its last day
        (date(2000, 1, 1), date(2016, 3, 1), date(2026, 3, 1), ["ID_EXPIRED"]),
        (date(2000, 1, 1), date(2020, 2, 29), date(2030, 2, 28), []),
        (date(1990, 1, 1), date(2026, 3, 3), date(2046, 3, 3), ["ID_NOT_YET_VALID"]),
    ],
)
def test_the_term_of_an_id_card_fits_the_age_at_issue(
    birth: date, issued: date, expires: date | None, expected: list[str]
) -> None:
    assert codes(list(check_id_term(birth, issued, expires, TODAY, tolerance_days=1))) == expected


def test_age_turns_on_the_birthday() -> None:
    assert age_on(date(2008, 3, 2), TODAY) == 18
    assert age_on(date(2008, 3, 3), TODAY) == 17
    assert age_on(date(2008, 2, 29), date(2026, 2, 28)) == 17
    assert age_on(date(2008, 2, 29), date(2026, 3, 1)) == 18


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("91350100M000100Y43", []),
        ("91350100m000100y43", []),
        ("914403001922038216", []),
        ("914403001922038217", ["CREDIT_CODE_CHECK_DIGIT"]),
        ("91350100M000100I43", ["CREDIT_CODE_FORM"]),  # I, O, S, V, Z do not occur
        ("9135", ["CREDIT_CODE_FORM"]),
        ("", ["EMPTY"]),
    ],
)
def test_credit_code(code: str, expected: list[str]) -> None:
    assert codes(list(check_credit_code(code))) == expected


@given(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17))
def test_every_credit_code_has_a_check_character(first17: str) -> None:
    # also where the sum is a multiple of 31, which a missing outer remainder gets wrong
    assert check_credit_code(first17 + credit_code_check_character(first17)) == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("13800001234", []),
        ("19900001234", []),
        ("17000001234", ["MOBILE_VIRTUAL_OPERATOR"]),
        ("12800001234", ["MOBILE_FORM"]),
        ("1380000123", ["MOBILE_FORM"]),
        ("13800001234\n", ["MOBILE_FORM"]),
        ("", ["EMPTY"]),
    ],
)
def test_mobile(number: str, expected: list[str]) -> None:
    findings = check_mobile(number, RULES)
    assert codes(list(findings)) == expected
    if expected == ["MOBILE_VIRTUAL_OPERATOR"]:
        assert findings[0].severity is Severity.WARNING


@given(st.text("0123456789", min_size=13, max_size=13))
def test_card_numbers_pass_with_their_check_digit_only(body: str) -> None:
    number = "62" + body + luhn_check_digit("62" + body)
    assert check_card_number(number) == []
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert codes(list(check_card_number(wrong))) == ["CARD_CHECK_DIGIT"]


def test_card_number_forms() -> None:
    assert codes(list(check_card_number("62"))) == ["CARD_FORM"]
    assert codes(list(check_card_number("4111111111111111"))) == ["CARD_NOT_UNIONPAY"]


@pytest.mark.parametrize(
    ("postcode", "expected"),
    [
        ("100000", []),
        ("222222", []),
        ("111111", ["POSTCODE_REPEATED"]),
        ("10000", ["POSTCODE_FORM"]),
    ],
)
def test_postcode(postcode: str, expected: list[str]) -> None:
    assert codes(list(check_postcode(postcode, RULES))) == expected


@pytest.mark.parametrize(
    ("employer", "expected"),
    [
        ("示例科技有限公司", []),
        ("示例", []),
        ("示", ["EMPLOYER_TOO_SHORT"]),
        (" 示例科技", ["EMPLOYER_EDGE_SPACE"]),
        ("自由职业", ["EMPLOYER_PLACEHOLDER"]),
        ("无工作 ", ["EMPLOYER_EDGE_SPACE", "EMPLOYER_PLACEHOLDER"]),
        ("  ", ["EMPTY"]),
    ],
)
def test_employer(employer: str, expected: list[str]) -> None:
    assert codes(list(check_employer(employer, RULES))) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("一二三四五六", []),
        ("一二三四五", ["ADDRESS_LENGTH"]),
        ("路" * 80, []),
        ("路" * 81, ["ADDRESS_LENGTH"]),
    ],
)
def test_address(address: str, expected: list[str]) -> None:
    assert codes(list(check_address(address, RULES))) == expected


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("010-88886666", []),
        ("07551234567", []),
        ("13900005678", []),
        ("13800001234", ["OFFICE_PHONE_IS_MOBILE"]),
        ("88886666", ["OFFICE_PHONE_FORM"]),
        ("010-888866", ["OFFICE_PHONE_FORM"]),
    ],
)
def test_office_phone(phone: str, expected: list[str]) -> None:
    assert codes(list(check_office_phone(phone, "13800001234", RULES))) == expected


@pytest.mark.parametrize(
    "name",
    [
        "张三",
        "李一",  # a given name of one character
        "欧阳娜娜",
        "买买提·艾力",
        "买买提•艾力",  # the dots that keyboards give
        "买买提・艾力",
        "阿依古丽‧买买提‧艾力",
        "𠮷野",  # beyond the basic plane
        "王\U00030edd",  # extension G
        "李〇",
        "金\uf9b4",  # a compatibility form
        "㛃㛃",  # extension A
        "Ann O'Neil-Lee",
        "Zoë O’Connor",
        "Nguyễn Thị Ánh",
        "Martin Luther King, Jr.",
        "路" * 30,
        "A" * 50,
    ],
)
def test_people_are_called_so(name: str) -> None:
    assert check_name(name) == []


@pytest.mark.parametrize(
    "name",
    [
        "张",
        "·张三",
        "张三·",
        "张··三",
        "张三1",
        "张三\n",
        "张 三",
        "?",
        "路" * 31,
        "A" * 51,
        "A",
        "O''Neil",
        "😀😀",
    ],
)
def test_nobody_is_called_so(name: str) -> None:
    assert codes(list(check_name(name))) == ["NAME_FORM"]


def test_a_private_character_is_worth_a_look() -> None:
    for private in ("张\ue863", "张\U000f0001"):
        [found] = check_name(private)
        assert (found.code, found.severity) == (FormatCode.NAME_PRIVATE_CHARACTER, Severity.WARNING)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("买买提·艾力", "买买提•艾力", True),
        ("买买提·艾力", "买买提．艾力", True),
        ("买买提·艾力", "买买提艾力", False),
        ("张 三", "张三", True),
        ("Ａｎｎ  Lee", "ANN LEE", True),
        ("Ann Lee", "AnnLee", False),
        ("Zoe\u0308 O’Neil", "ZOË O'NEIL", True),
        ("Zoë", "Zoe", False),
        ("𠮷野", "吉野", False),
        ("金\uf9b4", "金領", True),  # one character, by another code
        ("张\ue863", "张䶮", False),  # nobody knows what a private code means elsewhere
    ],
)
def test_names_are_compared_without_what_says_nothing(one: str, other: str, same: bool) -> None:
    assert (normalise_name(one) == normalise_name(other)) is same


def test_email() -> None:
    assert check_email("li.si@example.cn") == []
    assert codes(list(check_email("li.si@example"))) == ["EMAIL_FORM"]


def numbered(region: str, birth: date = date(1985, 3, 4)) -> str:
    body = f"{region}{birth:%Y%m%d}123"
    return body + resident_id_check_digit(body)


@pytest.mark.parametrize(
    ("number", "kind", "province", "expected"),
    [
        (numbered("110101"), "resident", "11", []),
        (numbered("119999"), "resident", "11", []),  # made up
        (numbered("441900"), "resident", "44", []),  # a prefecture without counties
        (numbered("710000"), "resident", "71", []),
        (numbered("110103"), "resident", "11", ["ID_PLACE_RETIRED"]),
        (numbered("110199"), "resident", "11", ["ID_PLACE_UNKNOWN"]),
        (numbered("810000"), "permit", "81", ["ID_RESIDENCE_PERMIT"]),
        (numbered("830000"), "permit", "83", ["ID_RESIDENCE_PERMIT"]),
        ("911124198108030024", "foreign", "11", ["ID_RESIDENCE_PERMIT"]),
        ("USA110085030412", "foreign", "11", ["ID_RESIDENCE_PERMIT"]),
        (numbered("990101"), "foreign", "90", ["ID_PROVINCE", "ID_RESIDENCE_PERMIT"]),
        (numbered("880101"), "resident", "88", ["ID_PROVINCE"]),
    ],
)
def test_where_a_number_is_from_refuses_nobody(
    number: str, kind: str, province: str, expected: list[str]
) -> None:
    read = read_resident_id(number)
    assert (read.kind, read.province) == (kind, province)
    found = [*check_resident_id(number, TODAY), *check_id_place(read, "always")]
    assert codes(list(found)) == expected
    assert all(one.severity is Severity.WARNING for one in found)
    assert is_resident_id(number, TODAY)


@pytest.mark.parametrize(("year", "expected"), [(2010, []), (2011, ["ID_PLACE_RETIRED"])])
def test_a_place_given_up_before_the_birth_is_worth_a_look_at_least(
    year: int, expected: list[str]
) -> None:
    read = read_resident_id(numbered("110103", date(year, 3, 4)))  # 崇文区, until 2010
    assert codes(list(check_id_place(read, "born_later"))) == expected
    assert codes(list(check_id_place(read, "always"))) == ["ID_PLACE_RETIRED"]


@pytest.mark.parametrize(
    ("kind", "born", "years", "fits"),
    [
        ("permit", 1985, 5, True),
        ("permit", 1985, 20, False),
        ("permit", 2015, 5, True),
        ("foreign", 1985, 10, True),
        ("foreign", 1985, 5, True),
        ("foreign", 1985, 20, False),
        ("foreign", 2015, 5, True),
        ("foreign", 2015, 10, False),
        ("resident", 1985, 5, False),
    ],
)
def test_each_kind_of_card_has_its_own_terms(
    kind: IdKind, born: int, years: int, fits: bool
) -> None:
    issued, end = date(2024, 5, 6), date(2024 + years, 5, 6)
    found = check_id_term(date(born, 1, 2), issued, end, TODAY, tolerance_days=1, kind=kind)
    assert codes(list(found)) == ([] if fits else ["ID_TERM"])


@pytest.mark.parametrize(
    ("years", "born"), [("85", 1985), ("00", 2000), ("23", 2023), ("24", 1924)]
)
def test_a_card_of_15_characters_tells_the_birth_by_two_digits_of_the_year(
    years: str, born: int
) -> None:
    read = read_resident_id(f"USA1100{years}030412")
    assert (read.birth_date, read.sex) == (date(born, 3, 4), None)


PASSPORT = product_of("standard").identity.passport
# the specimen of ICAO Doc 9303-4, but for the country, which is none
SPECIMEN = "L898902C36UTO7408122F1204159ZE184226B<<<<<10"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("C01X00T47", []),
        (" c01x00t47 ", []),
        ("123456789", []),  # United Kingdom, United States
        ("A1234", []),
        ("A123", ["PASSPORT_NUMBER"]),
        ("A12345678901", []),
        ("A123456789012", ["PASSPORT_NUMBER"]),
        ("ABCDEFGHI", ["PASSPORT_NUMBER"]),  # a name, or the heading
        ("E 1234567", ["PASSPORT_NUMBER"]),
        ("Ｅ1234567", ["PASSPORT_NUMBER"]),
        ("", ["EMPTY"]),
    ],
)
def test_a_passports_number_is_letters_and_digits(number: str, expected: list[str]) -> None:
    assert PASSPORT is not None
    assert codes(list(check_passport_number(number, PASSPORT))) == expected


@pytest.mark.parametrize(
    ("issued", "expires", "expected"),
    [
        (date(2020, 5, 1), date(2030, 4, 30), []),
        (date(2020, 5, 1), date(2030, 5, 1), []),
        (date(2020, 5, 1), date(2030, 5, 2), []),  # the tolerance of a day
        (date(2020, 5, 1), date(2030, 5, 3), ["ID_TERM"]),
        (date(2024, 2, 29), date(2034, 3, 2), []),
        (date(2020, 5, 1), None, ["ID_TERM"]),
        (date(2020, 5, 1), date(2020, 5, 1), ["ID_TERM"]),
        (TODAY, date(2036, 3, 2), []),
        (date(2026, 3, 3), date(2036, 3, 2), ["ID_NOT_YET_VALID"]),
        (date(2016, 5, 1), date(2026, 3, 1), ["ID_EXPIRED"]),
        (date(2016, 5, 1), TODAY, ["PASSPORT_ENDS_SOON"]),
        (date(2020, 5, 1), date(2026, 8, 28), ["PASSPORT_ENDS_SOON"]),  # in 179 days
        (date(2020, 5, 1), date(2026, 8, 29), []),
        (date(9995, 1, 1), date(9999, 12, 31), ["ID_NOT_YET_VALID"]),
    ],
)
def test_a_passport_is_in_force_and_ends(
    issued: date, expires: date | None, expected: list[str]
) -> None:
    assert PASSPORT is not None
    found = check_passport_term(issued, expires, TODAY, PASSPORT, tolerance_days=1)
    assert codes(list(found)) == expected


def test_the_machine_readable_line_of_the_standards_specimen() -> None:
    assert check_mrz(SPECIMEN) == []
    said = read_mrz(f" {SPECIMEN[:20].lower()} {SPECIMEN[20:]}\n")
    assert (said.number, said.nationality, said.sex) == ("L898902C3", "UTO", "female")
    assert (said.birth_date(TODAY), said.expiry_date()) == (date(1974, 8, 12), date(2012, 4, 15))
    upper = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<"
    assert normalise_mrz(f"{upper}\r\n{SPECIMEN}") == SPECIMEN
    with pytest.raises(ValueError, match="not the lower line") as refused:
        read_mrz("L898902C3")
    assert "L898902C3" not in str(refused.value)


@given(st.integers(0, 43), st.integers(1, 9))
def test_one_wrong_digit_of_the_line_is_noticed(at: int, shift: int) -> None:
    if SPECIMEN[at].isdigit():
        digit = str((int(SPECIMEN[at]) + shift) % 10)
        assert check_mrz(SPECIMEN[:at] + digit + SPECIMEN[at + 1 :]) != []


def line(
    number: str = "C01X00T47", country: str = "D<<", born: str = "900520", more: str = ""
) -> str:
    """A line with right check digits; without anything optional its digit is left out."""
    optional = more.ljust(14, "<")
    first = f"{number:<<9}{mrz_check_digit(f'{number:<<9}')}"
    second = f"{born}{mrz_check_digit(born)}"
    third = (
        f"300228{mrz_check_digit('300228')}{optional}{mrz_check_digit(optional) if more else '<'}"
    )
    return f"{first}{country}{second}F{third}{mrz_check_digit(first + second + third)}"


@pytest.mark.parametrize(
    ("text", "country", "born"),
    [
        (line(), "DEU", date(1990, 5, 20)),  # Germany's code is one letter there
        (line(born="260302"), "DEU", TODAY),
        (line(born="260303"), "DEU", date(1926, 3, 3)),  # nobody is born tomorrow
        (line(born="90<<<<"), "DEU", None),
        (line(number="123456", country="GBR", more="1"), "GBR", date(1990, 5, 20)),
    ],
)
def test_the_line_says_what_the_form_asks(text: str, country: str, born: date | None) -> None:
    assert check_mrz(text) == []
    assert (read_mrz(text).nationality, read_mrz(text).birth_date(TODAY)) == (country, born)


@pytest.mark.parametrize("text", [SPECIMEN[1:], f"{SPECIMEN}<", SPECIMEN.replace("F", "?")])
def test_what_is_no_line(text: str) -> None:
    assert codes(list(check_mrz(text))) == ["MRZ_FORM"]


def test_a_passports_number_is_one_persons_only_with_its_country() -> None:
    passport = {"id_type": "passport", "id_number": " 123456789", "nationality": "gbr"}
    assert person_number(passport) == "GBR 123456789"
    assert person_number({**passport, "nationality": "USA"}) == "USA 123456789"
    assert person_number({**passport, "nationality": "英国"}) is None
    assert person_number({"id_number": "11010519491231002x"}) == "11010519491231002X"
    assert person_number({"id_number": " ", "id_type": "id_card"}) is None
    # an old residence card's 15 characters are never a passport's
    assert person_number({**passport, "id_number": "110085030412"}) != "GBR110085030412"


def test_countries_are_named_by_three_letters() -> None:
    assert all(map(is_country, ("JPN", " jpn ", "GBN", "XXA", "RKS")))
    assert not any(map(is_country, ("JP", "UTO", "D", "日本", "", "ZZZ", "ANT")))
    assert (country_name("jpn", "zh"), country_name("JPN", "en")) == ("日本", "Japan")
    assert (country_name("GBN", "en"), country_name("XXA", "zh")) == ("United Kingdom", "XXA")
    assert codes(list(check_nationality(" "))) == ["EMPTY"]
    assert codes(list(check_nationality("DE"))) == ["NATIONALITY_FORM"]
    assert check_nationality("DEU") == []


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        (date(1899, 12, 31), ["BIRTH_DATE"]),
        (date(1900, 1, 1), []),
        (TODAY, []),
        (date(2026, 3, 3), ["BIRTH_DATE"]),
    ],
)
def test_a_birth_date_is_of_somebody_who_lives(born: date, expected: list[str]) -> None:
    assert codes(list(check_birth_date(born, TODAY))) == expected


def test_a_passport_has_a_latin_name_and_maybe_a_chinese_one() -> None:
    assert check_latin_name("Nguyễn Thị Minh Khai") == check_chinese_name("山田·太郎") == []
    assert codes(list(check_latin_name("山田太郎"))) == ["NAME_NOT_LATIN"]
    assert codes(list(check_chinese_name("Yamada"))) == ["NAME_NOT_CHINESE"]
    assert codes(list(check_latin_name("?"))) == codes(list(check_chinese_name("?")))


def test_no_finding_repeats_the_value() -> None:
    assert set(FormatCode) >= {finding.code for finding in check_resident_id("x", TODAY)}
    assert "360426" not in repr(check_resident_id("360426199101010072", TODAY))
