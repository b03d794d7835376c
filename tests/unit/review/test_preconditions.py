"""The list of what an approval needs: complete, and each with its state."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from services.review import case as cases
from services.review.case import REASONS_AGAINST, Case, Check
from services.review.preconditions import LISTED, OPINION, Precondition, preconditions
from shared.events.lifecycle import State
from shared.money import Money
from tests.unit.review.builders import NOW, case, hand_over, paper, referred


def states(subject: Case) -> dict[str, bool | None]:
    return {one.words: one.met for one in preconditions(subject, NOW)}


def of(subject: Case, code: str) -> Precondition:
    (words,) = [words for words, codes in LISTED.items() if code in codes]
    (found,) = [one for one in preconditions(subject, NOW) if one.words == words]
    return found


def test_every_obstacle_stands_in_one_line_of_the_list() -> None:
    listed = Counter(code for codes in LISTED.values() for code in codes)
    assert listed == Counter(list(REASONS_AGAINST))


def test_where_nothing_stands_against_it_all_is_met_but_the_opinion() -> None:
    waiting = referred()
    told = states(waiting)
    assert told.pop(OPINION) is None
    assert set(told.values()) == {True}
    assert len(told) == len(LISTED) - 1  # the guarantee is a student's alone


def test_whoever_signs_finds_the_opinion_there() -> None:
    waiting = referred()
    list(cases.decide_claim(waiting, "first", NOW))
    list(cases.decide_propose_approval(waiting, "first", Money.of(20_000), "sealed", NOW))
    assert set(states(waiting).values()) == {True}
    # what is hidden shows by no line: a proposal to decline has the same list
    unseen = preconditions(waiting, NOW, hidden=True)
    assert unseen[-1] == Precondition(OPINION, None)
    list(cases.decide_return(waiting, "second", "sealed", NOW))
    list(cases.decide_propose_decline(waiting, "first", "BUREAU_ADVERSE", "sealed", NOW))
    assert preconditions(waiting, NOW, hidden=True) == unseen


def test_a_student_has_a_line_more() -> None:
    student = referred()
    student.need_scope().applicant_type = "student"
    assert of(student, "NO_SECOND_SOURCE").met is False


def test_what_is_missing_is_named() -> None:
    waiting = referred()
    whole = hand_over()
    (party,) = whole.parties
    fields = {name: text for name, text in party.fields.items() if name != "mobile"}
    waiting.hand_over = hand_over(
        documents=[one for one in whole.documents if one.item not in ("id_back", "income_proof")],
        parties=[party.model_copy(update={"fields": fields})],
    )
    papers, form = of(waiting, "DOCUMENT_MISSING"), of(waiting, "FIELD_MISSING")
    assert papers.items == (
        ("id_back",),
        ("income_proof", "tax_proof", "social_security_proof"),
    )
    assert (papers.met, form.met, form.fields) == (False, False, ("mobile",))
    assert papers.against == (REASONS_AGAINST["DOCUMENT_MISSING"],)
    waiting.hand_over = hand_over(documents=[paper("id_front")])
    assert of(waiting, "NO_DOCUMENTS").against == (REASONS_AGAINST["DOCUMENT_MISSING"],)
    waiting.hand_over = hand_over(documents=[])
    assert of(waiting, "NO_DOCUMENTS").against == (REASONS_AGAINST["NO_DOCUMENTS"],)


def test_which_answer_lapsed_is_named() -> None:
    waiting = referred()
    waiting.checks["identity"] = Check(
        "identity", "r", 1, NOW, "answered", "sealed", NOW, NOW + timedelta(days=1)
    )
    assert of(waiting, "EVIDENCE_STALE").met is True
    waiting.checks["identity"].valid_until = NOW
    assert of(waiting, "EVIDENCE_STALE").checks == ("identity",)


def test_before_the_policy_has_spoken_nobody_knows_what_it_will_find() -> None:
    told = states(case(State.MANUAL_REVIEW))
    assert of(case(State.MANUAL_REVIEW), "NOT_SCORED").met is False
    assert [met for met in told.values() if met is None] == [None] * 7
