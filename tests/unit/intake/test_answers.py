"""Every code with which a partner can be refused is in words, in both languages."""

from __future__ import annotations

import inspect
import re
from typing import get_args, get_type_hints

import pytest

from services.intake import answers, application, inbound, partner_reading
from services.intake.answers import CODES, REFUSALS
from shared.documents import DocumentRefusedError
from shared.events import envelope
from shared.messaging import inbound as gate
from shared.parameters import load_return_codes
from shared.privacy import jwe


def codes_of_the_gate() -> set[str]:
    """Codes as they stand in the source of what refuses: in capitals, between quotes."""
    sources = "".join(inspect.getsource(one) for one in (inbound, partner_reading, gate))
    return set(re.findall(r'"([A-Z]{4,}(?:_[A-Z]+)*)"', sources)) - {"CODE"}  # an example


def codes_of_the_envelope() -> set[str]:
    return set(re.findall(r'EnvelopeError\(\s*"([a-z0-9-]+)"', inspect.getsource(envelope)))


def codes_of_the_application() -> set[str]:
    """Why an application does not allow it, as partners are told."""
    raised = re.findall(r'ApplicationError\(\s*"([a-z-]+)"', inspect.getsource(application))
    return {one.upper().replace("-", "_") for one in raised} - {
        "NOT_ACCEPTABLE",  # the return codes stand in its place
        "ALREADY_SUBMITTED",  # partners have no drafts
    }


def codes_of_what_is_sealed() -> set[str]:
    keys = set(re.findall(r'JweError\("([a-z_]+)"\)', inspect.getsource(jwe)))
    files = get_args(get_type_hints(DocumentRefusedError.__init__)["code"])
    return {f"JWE_{one.upper()}" for one in keys} | {f"DOCUMENT_{one.upper()}" for one in files}


def test_each_source_of_codes_was_read() -> None:
    assert {"UNKNOWN_TYPE", "LEFT_OUT", "ISSUED_IN_FUTURE"} <= codes_of_the_gate()
    assert {"not-utf-8", "wrong-value"} <= codes_of_the_envelope()
    assert {"CARD_ORDERED", "NOT_OPEN"} <= codes_of_the_application()
    assert {"JWE_CLEAR", "DOCUMENT_DAMAGED"} <= codes_of_what_is_sealed()


@pytest.mark.parametrize(
    "code",
    sorted(
        codes_of_the_gate()
        | codes_of_the_envelope()
        | codes_of_the_application()
        | codes_of_what_is_sealed()
    ),
)
def test_a_code_has_its_words(code: str) -> None:
    assert code in CODES or code in REFUSALS


def test_a_refusal_has_the_words_that_customers_read() -> None:
    assert set(REFUSALS) <= load_return_codes().codes.keys()
    assert not set(REFUSALS) & CODES.keys()


@pytest.mark.parametrize("code", sorted(CODES))
def test_the_words_are_whole_in_both_languages(code: str) -> None:
    said = CODES[code]
    for text in (said.cause, said.mend):
        assert text
        assert text[-1] not in ".。"
        assert text.isascii()
    for text in (said.cause_zh, said.mend_zh):
        assert re.search(r"[\u4e00-\u9fff]", text)
    assert said.in_english().endswith(".")


def test_a_code_that_nobody_foresaw_is_in_words_too() -> None:
    assert answers.words_of("frozen_set_type") is answers.OTHER
