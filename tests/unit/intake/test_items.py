"""Items of the checklist: which moves are legal, who may make them, and what is remembered."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import pytest

from services.intake.items import (
    MOVES,
    OPEN,
    SETTLED,
    Checklist,
    Item,
    ItemError,
    ItemState,
    Reason,
)
from services.intake.rules import Held, Need, Wanted
from shared.messaging.errors import Permanent

NOW = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)
OFFICER, SECOND = "staff:officer", "staff:second"
NEEDS = (
    Need("work_proof", "mandatory"),
    Need("income_proof", "one_of", "income"),
    Need("tax_proof", "one_of", "income"),
    Need("asset_proof", "optional"),
)
MISSING = (Wanted("work_proof", "DOC_MISSING"), Wanted("income_proof", "DOC_MISSING"))


def settled(kept: Checklist, *wanted: Wanted, held: dict[str, Held] | None = None) -> Checklist:
    kept.settle(wanted, NEEDS, held or {}, (), NOW)
    return kept


def begun() -> Checklist:
    """Nothing has come yet."""
    return settled(Checklist("salaried"), *MISSING)


def brought() -> Checklist:
    """Everything has come, nobody has looked."""
    kept = begun()
    for item in ("work_proof", "income_proof"):
        kept.receive(item, f"doc-{item}", "staff:1", NOW)
    return settled(kept)


def item_of(kept: Checklist, code: str = "work_proof") -> Item:
    return kept.find("applicant", code)


def states(kept: Checklist) -> dict[str, str]:
    return {item.item: str(item.state) for item in kept}


# --- what the rules and the customer do ---------------------------------------------------------


def test_every_item_begins_as_wanted_or_merely_welcome() -> None:
    assert states(begun()) == {
        "work_proof": "wanted",
        "income_proof": "wanted",
        "tax_proof": "wanted",  # one of the group will do, none is there
        "asset_proof": "not_needed",
    }


def test_what_came_is_received_and_the_rest_of_its_group_not_needed() -> None:
    assert states(brought()) == {
        "work_proof": "received",
        "income_proof": "received",
        "tax_proof": "not_needed",
        "asset_proof": "not_needed",
    }


def test_a_paper_that_the_rules_refuse_is_returned_at_once_and_mended_by_another() -> None:
    kept = brought()
    settled(kept, Wanted("work_proof", "DOC_STALE"))
    assert (item_of(kept).state, item_of(kept).codes) == (ItemState.RETURNED, ["DOC_STALE"])
    kept.receive("work_proof", "doc-2", "staff:1", NOW)
    settled(kept)
    assert (item_of(kept).state, item_of(kept).document_id) == (ItemState.RECEIVED, "doc-2")


def test_every_change_says_who_when_why_and_which_paper() -> None:
    kept = brought()
    kept.give_back(item_of(kept), ["NO_STAMP"], OFFICER, NOW, remark="sealed")
    told = [one for one in kept.changes if one.item == "work_proof"]
    assert [(one.actor, one.was, one.state, one.codes, one.document_id) for one in told] == [
        ("intake", None, "wanted", ("DOC_MISSING",), None),
        ("staff:1", "wanted", "received", (), "doc-work_proof"),
        (OFFICER, "received", "returned", ("NO_STAMP",), "doc-work_proof"),
    ]
    assert (told[-1].remark, told[-1].at) == ("sealed", NOW)


def test_looking_again_changes_nothing() -> None:
    kept = brought()
    before = len(kept.changes)
    settled(kept)
    assert len(kept.changes) == before


def test_a_wrong_field_keeps_its_item_open_whatever_paper_comes() -> None:
    kept = begun()
    settled(kept, Wanted("work_proof", "EMPTY", "employer"), MISSING[1])
    kept.receive("work_proof", "doc", "staff:1", NOW)
    assert item_of(kept).state is ItemState.RETURNED
    assert kept.mend(["employer"]) == []  # nobody had been told
    assert settled(kept, MISSING[1])
    assert item_of(kept).state is ItemState.RECEIVED


@pytest.mark.parametrize(
    ("code", "field", "answered"),
    [
        ("NAME_MISMATCH", "name", ["work_proof"]),
        ("NAME_MISMATCH", "employer", []),
        ("EMPLOYER_MISMATCH", "employer", ["work_proof"]),
        ("ADDR_MISMATCH", "home_address", ["work_proof"]),
        ("NO_STAMP", "employer", []),
    ],
)
def test_what_differs_from_the_form_is_mended_in_either(
    code: str, field: str, answered: list[str]
) -> None:
    kept = brought()
    kept.give_back(item_of(kept), [code], OFFICER, NOW)
    kept.tell(NOW)
    assert kept.mend([field]) == answered


def test_what_a_person_said_stays_until_something_comes() -> None:
    kept = brought()
    kept.give_back(item_of(kept), ["NO_STAMP"], OFFICER, NOW)
    assert settled(kept)
    assert item_of(kept).codes == ["NO_STAMP"]
    kept.receive("work_proof", "doc-2", "staff:1", NOW)
    assert settled(kept)
    assert item_of(kept).codes == []


# --- once only ----------------------------------------------------------------------------------

HELD = {"work_proof": Held("old-paper", "earlier")}


def test_what_the_bank_holds_is_taken_over_and_marked_so() -> None:
    kept = settled(Checklist("salaried"), MISSING[1], held=HELD)
    item = item_of(kept)
    assert (item.state, item.taken_from, item.document_id) == ("accepted", "earlier", "old-paper")


def test_what_is_held_no_longer_expires_and_is_asked_for_as_such() -> None:
    kept = settled(Checklist("salaried"), MISSING[1], held=HELD)
    settled(kept, *MISSING)
    assert (item_of(kept).state, item_of(kept).codes) == ("expired", ["DOC_MISSING"])
    assert [one.why for one in kept.again] == ["LAPSED"]


def test_an_own_paper_goes_before_one_that_is_held() -> None:
    kept = settled(Checklist("salaried"), MISSING[1], held=HELD)
    kept.receive("work_proof", "doc", "staff:1", NOW)
    settled(kept, MISSING[1], held=HELD)
    assert (item_of(kept).document_id, item_of(kept).taken_from) == ("doc", None)


def test_what_nobody_needs_is_not_taken_over() -> None:
    kept = settled(begun(), *MISSING, held={"enrolment_proof": Held("x", "earlier")})
    assert "enrolment_proof" not in states(kept)


# --- what was accepted is asked for again with a reason alone -------------------------------------


def accepted() -> Checklist:
    kept = brought()
    for code in ("work_proof", "income_proof"):
        kept.accept(item_of(kept, code), OFFICER, NOW)
    return kept


def waived() -> Checklist:
    kept = begun()
    kept.ask_waiver(item_of(kept), "KNOWN_OTHERWISE", OFFICER, NOW)
    kept.answer_waiver(item_of(kept), True, SECOND, NOW)
    return kept


@pytest.mark.parametrize("make", [accepted, waived])
@pytest.mark.parametrize(
    "ask",
    [
        lambda kept: kept.give_back(item_of(kept), ["NO_STAMP"], OFFICER, NOW),
        lambda kept: kept.ask("work_proof", [Reason("NO_STAMP")], OFFICER, NOW),
    ],
    ids=["returned", "asked"],
)
def test_what_was_settled_is_not_asked_for_without_a_reason(
    make: Callable[[], Checklist], ask: Callable[[Checklist], None]
) -> None:
    kept = make()
    with pytest.raises(ItemError) as refused:
        ask(kept)
    assert refused.value.code == "item-accepted"
    assert item_of(kept).state in SETTLED
    assert kept.again == []


def test_with_a_reason_it_is_and_that_is_counted() -> None:
    kept = accepted()
    kept.ask("work_proof", [Reason("NO_STAMP")], OFFICER, NOW, why="ACCEPTED_IN_ERROR")
    assert (item_of(kept).state, item_of(kept).asked_again) == ("returned", 1)
    assert [(one.why, one.codes) for one in kept.again] == [("ACCEPTED_IN_ERROR", ("NO_STAMP",))]


def test_what_came_for_an_accepted_paper_and_is_sent_back_is_asked_for_again() -> None:
    kept = accepted()
    kept.receive("work_proof", "newer", "staff:1", NOW)
    kept.give_back(item_of(kept), ["NO_STAMP"], OFFICER, NOW)
    assert item_of(kept).asked_again == 1
    assert [(one.actor, one.codes) for one in kept.again] == [(OFFICER, ("NO_STAMP",))]
    # once for each asking, whatever comes until something is accepted again
    kept.give_back(item_of(kept), ["COPY_UNCLEAR"], OFFICER, NOW)
    kept.receive("work_proof", "newest", "staff:1", NOW)
    kept.give_back(item_of(kept), ["NO_STAMP"], OFFICER, NOW)
    assert (item_of(kept).asked_again, len(kept.again)) == (1, 1)
    kept.receive("work_proof", "last", "staff:1", NOW)
    kept.accept(item_of(kept), OFFICER, NOW)
    kept.receive("work_proof", "one more", "staff:1", NOW)
    settled(kept, Wanted("work_proof", "DOC_UNDATED"))
    assert (item_of(kept).asked_again, kept.again[-1].codes) == (2, ("DOC_UNDATED",))


def test_a_better_paper_in_the_place_of_an_accepted_one_is_no_asking() -> None:
    kept = accepted()
    kept.receive("work_proof", "newer", "staff:1", NOW)
    kept.accept(item_of(kept), OFFICER, NOW)
    assert (item_of(kept).asked_again, kept.again) == (0, [])


def test_what_the_bank_holds_counts_where_a_paper_of_their_own_does_not() -> None:
    held = {"work_proof": Held("held", "earlier")}
    kept = Checklist("salaried")
    kept.receive("work_proof", "undated", "staff:1", NOW)
    kept.settle((), NEEDS, held, (), NOW, unsound={"work_proof"})
    item = item_of(kept)
    assert (item.state, item.document_id, item.taken_from) == ("accepted", "held", "earlier")
    # once its date is told, their own is the newer one
    kept.receive("work_proof", "dated", "staff:1", NOW)
    kept.settle((), NEEDS, held, (), NOW)
    assert (item.state, item.document_id, item.taken_from) == ("received", "dated", None)


def test_what_was_never_accepted_is_asked_for_without_being_counted() -> None:
    kept = begun()
    kept.ask("asset_proof", [Reason("DOC_MISSING")], OFFICER, NOW, why="REVIEW_WISH")
    assert (item_of(kept, "asset_proof").state, kept.again) == ("wanted", [])


def test_a_form_that_no_longer_fits_reopens_what_was_accepted_for_that_reason() -> None:
    kept = settled(accepted(), Wanted("work_proof", "EMPTY", "employer"))
    assert [(one.why, one.state) for one in kept.again] == [("FORM_CHANGED", "returned")]


def test_an_expired_card_lapses() -> None:
    kept = settled(accepted(), Wanted("work_proof", "ID_EXPIRED", "id_issued"))
    assert [(one.why, one.state) for one in kept.again] == [("LAPSED", "expired")]


# --- officers -----------------------------------------------------------------------------------


def test_an_officer_accepts_what_they_looked_at() -> None:
    kept = brought()
    with pytest.raises(ItemError) as refused:
        kept.accept(item_of(kept), OFFICER, NOW, document_id="an older one")
    assert refused.value.code == "newer-paper"
    kept.accept(item_of(kept), OFFICER, NOW, document_id="doc-work_proof")
    kept.accept(item_of(kept), SECOND, NOW, document_id="doc-work_proof")  # said twice, done once
    assert (item_of(kept).state, item_of(kept).by) == ("accepted", OFFICER)


def test_an_officer_does_not_accept_what_the_rules_refuse_or_what_is_not_there() -> None:
    kept = settled(brought(), Wanted("work_proof", "DOC_UNDATED"))
    with pytest.raises(ItemError) as refused:
        kept.accept(item_of(kept), OFFICER, NOW)
    assert (refused.value.code, refused.value.codes) == ("rules-object", ("DOC_UNDATED",))
    with pytest.raises(ItemError) as refused:
        kept.accept(item_of(kept, "tax_proof"), OFFICER, NOW)
    assert refused.value.code == "nothing-there"


def test_an_officer_may_think_better_of_a_return() -> None:
    kept = brought()
    kept.give_back(item_of(kept), ["NO_STAMP"], OFFICER, NOW)
    kept.accept(item_of(kept), OFFICER, NOW)
    assert (item_of(kept).state, item_of(kept).codes) == ("accepted", [])


def test_the_item_of_another_person_is_not_found() -> None:
    with pytest.raises(ItemError) as refused:
        brought().find("guardian", "work_proof")
    assert refused.value.code == "not-on-list"


@pytest.mark.parametrize(
    ("item", "applicant", "party"),
    [
        ("id_front", "salaried", "applicant"),
        ("id_front", "supplementary", "supplementary_holder"),
        ("main_card_confirmation", "supplementary", "applicant"),
        ("guardian_consent", "supplementary", "guardian"),
    ],
)
def test_an_item_belongs_to_whom_it_is_about(item: str, applicant: str, party: str) -> None:
    kept = Checklist(applicant)
    kept.receive(item, "doc", "staff:1", NOW)
    assert [one.party for one in kept] == [party]


# --- two people do without it -------------------------------------------------------------------


def test_one_person_waives_nothing() -> None:
    kept = begun()
    kept.ask_waiver(item_of(kept), "NOT_OBTAINABLE", OFFICER, NOW)
    assert item_of(kept).open
    with pytest.raises(ItemError) as refused:
        kept.answer_waiver(item_of(kept), True, OFFICER, NOW)
    assert refused.value.code == "same-person"
    assert item_of(kept).state is ItemState.WANTED


def test_a_second_person_agrees_and_both_are_named() -> None:
    kept = settled(waived(), *MISSING)
    assert (item_of(kept).state, item_of(kept).codes) == ("waived", [])
    change = kept.changes[-1]
    assert (change.actor, change.second, change.why) == (OFFICER, SECOND, "KNOWN_OTHERWISE")


def test_a_second_person_may_refuse() -> None:
    kept = begun()
    kept.ask_waiver(item_of(kept), "NOT_OBTAINABLE", OFFICER, NOW)
    kept.answer_waiver(item_of(kept), False, SECOND, NOW)
    assert (item_of(kept).state, item_of(kept).waiver) == ("wanted", None)
    with pytest.raises(ItemError) as refused:
        kept.answer_waiver(item_of(kept), True, SECOND, NOW)
    assert refused.value.code == "no-waiver-asked"


def test_what_the_law_asks_for_is_never_waived() -> None:
    kept = Checklist("salaried")
    kept.settle([Wanted("id_front", "DOC_MISSING")], [Need("id_front", "mandatory")], {}, (), NOW)
    with pytest.raises(ItemError) as refused:
        kept.ask_waiver(item_of(kept, "id_front"), "NOT_OBTAINABLE", OFFICER, NOW)
    assert refused.value.code == "not-waivable"


def test_a_paper_that_comes_after_all_ends_the_wish_to_do_without_it() -> None:
    kept = begun()
    kept.ask_waiver(item_of(kept), "NOT_OBTAINABLE", OFFICER, NOW)
    kept.receive("work_proof", "doc", "staff:1", NOW)
    assert item_of(kept).waiver is None


# --- one of a group -----------------------------------------------------------------------------

LATER, LAST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


def test_another_one_of_its_group_will_do_in_place_of_what_an_officer_sent_back() -> None:
    kept = brought()
    kept.give_back(item_of(kept, "income_proof"), ["PHOTO_UNCLEAR"], OFFICER, NOW)
    kept.tell(NOW)
    kept.receive("tax_proof", "doc-tax", "customer", LATER)
    settled(kept)
    assert states(kept)["income_proof"] == "not_needed"
    assert states(kept)["tax_proof"] == "received"
    assert not kept.outstanding()
    before = len(kept.changes)
    settled(kept)
    assert len(kept.changes) == before
    # it is not forgotten what was wrong with it
    kept.give_back(item_of(kept, "tax_proof"), ["NO_STAMP"], OFFICER, LAST)
    settled(kept)
    income = item_of(kept, "income_proof")
    assert (income.state, income.codes) == (ItemState.RETURNED, ["PHOTO_UNCLEAR"])


def test_what_somebody_wants_although_another_one_was_there_stays_wanted() -> None:
    kept = brought()
    kept.ask("tax_proof", [Reason("DOC_MISSING")], OFFICER, LATER)
    settled(kept)
    assert states(kept)["tax_proof"] == "wanted"
    assert states(kept)["income_proof"] == "received"


def test_a_paper_of_a_group_that_does_not_count_is_neither_there_nor_accepted() -> None:
    kept = brought()
    kept.receive("tax_proof", "doc-old", "customer", NOW)
    kept.settle([], NEEDS, {}, (), NOW, unsound={"tax_proof"})
    assert states(kept)["tax_proof"] == "not_needed"
    kept.accept_all(NOW)
    assert states(kept)["income_proof"] == "accepted"
    assert states(kept)["tax_proof"] == "not_needed"


def test_of_several_papers_that_do_not_count_none_settles_the_group() -> None:
    kept = begun()
    for item in ("work_proof", "income_proof", "tax_proof"):
        kept.receive(item, f"doc-{item}", "customer", NOW)
    stale = Wanted("income_proof", "DOC_STALE")
    kept.settle([stale], NEEDS, {}, (), NOW, unsound={"income_proof", "tax_proof"})
    assert (states(kept)["income_proof"], states(kept)["tax_proof"]) == ("returned", "wanted")


def test_one_of_a_group_that_is_waived_settles_the_group() -> None:
    kept = begun()
    kept.ask_waiver(item_of(kept, "tax_proof"), "COVERED_BY_OTHER", OFFICER, NOW)
    kept.answer_waiver(item_of(kept, "tax_proof"), True, SECOND, NOW)
    settled(kept, *MISSING)
    assert states(kept)["income_proof"] == "not_needed"


# --- the table of moves -------------------------------------------------------------------------


@pytest.mark.parametrize(("was", "state"), list(product(MOVES, ItemState)))
def test_only_the_moves_of_the_table_are_possible(was: ItemState | None, state: ItemState) -> None:
    kept = Checklist("salaried", [Item("applicant", "work_proof", was)])
    item = item_of(kept)

    def move() -> None:
        kept._move(item, state, OFFICER, NOW, why="ACCEPTED_IN_ERROR")

    if state is was or state in MOVES[was]:
        move()
        assert item.state is state
    else:
        with pytest.raises(Permanent):
            move()
        assert item.state is was


@pytest.mark.parametrize(("was", "state"), list(product(sorted(SETTLED), sorted(OPEN))))
def test_nothing_settled_is_reopened_without_a_reason(was: ItemState, state: ItemState) -> None:
    kept = Checklist("salaried", [Item("applicant", "work_proof", was)])
    with pytest.raises(Permanent):
        kept._move(item_of(kept), state, OFFICER, NOW)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_moves_are_legal_and_history_tells_the_state(seed: int) -> None:
    """Rules, customer and officers in any order: the history has no gap and ends in what is; what
    leaves accepted or waived towards the customer has a reason and is counted."""
    chance = random.Random(seed)
    kept = begun()
    for step in range(80):
        _something(kept, chance, f"d{step}")
    for item in kept:
        moved = [one for one in kept.changes if one.item == item.item and one.action == "moved"]
        for before, after in pairwise(moved):
            assert before.state == after.was
        if moved:
            assert moved[-1].state == item.state
        assert all(one.why for one in moved if one.was in SETTLED and one.state in OPEN)
        again, replaced = 0, False
        for one in moved:
            if one.state in OPEN and (one.was in SETTLED or (replaced and one.codes)):
                again, replaced = again + 1, False
            elif SETTLED & {one.was, one.state}:
                replaced = one.state is ItemState.RECEIVED
        assert item.asked_again == again
        if item.state is ItemState.WAIVED:
            assert item.waiver is not None
            assert item.waiver.by != item.waiver.second_by


def _something(kept: Checklist, chance: random.Random, paper: str) -> None:
    """One act of the rules, the customer or an officer; what is refused changes nothing."""
    code = chance.choice([need.item for need in NEEDS])
    item = item_of(kept, code)
    findings = [one for one in MISSING if chance.random() < 0.3]
    acts: list[Callable[[], object]] = [
        lambda: kept.receive(code, paper, "staff:1", NOW),
        lambda: settled(kept, *findings),
        lambda: settled(kept, *findings, held=HELD),
        lambda: kept.accept(item, OFFICER, NOW),
        lambda: kept.give_back(item, ["NO_STAMP"], OFFICER, NOW),
        lambda: kept.ask(code, [Reason("NO_STAMP")], OFFICER, NOW, why="LOST"),
        lambda: kept.ask_waiver(item, "NOT_OBTAINABLE", OFFICER, NOW),
        lambda: kept.answer_waiver(item, chance.random() < 0.7, SECOND, NOW),
        lambda: kept.mend(["employer"]),
        lambda: kept.tell(NOW),
        lambda: kept.accept_all(NOW),
    ]
    with suppress(ItemError):
        chance.choice(acts)()
