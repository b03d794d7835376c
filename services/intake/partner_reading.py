"""A partner's event as it is read: what it says where that can be read, and everything that is
wrong with it. A part that is wrong hides no other one.

A finding is a path within the event and a code. A path into `personal` goes on within the clear
text: /parties/0/personal/mobile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from services.intake.form import ApplicationForm, FormCorrection, PartyForm
from shared.events.partners import PartnerEvent
from shared.events.payload import Channel, PartyRole
from shared.messaging.errors import Rejected
from shared.parameters import load_checklist_items
from shared.privacy.jwe import JweError, OfficeKeys

LONGEST_TERM = "9999-12-31"  # how `personal` says that an ID card has no end
LONGEST_WORDS = 2000  # characters of what a customer says
_MOST_PARTIES, _MOST_PAPERS = 4, 10  # as the contract has it; beyond it nobody looks
_DATE: TypeAdapter[date | None] = TypeAdapter(date | None)

Path = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


class Findings:
    """What is wrong with one event, each finding once, in the order in which it was found."""

    def __init__(self) -> None:
        self._found: dict[tuple[Path, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[tuple[Path, str]]:
        return iter(self._found)

    def add(self, code: str, *path: str | int) -> None:
        self._found[path, code] = None

    def sound(self, *path: str | int) -> bool:
        """Whether nothing was found there or below."""
        return all(place[: len(path)] != path for place, _ in self._found)

    def validated(self, model: type[M], value: object, *path: str | int) -> M | None:
        """The value as the model reads it; None where it does not fit, and why is noted."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for one in error.errors(include_input=False, include_url=False):
                self.add(one["type"], *path, *one["loc"])
            return None

    def rejected(self) -> Rejected:
        """All of them as the answer to the event."""
        return Rejected(*((".".join(map(str, path)), code) for path, code in self._found))


@dataclass(frozen=True, slots=True)
class PartnerPaper:
    """A paper that could be read; `place` in the event's list."""

    place: int
    item: str
    content: bytes
    issued_on: date | None


def check_schema(payload: type[PartnerEvent], data: object, findings: Findings) -> None:
    """Whether the event is what the contract says."""
    findings.validated(payload, data)


def read_form(
    raw: Mapping[str, Any], channel: Channel, keys: OfficeKeys, findings: Findings
) -> ApplicationForm | None:
    """The form of an application whose schema was checked; where a party cannot be read it stands
    in it by its role alone, so that the rest is judged all the same. None where even that cannot
    be."""
    people, complete = [], True
    for place, party in _entries(raw.get("parties"), _MOST_PARTIES):
        role = _role(party, findings.sound("parties", place, "role"))
        person = read_personal(party, place, role or PartyRole.APPLICANT, keys, findings)
        if role is None:
            complete = False
        else:
            people.append(person or PartyForm(role=role))
    fields = ("branch", "product", "applicant_type", "consent", "requested_limit")
    given = {name: raw[name] for name in fields if name in raw and findings.sound(name)}
    whole = complete and findings.sound("parties")
    try:
        return ApplicationForm.model_validate({**given, "channel": channel, "parties": people})
    except ValidationError as error:
        for one in error.errors(include_input=False, include_url=False):
            path = one["loc"]
            # what is missing by now was found to be wrong above
            known = not findings.sound(path[0]) if path else not whole
            if not known:
                findings.add(one["type"], *(path or ("parties",)))
        return None


def read_correction(
    raw: Mapping[str, Any], keys: OfficeKeys, findings: Findings
) -> FormCorrection | None:
    """The correction of an event whose schema was checked; None where it cannot be read whole."""
    people = [
        read_personal(party, place, role, keys, findings)
        for place, party in _entries(raw.get("parties"), _MOST_PARTIES)
        if (role := _role(party, findings.sound("parties", place, "role"))) is not None
    ]
    if findings:
        return None
    return findings.validated(FormCorrection, {"parties": people, "consent": raw.get("consent")})


def read_personal(
    party: Mapping[str, Any], place: int, role: PartyRole, keys: OfficeKeys, findings: Findings
) -> PartyForm | None:
    """A person by the fields that came encrypted; None where they cannot be read."""
    path: Path = ("parties", place, "personal")
    if not findings.sound(*path) or not isinstance(party.get("personal"), str):
        return None
    try:
        clear = json.loads(keys.decrypt(party["personal"]))
    except JweError as error:
        findings.add(f"JWE_{error.code.upper()}", *path)
        return None
    except (ValueError, RecursionError):
        clear = None
    if not isinstance(clear, dict):
        findings.add("JWE_BROKEN", *path)
        return None
    # as a form has it: an ID without an end of its term says so in words of its own
    if clear.get("id_expires") == LONGEST_TERM:
        clear = {**clear, "id_expires": None, "id_long_term": True}
    try:
        return PartyForm.model_validate({**clear, "role": role})
    except ValidationError as error:
        for one in error.errors(include_input=False, include_url=False):
            # a name that nobody knows was encrypted, too: it may be personal, and is not repeated
            within = () if one["type"] == "extra_forbidden" else one["loc"]
            findings.add(one["type"], *path, *within)
    # what is left of it tells who applies, so that other findings are not held back
    left = {
        name: value
        for name, value in clear.items()
        if name in PartyForm.model_fields and findings.sound(*path, name)
    }
    try:
        return PartyForm.model_validate({**left, "role": role})
    except ValidationError:
        return None


def read_papers(
    raw: Mapping[str, Any], today: date, keys: OfficeKeys, findings: Findings
) -> list[PartnerPaper]:
    """The papers of an event whose schema was checked, as far as they can be read; whether the
    bytes are a paper at all is not looked at here."""
    items, papers = load_checklist_items().items, []
    for place, document in _entries(raw.get("documents"), _MOST_PAPERS):
        path: Path = ("documents", place)
        item, issued_on = document.get("item"), None
        if findings.sound(*path, "item") and not (item in items and items[item].upload):
            findings.add("UNKNOWN_ITEM", *path, "item")
        if findings.sound(*path, "issued_on"):
            issued_on = _DATE.validate_python(document.get("issued_on"))
            if issued_on is not None and issued_on > today:
                findings.add("ISSUED_IN_FUTURE", *path, "issued_on")
        if not findings.sound(*path, "content"):
            continue
        try:
            content = keys.decrypt_bytes(document["content"])
        except JweError as error:
            findings.add(f"JWE_{error.code.upper()}", *path, "content")
        else:
            papers.append(PartnerPaper(place, str(item), content, issued_on))
    return papers


def read_words(raw: Mapping[str, Any], keys: OfficeKeys, findings: Findings) -> str:
    """What the customer says, of an event whose schema was checked; empty: nothing, or it cannot be
    read."""
    if raw.get("words") is None or not findings.sound("words"):
        return ""
    try:
        said = keys.decrypt_bytes(raw["words"]).decode()
    except JweError as error:
        findings.add(f"JWE_{error.code.upper()}", "words")
        return ""
    except UnicodeDecodeError:
        said = "\x00"
    if "\x00" in said:
        findings.add("JWE_BROKEN", "words")
    elif len(said) > LONGEST_WORDS:
        findings.add("string_too_long", "words")
    elif not said.strip():
        findings.add("string_too_short", "words")
    return said.strip()


def _entries(value: object, most: int) -> Sequence[tuple[int, Mapping[str, Any]]]:
    """The objects of a list by their places; whatever else is there is wrong by the schema."""
    if not isinstance(value, list):
        return []
    return [(place, one) for place, one in enumerate(value[:most]) if isinstance(one, dict)]


def _role(party: Mapping[str, Any], sound: bool) -> PartyRole | None:
    try:
        return PartyRole(party["role"]) if sound else None
    except (KeyError, ValueError):
        return None
