"""The checklist: one line per item, done or with everything that is open."""

from __future__ import annotations

from datetime import timedelta

from services.intake.checklist import Line, checklist
from services.intake.form import ApplicationForm
from services.intake.rules import Paper, Wanted
from shared.parameters import product_of
from tests.unit.intake.builders import REGION, SALARIED_PAPERS, TODAY, form, papers, person


def lines(
    application: ApplicationForm | None = None,
    handed_in: list[Paper] | None = None,
    on_file: frozenset[str] = frozenset(),
    asked: tuple[Wanted, ...] = (),
) -> dict[str, Line]:
    application = application or form()
    found = checklist(
        application,
        papers() if handed_in is None else handed_in,
        product_of(application.product),
        today=TODAY,
        region=REGION,
        on_file=on_file,
        asked=asked,
    )
    assert len(found) == len({line.item for line in found})
    return {line.item: line for line in found}


def test_a_complete_application_has_every_needed_item_done() -> None:
    found = lines()
    assert all(line.done for line in found.values() if line.need == "mandatory")
    assert not any(line.reasons for line in found.values())
    assert found["credit_authorization"].done
    assert found["tax_proof"].group == "income"
    assert not found["tax_proof"].done
    assert found["income_proof"].documents == ("doc-income_proof",)


def test_what_is_missing_says_why() -> None:
    found = lines(handed_in=papers(["id_front"]))
    assert found["id_front"].done
    assert found["id_back"].reasons == (("DOC_MISSING", None),)
    assert not found["id_back"].done
    assert found["asset_proof"].need == "optional"


def test_a_wrong_field_opens_the_paper_that_shows_it() -> None:
    found = lines(form(parties=[person(name="?")]))
    assert found["id_front"].reasons == (("NAME_FORM", "name"),)
    assert not found["id_front"].done


def test_a_stale_paper_is_not_done() -> None:
    old = papers(["work_proof"], issued_on=TODAY - timedelta(days=100))
    rest = papers(item for item in SALARIED_PAPERS if item != "work_proof")
    found = lines(handed_in=[*rest, *old])
    assert found["work_proof"].reasons == (("DOC_STALE", None),)
    assert found["work_proof"].documents == ("doc-work_proof",)


def test_what_a_reviewer_asks_for_is_a_line_of_its_own() -> None:
    found = lines(asked=(Wanted("bank_statement", "DOC_MISSING"),))
    assert found["bank_statement"].need == "mandatory"
    assert not found["bank_statement"].done
    assert found["bank_statement"].reasons == (("DOC_MISSING", None),)


def test_an_asked_item_opens_a_line_that_was_done() -> None:
    found = lines(asked=(Wanted("work_proof", "NO_STAMP"),))
    assert not found["work_proof"].done
    assert found["work_proof"].reasons == (("NO_STAMP", None),)


def test_papers_on_file_are_not_listed_as_wanted() -> None:
    known = form(applicant_type="existing_customer")
    held = frozenset({"id_front", "id_back", "work_proof"})
    found = lines(known, papers(["application_form_signed"]), on_file=held)
    assert "id_front" not in found
    assert all(line.done for line in found.values() if line.need == "mandatory")


def test_the_newest_paper_comes_first() -> None:
    two = [Paper("id_front", TODAY, None, "old"), Paper("id_front", TODAY, None, "new")]
    assert lines(handed_in=two)["id_front"].documents == ("new", "old")
