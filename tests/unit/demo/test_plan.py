"""The demo's plan: the same for a seed, whole in what it tells, and made of nobody real."""

from collections import Counter
from datetime import UTC, date, datetime, time

import pytest

from deploy.demo import credit_systems, handed_in, plan
from deploy.demo.credit_systems import scenario_of
from deploy.demo.plan import Branch, Final, Plan, at, make_plan, next_tick
from services.intake.form import ApplicationForm
from services.intake.rules import Paper, examine
from services.review.checks.subject import subject
from services.review.policy import BureauRecord, PolicyInputs
from services.review.reason_codes import REASONS, Effect
from shared.calendar import BUSINESS_ZONE, is_working_day
from shared.events.review import DeclineCategory
from shared.formats import (
    Severity,
    age_on,
    check_address,
    check_email,
    check_employer,
    check_id_term,
    check_mobile,
    check_name,
    check_office_phone,
    check_resident_id,
    is_synthetic_resident_id,
)
from shared.parameters import APPLICANT_TYPES, load_checks, load_products, product_of
from tests.unit.review.builders import inputs, shipped

BRANCHES = [
    Branch(code, code[:2]) for code in ("1101", "3101", "4401", "3201", "3301", "5101", "4201")
]


@pytest.fixture(scope="module")
def whole() -> Plan:
    return make_plan(7, BRANCHES)


def test_one_seed_gives_one_plan(whole: Plan) -> None:
    assert make_plan(7, BRANCHES) == whole
    assert make_plan(8, BRANCHES) != whole


def test_ten_working_days_from_the_opening_with_about_sixty_applications_each(whole: Plan) -> None:
    assert whole.days[0] == date(2026, 10, 12)
    assert len(whole.days) == 10
    assert all(is_working_day(day) for day in whole.days)
    each = Counter(one.applied_at.astimezone(BUSINESS_ZONE).date() for one in whole.applications)
    assert 590 <= len(whole.applications) <= 610
    assert all(45 <= each[day] <= 80 for day in whole.days)


def test_every_product_applicant_and_way_to_the_bank_occurs(whole: Plan) -> None:
    assert {one.product for one in whole.applications} == set(load_products())
    assert {one.applicant_type for one in whole.applications} == set(APPLICANT_TYPES)
    assert {one.route for one in whole.applications} == set(plan.ALL_ROUTES)
    assert {one.branch.code for one in whole.applications} == {one.code for one in BRANCHES}


def test_every_product_is_open_to_its_applicant_and_channel(whole: Plan) -> None:
    for one in whole.applications:
        product = product_of(one.product)
        assert one.channel in product.channels
        assert one.applicant_type in product.applicants


def test_every_category_of_decline_and_every_ending_is_planned(whole: Plan) -> None:
    categories = {one.category for one in whole.applications if one.final is Final.DECLINED}
    assert categories == {category.value for category in DeclineCategory}
    assert {one.final for one in whole.applications} == set(Final)
    assert {one.category for one in whole.applications if one.final is not Final.DECLINED} == {None}


@pytest.mark.parametrize("seed", [7, 20261012])
def test_declines_follow_from_what_the_banks_systems_say(seed: int) -> None:
    """Only unsound papers and what compliance finds are a person's own judgement."""
    policy = shipped().policy
    judged = {"papers unsound": "MATERIAL_UNSOUND", "hold, confirmed": ""}
    ruled = set()
    for one in make_plan(seed, BRANCHES).applications:
        reason = one.handling.decline_for
        assert reason == judged.get(one.story, ""), one.story
        if one.final is Final.DECLINED and one.story not in judged:
            found = policy.evaluate(_asked_about(one))
            reasons = sorted((REASONS[code] for code in found.findings), key=lambda r: r.rank)
            primary = next(r for r in reasons if r.effect is Effect.DECLINE)
            assert found.advice == "decline", one.story
            assert primary.category == one.category, (one.key, one.story, found.findings)
            ruled.add(one.category)
    by_hand = {DeclineCategory.MATERIAL_UNSOUND, DeclineCategory.INTERNAL}
    assert ruled == set(DeclineCategory) - by_hand


def _asked_about(one: plan.Application) -> PolicyInputs:
    """What review would know of a salaried stranger or a known customer."""
    number = one.person.id_number
    said = credit_systems.identity_answer(number)
    record = credit_systems.bureau_answer(number)
    hits = credit_systems.watchlist_answer(number)["hits"]
    identity = "cancelled" if said["status"] == "cancelled" else "mismatch"
    return inputs(
        applicant_type=one.applicant_type,
        product=one.product,
        new_to_bank=one.applicant_type != "existing_customer",
        age=age_on(one.person.born, one.applied_at.date()),
        monthly_income=int(one.person.monthly_income),
        identity="match" if said["match"] and said["status"] == "normal" else identity,
        watchlist="hit"
        if any(hit["score"] >= load_checks().screening.outside for hit in hits)
        else "clear",
        bureau=BureauRecord(**record),
    )


def test_every_story_is_told(whole: Plan) -> None:
    told = Counter(one.story for one in whole.applications)
    assert told["plain"] > 150
    assert {"paper late", "applied twice, second", "returns too soon", "stuck in review"} <= set(
        told
    )
    assert sum(one.stalls for one in whole.applications) == told["stuck in review"] == 1
    assert {one.kind for one in whole.malformed} == set(plan.MALFORMED)
    assert set(plan.UNREADABLE) <= set(plan.MALFORMED)


def test_people_are_made_up_and_fit_the_rules(whole: Plan) -> None:
    today = whole.days[0]
    for one in whole.applications:
        person, rules = one.person, product_of(one.product).form.fields
        findings = [
            *check_name(person.name),
            *check_mobile(person.mobile, rules),
            *check_email(person.email),
            *check_address(person.home_address, rules),
            *check_employer(person.employer, rules),
            *check_address(person.work_address, rules),
            *check_office_phone(person.office_phone, person.mobile, rules),
        ]
        if one.story == "passport":
            continue
        assert is_synthetic_resident_id(person.id_number)
        if one.story != "check digit wrong":
            findings += check_resident_id(person.id_number, today)
        if one.story != "ID card expired":
            findings += check_id_term(
                person.born, person.id_issued, person.id_expires, today, tolerance_days=1
            )
        assert not [one for one in findings if one.severity is Severity.ERROR]


def test_one_shows_a_passport_and_nothing_is_wrong_with_it(whole: Plan) -> None:
    [one] = [one for one in whole.applications if one.story == "passport"]
    assert one.handling.met
    assert {paper.item for action in one.actions for paper in action.papers} == {
        *("application_form_signed", "passport_page", "stay_permit"),
        *("work_proof", "income_proof"),
    }
    at, day = one.applied_at, whole.days[0]
    found = examine(
        ApplicationForm.model_validate(handed_in.form(one, at)),
        [
            Paper(paper.item, day, paper.issued_on, paper.item)
            for action in one.actions
            for paper in action.papers
        ],
        product_of(one.product),
        today=day,
        region=one.branch.region,
    )
    assert (found.wanted, found.refusals, found.warnings) == ((), (), ("ID_PASSPORT",))
    # whom the bank around asks of it answers that nothing is wrong
    assert scenario_of(one.person.id_number) == "good"
    asked = credit_systems.CreditQuestion.model_validate(
        {
            **subject(handed_in.personal(one.person)),
            "request_id": "1",
            "consent_signed_at": at,
            "purpose": handed_in.PURPOSE,
        }
    )
    assert (asked.id_type, asked.birth_date) == ("passport", one.person.birth_date)


def test_only_the_planted_have_a_scenario(whole: Plan) -> None:
    for one in whole.applications:
        examined = one.holder or one.person
        scenario = scenario_of(examined.id_number)
        if one.story in ("plain", "paper missing", "existing customer", "sent back once"):
            assert scenario == "good"
        if one.story == "hold, released":
            assert scenario == "watchlist"


def test_nobody_appears_twice_but_who_comes_again(whole: Plan) -> None:
    again = {"applied twice, second", "returns too soon"}
    numbers = Counter(one.person.id_number for one in whole.applications if one.story not in again)
    mobiles = Counter(one.person.mobile for one in whole.applications if one.story not in again)
    assert set(numbers.values()) == set(mobiles.values()) == {1}


def test_actions_follow_one_another_on_ticks_of_the_clock(whole: Plan) -> None:
    for one in whole.applications:
        moments = [action.at for action in one.actions]
        assert moments == sorted(moments)
        assert all(next_tick(moment) == moment for moment in moments)
        assert all(moment.tzinfo is UTC for moment in moments)


def test_a_small_plan_is_a_plan() -> None:
    small = make_plan(1, BRANCHES[:1], days=1, per_day=3)
    assert 3 <= len(small.applications) <= 6
    with pytest.raises(ValueError, match="needs a day"):
        make_plan(1, [], days=1)


def test_staff_work_on_working_days_only() -> None:
    assert plan.staff_rounds(date(2026, 10, 17)) == []  # a Saturday
    rounds = plan.staff_rounds(date(2026, 10, 16))
    assert [what for _, what in rounds] == [
        *("check", "propose", "sign", "compliance", "check", "propose", "sign")
    ]


def test_a_term_that_ends_with_the_day_is_not_carried_into_the_next() -> None:
    last = at(date(2026, 10, 14), time(23, 59, 59))
    assert next_tick(last) == last
    assert next_tick(datetime(2026, 10, 14, 2, 2, tzinfo=UTC)) == datetime(
        2026, 10, 14, 3, tzinfo=UTC
    )
    assert next_tick(datetime(2026, 10, 14, 15, 50, tzinfo=UTC)) == last
