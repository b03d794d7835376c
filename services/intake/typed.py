"""What people type on intake's pages, read as forms and shown again: amounts in yuan, days as the
browser sends them, several persons in one form.

Pure. A field of a person other than the applicant has the person's prefix: `holder_name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from services.intake.form import LONG_TERM, ApplicationForm, FormCorrection
from services.intake.rules import CREDIT_PURPOSE
from shared.calendar import business_day, day_of
from shared.events.payload import FIELD_CLASSES, CreditConsent, PartyRole
from shared.money import Money

MONEY_FIELDS = ("monthly_income", "other_bank_limits")
PREFIXES: Mapping[PartyRole, str] = {
    PartyRole.APPLICANT: "",
    PartyRole.SUPPLEMENTARY_HOLDER: "holder_",
    PartyRole.GUARDIAN: "guardian_",
    PartyRole.CONTACT: "contact_",
}
_NO_BRANCH = "0000"  # stands in where none is chosen yet
_TRIES = 4  # a form is read again without what could not be kept


@dataclass(frozen=True, slots=True)
class Kept:
    """What is not typed anew when a draft is gone on with: the form as it stands."""

    branch: str
    channel: str
    consent: CreditConsent | None
    reopens: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """A form as far as it can be kept; `faults`: {field: kind of fault} of what cannot."""

    form: ApplicationForm | None
    faults: dict[str, str]


def read_form(sent: Mapping[str, str], now: datetime, kept: Kept | None = None) -> ApplicationForm:
    """The form. Raises ValidationError where a field cannot be kept at all."""
    return ApplicationForm.model_validate(_content(sent, now, kept))


def read_in_part(sent: Mapping[str, str], now: datetime, kept: Kept | None = None) -> Read:
    """The form without what cannot be kept, so that everything else is judged all the same."""
    left: dict[str, str] = dict(sent)
    faults: dict[str, str] = {}
    for _ in range(_TRIES):
        try:
            return Read(read_form(left, now, kept), faults)
        except ValidationError as error:
            found = faults_of(error, left)
            faults |= found
            left = {name: text for name, text in left.items() if name not in found}
            if "branch" in found:
                left["branch"] = _NO_BRANCH
    return Read(None, faults)


def read_correction(sent: Mapping[str, str], now: datetime) -> FormCorrection:
    """Of one person the fields that were filled in. Raises ValidationError."""
    party = _party(sent.get("role", PartyRole.APPLICANT), "", sent)
    # a role alone corrects nothing
    parties = [party] if len(party) > 1 else []
    consent = _typed_consent(sent, now)
    return FormCorrection.model_validate({"parties": parties, "consent": consent})


def faults_of(error: ValidationError, sent: Mapping[str, str]) -> dict[str, str]:
    """{field as it was sent: kind of fault}, without the value; "" for the form as a whole."""
    prefixes = [PREFIXES[role] for role in _roles(sent)]
    found: dict[str, str] = {}
    for fault in error.errors(include_input=False, include_url=False):
        place = fault["loc"]
        match place:
            case ("parties", int(nth), str(name), *_) if nth < len(prefixes):
                found[prefixes[nth] + name] = fault["type"]
            case ("consent", *_):
                found["consent_day"] = fault["type"]
            case (str(name), *_) if name != "parties":
                found[name] = fault["type"]
            case _:
                found[""] = fault["type"]
    return found


def typed(form: ApplicationForm) -> dict[str, str]:
    """The form as it was typed, so that it can be gone on with."""
    values = {
        "branch": form.branch,
        "product": form.product,
        "applicant_type": str(form.applicant_type),
    }
    if form.consent is not None:
        values["consent_day"] = business_day(form.consent.signed_at).isoformat()
    if form.requested_limit is not None:
        values["requested_limit"] = _yuan(form.requested_limit.minor)
    for party in form.parties:
        prefix = PREFIXES[party.role]
        for name, text in party.fields().items():
            if name == "id_expires" and text == LONG_TERM:
                values[f"{prefix}id_long_term"] = "yes"
            else:
                values[prefix + name] = _yuan(int(text)) if name in MONEY_FIELDS else text
    return values


# -- inside ----------------------------------------------------------------------------------------


def _content(sent: Mapping[str, str], now: datetime, kept: Kept | None) -> dict[str, Any]:
    consent: Any = _typed_consent(sent, now)
    day = day_of(sent.get("consent_day", ""))
    if kept and kept.consent and day == business_day(kept.consent.signed_at):
        consent = kept.consent  # not signed anew: its time stays
    content: dict[str, Any] = {
        "branch": kept.branch if kept else sent.get("branch", ""),
        "product": sent.get("product", ""),
        "applicant_type": sent.get("applicant_type", ""),
        "channel": kept.channel if kept else "counter",
        "parties": [_party(role, PREFIXES[role], sent) for role in _roles(sent)],
        "consent": consent,
        "reopens": kept.reopens if kept else sent.get("reopens") or None,
    }
    if "requested_limit" in sent:
        limit = _fen(sent["requested_limit"])
        content["requested_limit"] = {"minor": int(limit) if limit.isdecimal() else limit}
    return content


def _roles(sent: Mapping[str, str]) -> list[PartyRole]:
    """The applicant, and whoever else something was typed about."""
    return [
        role
        for role, prefix in PREFIXES.items()
        if not prefix or any(sent.get(prefix + name) for name in (*FIELD_CLASSES, "id_long_term"))
    ]


def _party(role: str, prefix: str, sent: Mapping[str, str]) -> dict[str, Any]:
    party: dict[str, Any] = {"role": role}
    for name in FIELD_CLASSES:
        text = sent.get(prefix + name)
        if text:
            party[name] = _fen(text) if name in MONEY_FIELDS else text
    if sent.get(f"{prefix}id_long_term"):
        party["id_long_term"] = True
        party.pop("id_expires", None)
    return party


def _typed_consent(sent: Mapping[str, str], now: datetime) -> dict[str, Any] | None:
    text = sent.get("consent_day")
    if not text:
        return None
    day = day_of(text)
    if day is None:
        return {"signed_at": "", "purpose": CREDIT_PURPOSE}  # is no day: told so
    # a day ahead is kept as it is: the rules say what is wrong with it
    signed_at = now if day == business_day(now) else f"{day.isoformat()}T00:00:00+08:00"
    return {"signed_at": signed_at, "purpose": CREDIT_PURPOSE}


def _fen(yuan: str) -> str:
    """Whole fen as digits of an amount in yuan; what is none stays for the form to refuse."""
    try:
        return str(Money.of(yuan.replace(",", "").replace("，", "")).minor)
    except (ValueError, ArithmeticError):
        return yuan


def _yuan(fen: int) -> str:
    whole, cents = divmod(fen, 100)
    return f"{whole}.{cents:02d}" if cents else str(whole)
