"""Whether a value that a customer gave can be what it claims: numbers with check digits, addresses.

Every check is pure and returns findings; what a finding leads to (return code, question, decline)
is decided by the service that asked. No finding carries the value itself. What no standard says but
a bank (`FieldRules`, `tolerance_days`) is a parameter of the product.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from shared.countries import is_country, normalise_country
from shared.identifiers import luhn_check_digit
from shared.places import PROVINCES, SYNTHETIC_COUNTY, is_place, retired_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.parameters.models import FieldRules, PassportRules

Sex = Literal["female", "male"]
RetiredPlaces = Literal["always", "born_later"]


class Severity(StrEnum):
    """An error makes the value unusable; a warning asks a person to look."""

    ERROR = "error"
    WARNING = "warning"


class FormatCode(StrEnum):
    """What is wrong with a value, for machines; words for people are in the parameters."""

    EMPTY = "EMPTY"
    ID_FORM = "ID_FORM"
    ID_PROVINCE = "ID_PROVINCE"
    ID_BIRTH_DATE = "ID_BIRTH_DATE"
    ID_PLACE_UNKNOWN = "ID_PLACE_UNKNOWN"
    ID_PLACE_RETIRED = "ID_PLACE_RETIRED"
    ID_RESIDENCE_PERMIT = "ID_RESIDENCE_PERMIT"
    ID_CHECK_DIGIT = "ID_CHECK_DIGIT"
    ID_EXPIRED = "ID_EXPIRED"
    ID_NOT_YET_VALID = "ID_NOT_YET_VALID"
    ID_TERM = "ID_TERM"
    ID_PASSPORT = "ID_PASSPORT"
    PASSPORT_NOT_TAKEN = "PASSPORT_NOT_TAKEN"
    PASSPORT_NUMBER = "PASSPORT_NUMBER"
    PASSPORT_ENDS_SOON = "PASSPORT_ENDS_SOON"
    MRZ_FORM = "MRZ_FORM"
    MRZ_CHECK_DIGIT = "MRZ_CHECK_DIGIT"
    MRZ_MISMATCH = "MRZ_MISMATCH"
    BIRTH_DATE = "BIRTH_DATE"
    BIRTH_DATE_MISMATCH = "BIRTH_DATE_MISMATCH"
    NATIONALITY_FORM = "NATIONALITY_FORM"
    CREDIT_CODE_FORM = "CREDIT_CODE_FORM"
    CREDIT_CODE_CHECK_DIGIT = "CREDIT_CODE_CHECK_DIGIT"
    MOBILE_FORM = "MOBILE_FORM"
    MOBILE_VIRTUAL_OPERATOR = "MOBILE_VIRTUAL_OPERATOR"
    CARD_FORM = "CARD_FORM"
    CARD_CHECK_DIGIT = "CARD_CHECK_DIGIT"
    CARD_NOT_UNIONPAY = "CARD_NOT_UNIONPAY"
    POSTCODE_FORM = "POSTCODE_FORM"
    POSTCODE_REPEATED = "POSTCODE_REPEATED"
    EMPLOYER_TOO_SHORT = "EMPLOYER_TOO_SHORT"
    EMPLOYER_EDGE_SPACE = "EMPLOYER_EDGE_SPACE"
    EMPLOYER_PLACEHOLDER = "EMPLOYER_PLACEHOLDER"
    ADDRESS_LENGTH = "ADDRESS_LENGTH"
    OFFICE_PHONE_FORM = "OFFICE_PHONE_FORM"
    OFFICE_PHONE_IS_MOBILE = "OFFICE_PHONE_IS_MOBILE"
    EMAIL_FORM = "EMAIL_FORM"
    NAME_FORM = "NAME_FORM"
    NAME_NOT_LATIN = "NAME_NOT_LATIN"
    NAME_NOT_CHINESE = "NAME_NOT_CHINESE"
    NAME_PRIVATE_CHARACTER = "NAME_PRIVATE_CHARACTER"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a value."""

    code: FormatCode
    severity: Severity = Severity.ERROR


_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643
_ID_CHECK = "10X98765432"
_ID_FORM = re.compile(r"[0-9]{17}[0-9X]")
# A foreigner's permanent residence card as issued until 2023: country, where it was issued, birth.
_OLD_CARD_FORM = re.compile(r"[A-Z]{3}[0-9]{12}")
_LAST_OLD_CARD = 2023  # whoever bears one was born by then: its years have two digits

_PASSPORT_NUMBER = re.compile(r"[A-Z0-9]*[0-9][A-Z0-9]*")
_MRZ_FORM = re.compile(  # ICAO Doc 9303-4, the lower of the two lines of a passport (TD3)
    r"[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9<]{6}[0-9][FMX<][0-9<]{6}[0-9][A-Z0-9<]{14}[0-9<][0-9]"
)
_MRZ_WEIGHTS = (7, 3, 1)
_MRZ_LENGTH = 44
_EARLIEST_BIRTH = 1900

_CREDIT_CODE_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100
_CREDIT_CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_CREDIT_CODE_FORM = re.compile(rf"[{_CREDIT_CODE_ALPHABET}]{{18}}")

_MOBILE_FORM = re.compile(r"1[3-9][0-9]{9}")
_CARD_FORM = re.compile(r"[0-9]{16}")
_POSTCODE_FORM = re.compile(r"[0-9]{6}")
_LANDLINE_FORM = re.compile(r"0[0-9]+")
_OFFICE_MOBILE_FORM = re.compile(r"1[0-9]{10}")
_EMAIL_FORM = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}")

# Characters of Chinese names: the basic block, extension A, 〇, compatibility forms, the planes of
# rare characters, and private codes, by which old cards print what had no code then.
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff" + _PRIVATE
_MIDDLE_DOTS = "\u00b7\u2022\u2027\u2219\u22c5\u30fb\uff0e\uff65"  # as keyboards give them
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\u0300-\u036f"
_NAME_FORM = re.compile(
    rf"[{_HAN}]+(?:[{_MIDDLE_DOTS}][{_HAN}]+)*"
    rf"|[{_LATIN}](?:[{_LATIN}]|[ .,'\u2019-](?![,'\u2019-]))+"
)
_PRIVATE_CHARACTER = re.compile(f"[{_PRIVATE}]")
_DOTS = re.compile(f"[{_MIDDLE_DOTS}]")
_SHORTEST_NAME, _LONGEST_HAN_NAME, _LONGEST_NAME = 2, 30, 50


IdType = Literal["id_card", "passport"]
"""By what somebody shows who they are: a card, whose number says whose it is (`IdKind`), or a
passport, whose number says nothing."""

IdKind = Literal["resident", "permit", "foreign"]
"""Whose card a number stands on: a citizen's ID card; the residence permit of somebody from Hong
Kong, Macau or Taiwan; the permanent residence card of a foreigner, of 18 characters, or of 15 as
issued until 2023."""

_PERMIT_PREFIXES = ("81", "82", "83")
_FOREIGN_PREFIX = "9"


@dataclass(frozen=True, slots=True)
class ResidentId:
    """What an ID number says about its holder."""

    region: str  # 6 digits, GB/T 2260; retired county codes stay valid
    birth_date: date
    sex: Sex | None  # a number of 15 characters does not tell

    @property
    def kind(self) -> IdKind:
        if self.region.startswith(_FOREIGN_PREFIX):
            return "foreign"
        return "permit" if self.region.startswith(_PERMIT_PREFIXES) else "resident"

    @property
    def province(self) -> str:
        """Two digits, a key of PROVINCES where the number names a province at all: where a citizen
        was registered first, where a foreigner's card was issued."""
        return self.region[1:3] if self.kind == "foreign" else self.region[:2]


def normalise_resident_id(text: str) -> str:
    """The number as it is compared and stored: no spaces around it, capital X."""
    return text.strip().upper()


def check_resident_id(text: str, today: date) -> list[Finding]:
    """Form, province, birth date and, of 18 characters, check digit of an ID number. That it names
    no province is only worth a look: places come and go, and people keep their number."""
    number = normalise_resident_id(text)
    if not number:
        return [Finding(FormatCode.EMPTY)]
    old_card = _OLD_CARD_FORM.fullmatch(number) is not None
    if not old_card and _ID_FORM.fullmatch(number) is None:
        return [Finding(FormatCode.ID_FORM)]
    findings = []
    place = 3 if old_card else 1 if number.startswith(_FOREIGN_PREFIX) else 0
    if number[place : place + 2] not in PROVINCES:
        findings.append(Finding(FormatCode.ID_PROVINCE, Severity.WARNING))
    birth = _birth_date(number)
    if birth is None or birth.year < _EARLIEST_BIRTH or birth > today:
        findings.append(Finding(FormatCode.ID_BIRTH_DATE))
    # how the last digit of an old card is made is published nowhere: nobody is refused for it
    if not old_card and resident_id_check_digit(number[:17]) != number[17]:
        findings.append(Finding(FormatCode.ID_CHECK_DIGIT))
    return findings


def is_resident_id(text: str, today: date) -> bool:
    """Whether it can be somebody's number."""
    return all(one.severity is Severity.WARNING for one in check_resident_id(text, today))


def check_id_place(number: ResidentId, retired: RetiredPlaces) -> list[Finding]:
    """What is worth a look about where the number is from; nothing that makes it unusable.

    retired: a code that was given up is worth it always, or only where it was given up before the
    holder was born.
    """
    if number.kind != "resident":
        return [Finding(FormatCode.ID_RESIDENCE_PERMIT, Severity.WARNING)]
    if number.province not in PROVINCES:
        return []  # said already
    if not is_place(number.region):
        return [Finding(FormatCode.ID_PLACE_UNKNOWN, Severity.WARNING)]
    year = retired_in(number.region)
    if year is not None and (retired == "always" or number.birth_date.year > year):
        return [Finding(FormatCode.ID_PLACE_RETIRED, Severity.WARNING)]
    return []


def read_resident_id(text: str) -> ResidentId:
    """What the number says; raises ValueError (without the number) if it cannot be one."""
    number = normalise_resident_id(text)
    old_card = _OLD_CARD_FORM.fullmatch(number) is not None
    birth = _birth_date(number) if old_card or _ID_FORM.fullmatch(number) else None
    if birth is None:
        raise ValueError("not a resident ID number")
    if old_card:  # as a card of 18 characters names the place
        return ResidentId(f"{_FOREIGN_PREFIX}{number[3:7]}0", birth, None)
    return ResidentId(number[:6], birth, "male" if int(number[16]) % 2 else "female")


def resident_id_check_digit(first17: str) -> str:
    """The 18th character of a resident ID number (GB 11643, ISO 7064 MOD 11-2)."""
    total = sum(int(d) * w for d, w in zip(first17, _ID_WEIGHTS, strict=True))
    return _ID_CHECK[total % 11]


def make_synthetic_resident_id(province: str, birth_date: date, sequence: int) -> str:
    """A made-up number for demos and tests that passes every check and can be nobody's.

    Its county code (9999) is allocated nowhere. `sequence` 0–999; odd is male.
    """
    body = f"{province}{SYNTHETIC_COUNTY}{birth_date:%Y%m%d}{sequence:03d}"
    return body + resident_id_check_digit(body)


def is_synthetic_resident_id(text: str) -> bool:
    """Whether the number was made up by `make_synthetic_resident_id`."""
    number = normalise_resident_id(text)
    return _ID_FORM.fullmatch(number) is not None and number[2:6] == SYNTHETIC_COUNTY


def check_id_term(
    birth_date: date,
    issued: date,
    expires: date | None,
    today: date,
    *,
    tolerance_days: int,
    kind: IdKind = "resident",
) -> list[Finding]:
    """Whether an ID card is in force and its term fits the holder's age at issue.

    `expires` None is 长期. 居民身份证法 Art. 5: 5 years under 16, 10 years from 16 to 25, 20 years
    from 26 to 45, without end from 46. A residence permit (港澳台居民) holds 5 years, a foreigner's
    permanent residence card 5, or from 18 on 10. Some cards name the day before: the end may miss
    its term by `tolerance_days`.
    """
    findings = []
    if issued > today:
        findings.append(Finding(FormatCode.ID_NOT_YET_VALID))
    if expires is not None and expires < today:
        findings.append(Finding(FormatCode.ID_EXPIRED))
    terms = _terms(kind, age_on(birth_date, issued))
    if issued < birth_date or not any(
        _is_term(issued, expires, years, tolerance_days) for years in terms
    ):
        findings.append(Finding(FormatCode.ID_TERM))
    return findings


NUMBERED_BY = frozenset({"id_type", "id_number", "nationality"})
"""The fields by which `person_number` knows somebody."""


def person_number(fields: Mapping[str, str]) -> str | None:
    """By what number a person is known again; None where the fields name none.

    A card's number is one person's. Two countries give out passports with the same number, so a
    passport's goes with its country: `GBR 123456789`. fields: those of a form.
    """
    number = normalise_resident_id(fields.get("id_number", ""))
    if not number or fields.get("id_type") != "passport":
        return number or None
    country = normalise_country(fields.get("nationality", ""))
    return f"{country} {number}" if is_country(country) else None


def check_passport_number(text: str, rules: PassportRules) -> list[Finding]:
    """Letters and digits, a digit among them, within the product's length. Each country numbers its
    passports as it likes; only the machine-readable line bears a check digit."""
    number = normalise_resident_id(text)
    if not number:
        return [Finding(FormatCode.EMPTY)]
    fits = rules.number.shortest <= len(number) <= rules.number.longest
    if not fits or _PASSPORT_NUMBER.fullmatch(number) is None:
        return [Finding(FormatCode.PASSPORT_NUMBER)]
    return []


def check_passport_term(
    issued: date, expires: date | None, today: date, rules: PassportRules, *, tolerance_days: int
) -> list[Finding]:
    """Whether a passport is in force and ends as passports do (`expires` None: never, as none
    does); one that ends soon is worth a look."""
    findings = []
    if issued > today:
        findings.append(Finding(FormatCode.ID_NOT_YET_VALID))
    if expires is None or not issued < expires <= _after(
        issued, rules.longest_years, tolerance_days
    ):
        return [*findings, Finding(FormatCode.ID_TERM)]
    if expires < today:
        findings.append(Finding(FormatCode.ID_EXPIRED))
    elif (expires - today).days < rules.days_left:
        findings.append(Finding(FormatCode.PASSPORT_ENDS_SOON, Severity.WARNING))
    return findings


@dataclass(frozen=True, slots=True)
class Mrz:
    """What the lower machine-readable line of a passport says. Days as YYMMDD; characters of a day
    that nobody knows are `<`."""

    number: str
    nationality: str
    born: str
    sex: Sex | None
    expires: str

    def birth_date(self, today: date) -> date | None:
        """The day of birth, in the last hundred years; None where it is not known."""
        try:
            year = 2000 + int(self.born[:2])
            born = date(year, int(self.born[2:4]), int(self.born[4:]))
            return born if born <= today else born.replace(year=year - 100)
        except ValueError:  # also 29 February of a year that had none
            return None

    def expiry_date(self) -> date | None:
        """The last day; None where there is none."""
        try:
            return date(2000 + int(self.expires[:2]), int(self.expires[2:4]), int(self.expires[4:]))
        except ValueError:
            return None


def normalise_mrz(text: str) -> str:
    """The lower line alone, in capitals and without spaces: the upper one, which a scanner sends
    too, says nothing that the form does not ask for."""
    line = "".join(text.split()).upper()
    return line[_MRZ_LENGTH:] if len(line) == 2 * _MRZ_LENGTH else line


def read_mrz(text: str) -> Mrz:
    """What the line says; raises ValueError (without the line) where it is none."""
    line = normalise_mrz(text)
    if _MRZ_FORM.fullmatch(line) is None:
        raise ValueError("not the lower line of a passport")
    country = line[10:13].rstrip("<")
    return Mrz(
        number=line[:9].rstrip("<"),
        nationality="DEU" if country == "D" else country,  # Germany's is one letter
        born=line[13:19],
        sex={"F": "female", "M": "male"}.get(line[20]),  # type: ignore[arg-type]
        expires=line[21:27],
    )


def check_mrz(text: str) -> list[Finding]:
    """Form and check digits of the lower machine-readable line."""
    line = normalise_mrz(text)
    if not line:
        return [Finding(FormatCode.EMPTY)]
    if _MRZ_FORM.fullmatch(line) is None:
        return [Finding(FormatCode.MRZ_FORM)]
    optional = line[28:42]
    said = [(line[:9], line[9]), (line[13:19], line[19]), (line[21:27], line[27])]
    # where nothing is optional, the digit for it may be left out
    if optional.strip("<") or line[42] != "<":
        said.append((optional, line[42]))
    said.append((line[:10] + line[13:20] + line[21:43], line[43]))
    if any(mrz_check_digit(part) != digit for part, digit in said):
        return [Finding(FormatCode.MRZ_CHECK_DIGIT)]
    return []


def mrz_check_digit(part: str) -> str:
    """The check digit of a part of the line (ICAO Doc 9303-3, section 4.9)."""
    values = (0 if one == "<" else int(one, 36) for one in part)
    return str(sum(value * _MRZ_WEIGHTS[n % 3] for n, value in enumerate(values)) % 10)


def check_birth_date(born: date, today: date) -> list[Finding]:
    """A day of birth that somebody who lives can have."""
    if born.year < _EARLIEST_BIRTH or born > today:
        return [Finding(FormatCode.BIRTH_DATE)]
    return []


def check_nationality(text: str) -> list[Finding]:
    """Three letters, as a passport names it."""
    if not text.strip():
        return [Finding(FormatCode.EMPTY)]
    return [] if is_country(text) else [Finding(FormatCode.NATIONALITY_FORM)]


def age_on(birth_date: date, day: date) -> int:
    """Full years of age on a day; born on 29 February, one turns a year older on 1 March."""
    before_birthday = (day.month, day.day) < (birth_date.month, birth_date.day)
    return day.year - birth_date.year - before_birthday


def check_credit_code(text: str) -> list[Finding]:
    """统一社会信用代码 of an employer or business: 18 characters, the last a check character."""
    code = text.strip().upper()
    if not code:
        return [Finding(FormatCode.EMPTY)]
    if _CREDIT_CODE_FORM.fullmatch(code) is None:
        return [Finding(FormatCode.CREDIT_CODE_FORM)]
    if credit_code_check_character(code[:17]) != code[17]:
        return [Finding(FormatCode.CREDIT_CODE_CHECK_DIGIT)]
    return []


def credit_code_check_character(first17: str) -> str:
    """The 18th character of a 统一社会信用代码 (GB 32100)."""
    total = sum(
        _CREDIT_CODE_ALPHABET.index(c) * w
        for c, w in zip(first17, _CREDIT_CODE_WEIGHTS, strict=True)
    )
    # the outer remainder matters: a sum divisible by 31 gives 0, not 31
    return _CREDIT_CODE_ALPHABET[(31 - total % 31) % 31]


def check_mobile(text: str, rules: FieldRules | None = None) -> list[Finding]:
    """A mainland mobile number; by the rules, those of virtual operators are worth a look."""
    if not text:
        return [Finding(FormatCode.EMPTY)]
    if _MOBILE_FORM.fullmatch(text) is None:
        return [Finding(FormatCode.MOBILE_FORM)]
    if rules is not None and text.startswith(tuple(rules.virtual_operators)):
        return [Finding(FormatCode.MOBILE_VIRTUAL_OPERATOR, Severity.WARNING)]
    return []


def check_card_number(text: str) -> list[Finding]:
    """A card number: 16 digits that pass the Luhn test; one outside UnionPay's 62 is a warning."""
    if not text:
        return [Finding(FormatCode.EMPTY)]
    if _CARD_FORM.fullmatch(text) is None:
        return [Finding(FormatCode.CARD_FORM)]
    findings = []
    if luhn_check_digit(text[:-1]) != text[-1]:
        findings.append(Finding(FormatCode.CARD_CHECK_DIGIT))
    if not text.startswith("62"):
        findings.append(Finding(FormatCode.CARD_NOT_UNIONPAY, Severity.WARNING))
    return findings


def check_postcode(text: str, rules: FieldRules) -> list[Finding]:
    """Six digits, not six identical ones but where that is a real place."""
    if not text:
        return [Finding(FormatCode.EMPTY)]
    if _POSTCODE_FORM.fullmatch(text) is None:
        return [Finding(FormatCode.POSTCODE_FORM)]
    if len(set(text)) == 1 and text not in rules.repeated_postcodes:
        return [Finding(FormatCode.POSTCODE_REPEATED)]
    return []


def check_employer(text: str, rules: FieldRules) -> list[Finding]:
    """An employer's name: long enough, no spaces at its ends, no stand-in for none."""
    if not text.strip():
        return [Finding(FormatCode.EMPTY)]
    findings = []
    if text != text.strip():
        findings.append(Finding(FormatCode.EMPLOYER_EDGE_SPACE))
    if len(text.strip()) < rules.employer_shortest:
        findings.append(Finding(FormatCode.EMPLOYER_TOO_SHORT))
    if text.strip() in rules.employer_placeholders:
        findings.append(Finding(FormatCode.EMPLOYER_PLACEHOLDER))
    return findings


def check_address(text: str, rules: FieldRules) -> list[Finding]:
    """A postal address that is neither too short nor too long."""
    if not text.strip():
        return [Finding(FormatCode.EMPTY)]
    if not rules.address.shortest <= len(text.strip()) <= rules.address.longest:
        return [Finding(FormatCode.ADDRESS_LENGTH)]
    return []


def check_office_phone(text: str, mobile: str, rules: FieldRules) -> list[Finding]:
    """Area code and number, or where the rules allow it 11 digits that begin with 1; never the
    applicant's own mobile."""
    if not text:
        return [Finding(FormatCode.EMPTY)]
    is_mobile = _OFFICE_MOBILE_FORM.fullmatch(text) is not None
    if not (rules.office_phone_may_be_mobile if is_mobile else _is_landline(text, rules)):
        return [Finding(FormatCode.OFFICE_PHONE_FORM)]
    if text == mobile:
        return [Finding(FormatCode.OFFICE_PHONE_IS_MOBILE)]
    return []


def _is_landline(text: str, rules: FieldRules) -> bool:
    """Whether the digits can be an area code, a hyphen or none, and a number of that length."""
    area, hyphen, number = text.partition("-")
    if _LANDLINE_FORM.fullmatch(area + number) is None:
        return False
    if hyphen:
        return len(area) in rules.area_code_digits and len(number) in rules.landline_digits
    return any(len(text) - length in rules.landline_digits for length in rules.area_code_digits)


def check_email(text: str) -> list[Finding]:
    """An e-mail address that an SMTP server could take."""
    if not text:
        return [Finding(FormatCode.EMPTY)]
    if _EMAIL_FORM.fullmatch(text) is None:
        return [Finding(FormatCode.EMAIL_FORM)]
    return []


def check_name(text: str) -> list[Finding]:
    """A person's name as people are called: 2–30 Chinese characters, rare ones too, with a dot
    between the parts; or Latin letters with their accents. A private code is worth a look: another
    system shows another character, or none."""
    if not text.strip():
        return [Finding(FormatCode.EMPTY)]
    longest = _LONGEST_NAME if _is_latin(text) else _LONGEST_HAN_NAME
    if _NAME_FORM.fullmatch(text) is None or not _SHORTEST_NAME <= len(text) <= longest:
        return [Finding(FormatCode.NAME_FORM)]
    if _PRIVATE_CHARACTER.search(text):
        return [Finding(FormatCode.NAME_PRIVATE_CHARACTER, Severity.WARNING)]
    return []


def check_latin_name(text: str) -> list[Finding]:
    """A name as passports have it first: in Latin letters."""
    findings = check_name(text)
    if not findings and not _is_latin(text):
        return [Finding(FormatCode.NAME_NOT_LATIN)]
    return findings


def check_chinese_name(text: str) -> list[Finding]:
    """The name that somebody who has another one goes by in Chinese."""
    findings = check_name(text)
    if not findings and _is_latin(text):
        return [Finding(FormatCode.NAME_NOT_CHINESE)]
    return findings


def normalise_name(text: str) -> str:
    """A name as it is compared: one kind of dot, of spaces, of letters' width and case. Rare
    characters stay what they are, but for those that have two codes."""
    dotted = _DOTS.sub("·", text)
    # letters and digits of full width only: NFKC over the whole would exchange rare characters
    plain = "".join(
        unicodedata.normalize("NFKC", one) if "\uff01" <= one <= "\uff5e" else one for one in dotted
    )
    words = unicodedata.normalize("NFC", plain).replace("\u2019", "'").split()
    return (" " if _is_latin(plain) else "").join(words).upper()


def _is_latin(text: str) -> bool:
    return re.search(f"[{_LATIN}]", text) is not None


def _birth_date(number: str) -> date | None:
    try:
        if len(number) == 15:
            year = 2000 + int(number[7:9])
            year -= 100 if year > _LAST_OLD_CARD else 0
            return date(year, int(number[9:11]), int(number[11:13]))
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def _terms(kind: IdKind, age: int) -> tuple[int | None, ...]:
    """The terms in years, None for no end, that a card issued at that age may have."""
    if kind == "permit":
        return (5,)
    if kind == "foreign":
        return (5,) if age < 18 else (5, 10)
    return (5 if age < 16 else 10 if age < 26 else 20 if age < 46 else None,)


def _is_term(issued: date, expires: date | None, years: int | None, tolerance: int) -> bool:
    if expires is None or years is None:
        return expires is None and years is None
    return abs((expires - _after(issued, years)).days) <= tolerance


def _after(issued: date, years: int, days: int = 0) -> date:
    try:
        end = issued.replace(year=issued.year + years)
    except ValueError:  # issued on 29 February, or at the end of the calendar
        end = date(min(issued.year + years, date.max.year), 3, 1)
    return end + timedelta(days=days) if end.year < date.max.year else date.max
