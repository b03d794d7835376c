"""What is read of a partner's event, and that no wrong part hides another."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intake.answers import CODES, REFUSALS
from services.intake.form import PartyForm
from services.intake.partner_reading import (
    Findings,
    check_schema,
    read_correction,
    read_form,
    read_papers,
)
from shared.events.partners import PartnerApplicationSubmitted, PartnerFieldsCorrected
from shared.events.payload import Channel
from shared.privacy.jwe import OfficeKeys, encrypt, new_key_set

KEYS = OfficeKeys.from_secret(new_key_set())
TODAY = date(2026, 10, 12)
PERSON = {"name": "司徒望月", "mobile": "13900007788", "id_number": "119999199104161286"}
PAPER = b"%PDF-1.4\n%%EOF\n"


def sealed(clear: object) -> str:
    data = clear if isinstance(clear, bytes) else json.dumps(clear, ensure_ascii=False)
    return encrypt(data, KEYS.public_jwks())


def application(**changes: Any) -> dict[str, Any]:
    data = {
        "reference": "A-1",
        "branch": "1101",
        "product": "standard",
        "applicant_type": "salaried",
        "parties": [{"role": "applicant", "personal": sealed(PERSON)}],
        "documents": [{"item": "id_front", "content": sealed(PAPER)}],
    }
    return {name: value for name, value in {**data, **changes}.items() if value is not None}


def read(data: dict[str, Any]) -> tuple[Any, list[Any], set[tuple[Any, str]]]:
    findings = Findings()
    check_schema(PartnerApplicationSubmitted, data, findings)
    form = read_form(data, Channel.MOBILE_APP, KEYS, findings)
    papers = read_papers(data, TODAY, KEYS, findings)
    return form, papers, set(findings)


def test_what_is_sound_is_read_whole() -> None:
    form, papers, found = read(application())
    assert found == set()
    assert (form.applicant.name, form.channel) == (PERSON["name"], Channel.MOBILE_APP)
    assert [(one.item, one.content, one.issued_on) for one in papers] == [("id_front", PAPER, None)]


def test_an_id_without_end_is_said_as_forms_say_it() -> None:
    person = sealed({**PERSON, "id_expires": "9999-12-31"})
    form, _, found = read(application(parties=[{"role": "applicant", "personal": person}]))
    assert found == set()
    assert (form.applicant.id_long_term, form.applicant.id_expires) == (True, None)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"branch": None}, {(("branch",), "missing")}),
        ({"product": "gold-rush"}, {(("product",), "UNKNOWN_PRODUCT")}),
        ({"product": 5}, {(("product",), "string_type")}),
        ({"applicant_type": "pirate"}, {(("applicant_type",), "enum")}),
        ({"parties": None}, {(("parties",), "missing")}),
        ({"parties": []}, {(("parties",), "too_short")}),
        ({"parties": "me"}, {(("parties",), "list_type")}),
        ({"parties": [5]}, {(("parties", 0), "model_type")}),
        ({"documents": {}}, {(("documents",), "list_type")}),
        ({"documents": [[]]}, {(("documents", 0), "model_type")}),
        (
            {"documents": [{"item": "id_front", "content": sealed(PAPER), "issued_on": "soon"}]},
            {(("documents", 0, "issued_on"), "date_from_datetime_parsing")},
        ),
        (
            {"consent": {"signed_at": "2026-10-11T01:30:00Z", "purpose": "x" * 201}},
            {(("consent",), "value_error")},
        ),
        (
            {"parties": [{"role": "applicant", "personal": sealed(PERSON)}] * 2},
            {(("parties",), "value_error")},
        ),
        (
            {"parties": [{"role": "contact", "personal": sealed(PERSON)}]},
            {(("parties",), "value_error")},
        ),
        (
            {"parties": [{"role": "applicant", "personal": sealed({**PERSON, "mobile": 1})}]},
            {(("parties", 0, "personal", "mobile"), "string_type")},
        ),
        (
            {"parties": [{"role": "applicant", "personal": sealed([])}]},
            {(("parties", 0, "personal"), "JWE_BROKEN")},
        ),
        (
            {"parties": [{"role": "applicant", "personal": sealed(b"\xff")}]},
            {(("parties", 0, "personal"), "JWE_BROKEN")},
        ),
    ],
)
def test_a_part_that_is_wrong_is_said_once_and_alone(
    changes: dict[str, Any], found: set[Any]
) -> None:
    assert read(application(**changes))[2] == found


ODD: tuple[Any, ...] = ("x", "2026-13-40", "2026-10-12T10:00:00", 5, -1, 1.5, True, None, [], {})


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_whatever_stands_in_a_field_is_refused_in_words(odd: Any) -> None:
    person = {name: odd for name in PartyForm.model_fields if name != "role"}
    found = read(
        application(
            branch=odd,
            applicant_type=odd,
            parties=[{"role": "applicant", "personal": sealed(person)}],
            consent={"signed_at": odd, "purpose": odd},
            requested_limit={"minor": odd, "currency": odd},
            documents=[{"item": odd, "content": odd, "issued_on": odd}],
        )
    )[2]
    assert {code for _, code in found if code not in CODES} <= set(REFUSALS)


def test_findings_of_all_parts_come_together() -> None:
    data = application(
        branch=7,
        product="gold-rush",
        parties=[
            {"role": "applicant", "personal": sealed({**PERSON, "email": 3})},
            {"role": "uncle", "personal": sealed({**PERSON, "name": 4})},
        ],
        documents=[
            {"item": "crystal_ball", "content": "e30.a.b.c.d", "issued_on": "2026-10-13"},
            {"item": "id_front", "content": "clear"},
        ],
    )
    form, papers, found = read(data)
    assert (form, papers) == (None, [])
    assert found == {
        (("branch",), "string_type"),
        (("product",), "UNKNOWN_PRODUCT"),
        (("parties", 0, "personal", "email"), "string_type"),
        (("parties", 1, "role"), "enum"),
        (("parties", 1, "personal", "name"), "string_type"),
        (("documents", 0, "item"), "UNKNOWN_ITEM"),
        (("documents", 0, "content"), "JWE_ALGORITHM"),
        (("documents", 0, "issued_on"), "ISSUED_IN_FUTURE"),
        (("documents", 1, "content"), "string_pattern_mismatch"),
    }


def test_a_person_with_a_wrong_field_is_known_by_the_others() -> None:
    odd = sealed({**PERSON, "email": 3, "surplus": 1})
    form, _, found = read(application(parties=[{"role": "applicant", "personal": odd}]))
    assert form.applicant.id_number == PERSON["id_number"]
    assert found == {
        (("parties", 0, "personal", "email"), "string_type"),
        # the name of a field that nobody knows is not repeated
        (("parties", 0, "personal"), "extra_forbidden"),
    }


def test_nobody_looks_beyond_what_the_contract_allows() -> None:
    papers = [{"item": "crystal_ball", "content": sealed(PAPER)}] * 12
    _, read_papers_, found = read(application(documents=papers))
    assert len(read_papers_) == 10
    assert (("documents",), "too_long") in found
    assert (("documents", 11, "item"), "UNKNOWN_ITEM") not in found


def test_each_finding_is_said_once_in_the_order_in_which_it_was_found() -> None:
    findings = Findings()
    assert not findings
    for code in ("B", "A", "B"):
        findings.add(code, "parties", 0)
    assert list(findings) == [(("parties", 0), "B"), (("parties", 0), "A")]
    assert findings.rejected().problems == (("parties.0", "B"), ("parties.0", "A"))
    assert findings.sound("parties", 1)
    assert not findings.sound("parties")
    assert findings.sound("parties", 0, "role")  # the whole was wrong, not this part


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
SECRET = "秘而不宣"
_PERSONAL = st.dictionaries(
    st.sampled_from([*PERSON, "email", "id_expires", "role", SECRET]),
    _JSON | st.just(SECRET),
    max_size=4,
)
_SEALED = st.one_of(_PERSONAL, _JSON).map(sealed) | _JSON


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional={**fields, "surplus": _JSON}) | _JSON


_EVENT = st.fixed_dictionaries(
    {},
    optional={
        "reference": st.just("A-1") | _JSON,
        "branch": st.just("1101") | _JSON,
        "product": st.sampled_from(["standard", "platinum"]) | _JSON,
        "applicant_type": st.just("salaried") | _JSON,
        "parties": st.lists(
            _object(
                role=st.sampled_from(["applicant", "contact", "uncle"]) | _JSON, personal=_SEALED
            ),
            max_size=5,
        )
        | _JSON,
        "consent": _JSON,
        "requested_limit": _JSON,
        "documents": st.lists(
            _object(
                item=st.sampled_from(["id_front", "crystal_ball"]) | _JSON,
                content=st.sampled_from([sealed(PAPER), "e30.a.b.c.d"]) | _JSON,
                issued_on=st.sampled_from(["2026-10-12", "2126-10-12", "soon"]) | _JSON,
            ),
            max_size=3,
        )
        | _JSON,
        "surplus": _JSON,
    },
)


@given(_EVENT)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_comes_is_read_or_said_to_be_wrong(data: dict[str, Any]) -> None:
    form, papers, found = read(data)
    assert form is not None or found
    for path, code in found:
        assert code.isascii()
        # neither a value nor a name out of what was encrypted
        assert SECRET not in str(path)
    assert all(paper.content == PAPER for paper in papers)
    findings = Findings()
    check_schema(PartnerFieldsCorrected, data, findings)
    assert read_correction(data, KEYS, findings) is not None or findings
