"""Every code with which a partner can be refused is in words, in both languages."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime
from typing import get_args

import pytest

from services.intake import (
    account_facts,
    answers,
    application,
    inbound,
    partner_reading,
    watchlists,
)
from services.intake.answers import CODES, REFUSALS
from services.intake.api_problems import NO_PAPER
from services.intake.desk import document_problem
from shared.events import envelope
from shared.events.intake import InboundRejected
from shared.messaging import Fact
from shared.messaging import inbound as gate
from shared.paper_images import DocumentRefusedError
from shared.paper_messages import Refusal
from shared.parameters import load_papers, load_return_codes
from shared.privacy import jwe

GATE = (account_facts, inbound, partner_reading, watchlists, gate)


def codes_of_the_gate() -> set[str]:
    """Codes as they stand in the source of what refuses: in capitals, between quotes."""
    sources = "".join(inspect.getsource(one) for one in GATE)
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
    return {f"JWE_{one.upper()}" for one in keys}


def test_each_source_of_codes_was_read() -> None:
    assert {"UNKNOWN_TYPE", "LEFT_OUT", "ISSUED_IN_FUTURE"} <= codes_of_the_gate()
    assert {"not-utf-8", "wrong-value"} <= codes_of_the_envelope()
    assert {"CARD_ORDERED", "NOT_OPEN"} <= codes_of_the_application()
    assert "JWE_CLEAR" in codes_of_what_is_sealed()


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


@pytest.mark.parametrize("refusal", get_args(Refusal))
def test_a_file_that_is_no_paper_is_refused_in_words_on_every_way_in(refusal: Refusal) -> None:
    why = load_papers().refusals[refusal]
    code = ("documents.0.content", f"DOCUMENT_{refusal.upper()}")
    problem = gate.InboundProblem("mobile-app", "E-1", None, "A-1", (code,), "C-1")
    (told,) = inbound.rejected(problem, datetime(2026, 10, 12, 2, tzinfo=UTC))
    assert isinstance(told, Fact)
    assert isinstance(told.data, InboundRejected)
    (said,) = told.data.problems
    assert said.detail == f"{why.names.en}. {why.mend.en}."
    refused = document_problem(DocumentRefusedError(refusal))
    assert (refused.title, refused.errors[0].pointer) == (why.names.en, "/file")
    assert refused.errors[0].code in NO_PAPER


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
