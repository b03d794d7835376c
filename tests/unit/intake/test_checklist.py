"""The checklist as people see it: one line per item, done or with everything that is open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from services.intake.application import Application
from services.intake.checklist import Line, checklist, for_customer, tally
from services.intake.form import ApplicationForm
from services.intake.items import Checklist, ItemState, Reason
from services.intake.rules import EarlierPaper, Paper
from tests.unit.intake.builders import (
    SALARIED_PAPERS,
    TODAY,
    form,
    look,
    on_file,
    papers,
    person,
)

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)


def items(
    application: ApplicationForm | None = None,
    handed_in: Sequence[Paper] | None = None,
    filed: Sequence[EarlierPaper] = (),
) -> Checklist:
    """The checklist of an application as intake keeps it."""
    application = application or form()
    handed_in = papers() if handed_in is None else handed_in
    kept = Checklist(application.applicant_type)
    for paper in handed_in:
        kept.receive(paper.item, paper.document_id, "staff:1", NOW)
    found = look(application, list(handed_in), filed=filed)
    kept.settle(found.wanted, found.needs, found.held, found.there, NOW, unsound=found.unsound)
    return kept


def shown(kept: Checklist) -> dict[str, Line]:
    found = checklist(Application("a", items=kept))
    assert len(found) == len({line.item for line in found})
    return {line.item: line for line in found}


def lines(
    application: ApplicationForm | None = None,
    handed_in: Sequence[Paper] | None = None,
    filed: Sequence[EarlierPaper] = (),
) -> dict[str, Line]:
    return shown(items(application, handed_in, filed))


def test_a_complete_application_has_every_needed_item_done() -> None:
    found = lines()
    assert all(line.done for line in found.values() if line.need == "mandatory")
    assert not any(line.reasons for line in found.values())
    assert found["credit_authorization"].done
    assert found["tax_proof"].group == "income"
    assert found["tax_proof"].state is ItemState.NOT_NEEDED
    assert found["income_proof"].documents == ("doc-income_proof",)


def test_what_is_missing_says_why() -> None:
    found = lines(handed_in=papers(["id_front"]))
    assert found["id_front"].done
    assert found["id_back"].reasons == (("DOC_MISSING", None),)
    assert found["id_back"].state is ItemState.WANTED
    assert found["asset_proof"].need == "optional"


def test_a_wrong_field_opens_the_paper_that_shows_it() -> None:
    found = lines(form(parties=[person(name="?")]))
    assert found["id_front"].reasons == (("NAME_FORM", "name"),)
    assert found["id_front"].state is ItemState.RETURNED


def test_a_stale_paper_is_given_back() -> None:
    old = papers(["work_proof"], issued_on=TODAY - timedelta(days=100))
    rest = papers(item for item in SALARIED_PAPERS if item != "work_proof")
    found = lines(handed_in=[*rest, *old])
    assert found["work_proof"].reasons == (("DOC_STALE", None),)
    assert found["work_proof"].state is ItemState.RETURNED
    assert found["work_proof"].documents == ("doc-work_proof",)


def test_what_a_reviewer_asks_for_is_a_line_of_its_own() -> None:
    kept = items()
    kept.ask("bank_statement", [Reason("DOC_MISSING")], "staff:r", NOW, why="REVIEW_WISH")
    line = shown(kept)["bank_statement"]
    assert (line.state, line.reasons) == (ItemState.WANTED, (("DOC_MISSING", None),))


def test_papers_on_file_are_listed_as_taken_over() -> None:
    known = form(applicant_type="existing_customer")
    held = on_file({"id_front", "id_back", "work_proof"})
    found = lines(known, papers(["application_form_signed"]), held)
    assert {line.item for line in found.values() if line.taken_from == "earlier"} == {
        "id_front",
        "id_back",
        "work_proof",
    }
    assert all(line.done for line in found.values() if line.need == "mandatory")
    assert found["id_front"].state is ItemState.ACCEPTED


def test_a_second_application_of_a_salaried_customer_is_not_asked_twice_either() -> None:
    found = lines(form(), papers(["application_form_signed"]), on_file(SALARIED_PAPERS))
    assert not any(line.to_do for line in found.values())
    assert found["income_proof"].taken_from == "earlier"
    assert found["application_form_signed"].taken_from is None


def test_one_proof_on_file_settles_its_group() -> None:
    rest = papers(item for item in SALARIED_PAPERS if item != "income_proof")
    found = lines(form(), rest, on_file(["tax_proof"]))
    assert not any(line.to_do for line in found.values())
    assert tally(found.values()).settled_groups == {"income"}
    assert found["income_proof"].state is ItemState.NOT_NEEDED


def test_a_stale_proof_beside_one_that_counts_is_not_done() -> None:
    """It used to be accepted with the rest."""
    stale = papers(["income_proof"], issued_on=TODAY - timedelta(days=200))
    rest = papers(item for item in SALARIED_PAPERS if item != "income_proof")
    found = lines(form(), [*rest, *stale, *papers(["tax_proof"])])
    assert found["income_proof"].state is ItemState.NOT_NEEDED
    assert not any(line.to_do for line in found.values())


def test_a_group_of_which_one_is_asked_for_is_not_settled() -> None:
    """However many of it lie there: it used to be counted as done."""
    kept = items()
    before = tally(checklist(Application("a", items=kept)))
    kept.ask("tax_proof", [Reason("DOC_MISSING")], "staff:r", NOW)
    after = tally(checklist(Application("a", items=kept)))
    assert before.settled_groups == {"income"}
    assert before.done == before.needed
    assert not after.settled_groups
    assert after.done == before.needed - 1


def test_the_customers_list_leaves_out_what_nobody_needs() -> None:
    asked = for_customer(checklist(Application("a", items=items(handed_in=papers(["id_front"])))))
    assert {line.item for line in asked} == {
        *SALARIED_PAPERS,
        "credit_authorization",
        "tax_proof",
        "social_security_proof",
    }
    complete = for_customer(checklist(Application("a", items=items())))
    assert {line.item for line in complete} == {*SALARIED_PAPERS, "credit_authorization"}


def test_the_paper_that_counts_comes_first() -> None:
    two = [Paper("id_front", TODAY, None, "old"), Paper("id_front", TODAY, None, "new")]
    assert lines(handed_in=two)["id_front"].documents[0] == "new"
