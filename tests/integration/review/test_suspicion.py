"""A suspicion is compliance's alone (反洗钱法 35): every route as every other role, and every
topic, says of a case that carries one the same bytes as of its twin that carries none.

The twins are two people about whom every system answers the same, but for the watchlists. Who knows
of holds sees that a case is or was held, as any case may be; what is compared for them is the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio

from deploy.demo.credit_systems import bureau_answer, identity_answer, watchlist_answer
from shared.calendar import due_about
from shared.formats import make_synthetic_resident_id
from shared.parameters import load_clocks
from shared.privacy.masking import mask_id_number
from shared.web.access import declared_access
from shared.web.permissions import GRANTS, Permission, Role
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import API, do, handed, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINDING = "同名不同人已核实"
OTHERS = [role for role in Role if role is not Role.COMPLIANCE]
UNKNOWING = [role for role in OTHERS if Permission.HOLD_VIEW not in GRANTS[role]]
KNOWING = [role for role in OTHERS if role not in UNKNOWING]
FIELDS = ("name", "id_number", "employer", "monthly_income", "bureau", "limit", "score")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FORM_TOKEN = re.compile(r'(name="csrf[^"]*" value=")[^"]*|(nonce=")[^"]*|(content=")[\w.=-]{30,}')
_TRACE = re.compile(r"\b[0-9a-f]{32}\b")  # of a request
_HISTORY = re.compile(r'<(ol|ul) class="timeline.*?</\1>', re.DOTALL)


def numbers_of_twins() -> tuple[str, str]:
    """ID numbers of two people of one age, of whom one is on a watchlist: everything else that the
    systems say of them is the same."""

    def told(number: str) -> str:
        return json.dumps([identity_answer(number), bureau_answer(number)])

    days = [date(2001, 1, 1) + timedelta(days=n) for n in range(300)]
    listed = {
        told(number): number
        for day in days
        for sequence in range(940, 950)
        for number in [make_synthetic_resident_id("31", day, sequence)]
    }
    for day in days:
        for sequence in range(100, 200):
            plain = make_synthetic_resident_id("31", day, sequence)
            if not watchlist_answer(plain)["hits"] and (found := listed.get(told(plain))):
                return found, plain
    raise AssertionError("no two people are alike: look among more")


def numbers_of_two_alike() -> tuple[str, str]:
    """ID numbers of two people about whom every system says the same, the watchlists too."""
    seen: dict[str, str] = {}
    for day in (date(2001, 6, 1) + timedelta(days=n) for n in range(300)):
        for sequence in range(100, 200):
            number = make_synthetic_resident_id("31", day, sequence)
            told = json.dumps([identity_answer(number), bureau_answer(number)])
            if watchlist_answer(number)["hits"]:
                continue
            if told in seen:
                return seen[told], number
            seen[told] = number
    raise AssertionError("no two people are alike: look among more")


async def handed_twins(bank: Bank, mobiles: tuple[str, str]) -> tuple[Applicant, Applicant]:
    """Twins who are handed over: the one on a watchlist, who is held, and the other, who waits for
    an officer."""
    made = []
    for number, mobile in zip(numbers_of_twins(), mobiles, strict=True):
        one = await bank.applicant(id_number=number, mobile=mobile, new_to_bank=True)
        await bank.hand_over(one)
        made.append(one)
    suspected, free = made
    await said(bank, suspected, "application.held")
    await said(bank, free, "application.referred")
    return suspected, free


@dataclass(frozen=True)
class Twins:
    """One who is suspected, and one like them who is not."""

    suspected: Applicant
    plain: Applicant
    people: Mapping[Role, Colleague]

    def both(self) -> tuple[Applicant, Applicant]:
        return self.suspected, self.plain

    def unnumbered(self, got: Mapping[str, str]) -> dict[str, str]:
        """Without the twins' numbers: once both are decided, each is a past case like the other."""
        for one in self.both():
            number = one.about["application_number"]
            got = {asked: text.replace(number, "NUMBER") for asked, text in got.items()}
        return dict(got)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(bank: Bank, desks: Desks) -> Twins:
    """The twins, the suspected one held."""
    listed, free = numbers_of_twins()
    made = []
    for number, mobile in ((listed, "13711110001"), (free, "13722220001")):
        one = await bank.applicant(id_number=number, mobile=mobile, new_to_bank=True)
        await bank.hand_over(one)
        made.append(one)
    await said(bank, made[0], "application.held")
    await said(bank, made[1], "application.referred")
    people = {role: await bank.colleague(desks.transport, role) for role in Role}
    return Twins(made[0], made[1], people)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def released(held: Twins) -> Twins:
    """The same after compliance has found nothing: both lie in the queue. Asked for last."""
    done = {"finding": "clear", "note": FINDING}
    assert await do(held.people[Role.COMPLIANCE], held.suspected, "release", done) == 200
    return held


SUSPICION, SUSPECTED_OF = "疑似中介包装", "organised-fraud"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held_by_an_officer(bank: Bank, desks: Desks) -> Twins:
    """Twins whom an officer had and has no more: one is held for fraud, one was put back."""
    made = []
    for number, mobile in zip(numbers_of_two_alike(), ("13733330001", "13744440001"), strict=True):
        one = await bank.applicant(id_number=number, mobile=mobile, new_to_bank=True)
        await bank.hand_over(one)
        await said(bank, one, "application.referred")
        made.append(one)
    suspected, free = made
    officer = await bank.colleague(desks.transport, "reviewer")
    for one in made:
        assert await do(officer, one, "claim") == 200
    assert await do(officer, suspected, "hold", {"reason": SUSPECTED_OF, "note": SUSPICION}) == 200
    assert await do(officer, free, "put-back") == 200
    people = {role: await bank.colleague(desks.transport, role) for role in Role}
    return Twins(suspected, free, people)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def released_by_compliance(held_by_an_officer: Twins) -> Twins:
    """The same after compliance has found nothing. Asked for last."""
    people, done = held_by_an_officer.people, {"finding": "clear", "note": FINDING}
    assert await do(people[Role.COMPLIANCE], held_by_an_officer.suspected, "release", done) == 200
    return held_by_an_officer


def plain(text: str, applicant: Applicant) -> str:
    """Without what one of the twins is known by."""
    for own, name in (
        (applicant.application_id, "ID"),
        (applicant.about["application_number"], "NUMBER"),
        (mask_id_number(applicant.id_number), "MASKED"),
        (applicant.id_number, "CARD"),
        (applicant.mobile, "MOBILE"),
    ):
        text = text.replace(own, name)
    text = _FORM_TOKEN.sub("TOKEN", _TRACE.sub("TRACE", _UUID.sub("UUID", text)))
    return _HISTORY.sub(_in_order, text)


def _in_order(history: re.Match[str]) -> str:
    """The lines of a history sorted: which of three systems answers first is chance."""
    lines = sorted(re.findall(r"<li.*?</li>", history[0], re.DOTALL))
    return "<history>" + "\n".join(lines) + "</history>"


def about_a_case(desks: Desks) -> list[str]:
    """Every address that reads something of a case."""
    found = []
    for declared in declared_access(desks.app):
        methods, path = declared.split(" ", 1)
        if "GET" in methods.split(",") and "{application_id}" in path and "{field}" not in path:
            found.append(path)
    assert len(found) >= 3
    return found


async def seen(desks: Desks, colleague: Colleague, applicant: Applicant) -> dict[str, str]:
    """Everything that this colleague gets about an application: {what was asked: status, bytes}."""
    case, number = applicant.application_id, applicant.about["application_number"]
    got: dict[str, str] = {}
    for path in about_a_case(desks):
        for language in ("zh-CN",) if "/api/" in path else ("zh-CN", "en"):
            answer = await colleague.get(path.format(application_id=case), lang=language)
            got[f"{path} {language}"] = f"{answer.status_code} {answer.text}"
    for section in ("open", "mine", "to_sign", "waiting", "held"):
        answer = await colleague.get(f"{API}/queue", section=section, number=number)
        got[f"queue {section}"] = f"{answer.status_code} {answer.text}"
    for language in ("zh-CN", "en"):
        for key in ("due", "-number"):
            page = (await colleague.get("/review/queue", sort=key, lang=language)).text
            rows = [row for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if number in row]
            got[f"row {key} {language}"] = "".join(rows)
    answer = await colleague.client.post("/review/queue/search", data={"value": number})
    got["search"] = f"{answer.status_code} {answer.headers.get('location')}"
    for field in (*FIELDS, "watchlist"):
        answer = await colleague.client.post(
            f"/review/cases/{case}/fields/{field}", data={"why": "decide"}
        )
        got[f"field {field}"] = f"{answer.status_code} {answer.text}"
    answer = await colleague.client.post("/review/audit", data={"number": number})
    got["audit"] = f"{answer.status_code}"
    return {asked: plain(text, applicant) for asked, text in got.items()}


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, Any]:
    """{what was asked: the first lines that differ}"""
    assert one.keys() == other.keys()
    found: dict[str, Any] = {}
    for asked in one:
        if one[asked] != other[asked]:
            pairs = zip(one[asked].splitlines(), other[asked].splitlines(), strict=False)
            found[asked] = [pair for pair in pairs if pair[0] != pair[1]][:3] or "longer"
    return found


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_gets_the_same_bytes_while_it_is_held(
    desks: Desks, held: Twins, role: Role
) -> None:
    suspected, free = [await seen(desks, held.people[role], one) for one in held.both()]
    assert differences(suspected, free) == {}


async def test_the_twins_differ_for_compliance_so_that_the_test_can_see_something(
    desks: Desks, held: Twins
) -> None:
    compliance = held.people[Role.COMPLIANCE]
    suspected, free = [await seen(desks, compliance, one) for one in held.both()]
    found = differences(suspected, free)
    assert f"{API}/cases/{{application_id}} zh-CN" in found
    assert "WATCHLIST_HIT" in suspected[f"{API}/cases/{{application_id}} zh-CN"]


def without_the_hold(asked: str, text: str) -> str:
    """What who knows of holds may see differ: how often the state changed, since when the case lies
    in the queue, and the history."""
    if asked.startswith(f"{API}/cases") and text.startswith("200 {"):
        body = json.loads(text[4:])
        body.pop("state_version", None)
        return json.dumps(body, ensure_ascii=False)
    return re.sub(r"<history>.*?</history>", "HISTORY", text, flags=re.DOTALL)


@pytest.mark.parametrize("role", UNKNOWING)
async def test_who_may_not_know_of_holds_gets_the_same_bytes_after_it(
    desks: Desks, released: Twins, role: Role
) -> None:
    suspected, free = [await seen(desks, released.people[role], one) for one in released.both()]
    assert differences(suspected, free) == {}


@pytest.mark.parametrize("role", KNOWING)
async def test_who_knows_of_holds_learns_nothing_of_what_it_was_for(
    desks: Desks, released: Twins, role: Role
) -> None:
    suspected, free = [await seen(desks, released.people[role], one) for one in released.both()]
    assert (
        differences(
            {asked: without_the_hold(asked, text) for asked, text in suspected.items()},
            {asked: without_the_hold(asked, text) for asked, text in free.items()},
        )
        == {}
    )


async def test_no_topic_says_more_than_that_a_case_was_held(
    bank: Bank,
    released: Twins,
) -> None:
    told = {}
    for one in released.both():
        checks = [
            (kind, plain(json.dumps(body, sort_keys=True), one))
            for kind, _version, body in await bank.said(one, "banka.review")
        ]
        moves = await bank.said(one, "banka.applications")
        told[one.application_id] = sorted(checks), moves
    (own, own_moves), (other, other_moves) = told.values()
    assert own == other
    assert [kind for kind, _, _ in own_moves] == [
        "application.checks-completed",
        "application.held",
        "application.released",
    ]
    shared = set(other_moves[-1][2]) - {"reason_codes", "policy_version"}
    assert own_moves[1][2].keys() - shared == {"reason"}
    assert own_moves[1][2]["reason"] == "internal"
    assert own_moves[2][2].keys() == shared
    assert FINDING not in json.dumps([body for _, _, body in own_moves], ensure_ascii=False)


async def test_no_metric_names_a_case_or_what_was_found_of_it(
    desks: Desks, released: Twins
) -> None:
    ops = released.people[Role.OPS]
    answer = await ops.get("/metrics")
    assert answer.status_code == 200
    for trace in (
        released.suspected.application_id,
        released.suspected.about["application_number"],
        "WATCHLIST_HIT",
        "suspicion",
    ):
        assert trace not in answer.text


@pytest.mark.parametrize("role", UNKNOWING)
async def test_a_hold_for_fraud_is_not_known_to_who_may_not_know_of_holds(
    desks: Desks, held_by_an_officer: Twins, role: Role
) -> None:
    people = held_by_an_officer.people
    suspected, free = [await seen(desks, people[role], one) for one in held_by_an_officer.both()]
    assert differences(suspected, free) == {}


@pytest.mark.parametrize("role", KNOWING)
async def test_who_knows_of_holds_does_not_learn_that_one_is_for_fraud(
    desks: Desks, held_by_an_officer: Twins, role: Role
) -> None:
    got = await seen(desks, held_by_an_officer.people[role], held_by_an_officer.suspected)
    everything = "\n".join(got.values())
    for trace in (SUSPICION, SUSPECTED_OF, "中介包装或团伙申请"):
        assert trace not in everything, trace
    body = json.loads(got[f"{API}/cases/{{application_id}} zh-CN"].removeprefix("200 "))
    assert (body["state"], body["hold"]) == ("on_hold", None)


async def test_compliance_sees_why_by_whom_and_until_when_a_case_is_held(
    bank: Bank, held_by_an_officer: Twins
) -> None:
    compliance, suspected = held_by_an_officer.people[Role.COMPLIANCE], held_by_an_officer.suspected
    here = f"cases/{suspected.application_id}"
    hold = (await compliance.get(f"{API}/{here}")).json()["hold"]
    assert hold["reason"] == SUSPECTED_OF
    (row,) = await bank.fetch(
        "SELECT held_at, hold_due FROM review_case WHERE application_id = $1",
        suspected.application_id,
    )
    assert row["hold_due"] == due_about(row["held_at"], load_clocks().hold_working_days)
    page = (await compliance.get(f"/review/{here}", lang="en")).text
    queue = (await compliance.get("/review/queue", section="held", lang="en")).text
    for text in (page, queue):
        assert "Organised by an intermediary" in text
    assert SUSPICION in page
    number = suspected.about["application_number"]
    listed = (await compliance.get(f"{API}/queue", section="held", number=number)).json()
    assert [case["hold_reason"] for case in listed["cases"]] == [SUSPECTED_OF]


@pytest.mark.parametrize("role", UNKNOWING)
async def test_a_hold_for_fraud_leaves_nothing_behind_for_who_may_not_know_of_holds(
    desks: Desks, released_by_compliance: Twins, role: Role
) -> None:
    people, twins = released_by_compliance.people, released_by_compliance.both()
    suspected, free = [await seen(desks, people[role], one) for one in twins]
    assert differences(suspected, free) == {}


async def test_an_event_of_a_hold_for_fraud_says_no_more_than_that_it_is_internal(
    bank: Bank, released_by_compliance: Twins
) -> None:
    moves = await bank.said(released_by_compliance.suspected, "banka.applications")
    (held,) = (body for kind, _version, body in moves if kind == "application.held")
    assert held["reason"] == "internal"
    record = await bank.said(released_by_compliance.suspected, "banka.review")
    told = json.dumps([moves, record], ensure_ascii=False)
    for trace in (SUSPECTED_OF, SUSPICION, FINDING):
        assert trace not in told


async def test_whoever_held_a_case_does_not_end_the_hold(bank: Bank, desks: Desks) -> None:
    both = await bank.colleague(desks.transport, "reviewer", "compliance")
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await do(both, applicant, "claim") == 200
    # an officer does not say what only review can find
    for reason, answer in (("watchlist", 422), ("papers-forged", 200)):
        body = {"reason": reason, "note": SUSPICION}
        assert await do(both, applicant, "hold", body) == answer
    for finding in ("clear", "confirmed"):
        done = {"finding": finding, "note": FINDING}
        assert await do(both, applicant, "release", done) == 403
    here = f"/review/cases/{applicant.application_id}"
    assert (
        "You held this case; another person ends the hold."
        in (await both.get(here, lang="en")).text
    )
    decline = {"outcome": "decline", "reason": "INTERNAL_RISK", "note": FINDING}
    assert await do(both, applicant, "decision", decline) == 409
    other = await bank.colleague(desks.transport, "compliance")
    assert await do(other, applicant, "release", {"finding": "confirmed", "note": FINDING}) == 200
    assert await do(desks.second, applicant, "signature", {"outcome": "confirmed"}) == 200
    await said(bank, applicant, "application.declined")


async def test_a_hold_that_compliance_leaves_lying_is_late_in_its_list(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    assert await do(desks.first, applicant, "claim") == 200
    body = {"reason": "identity-misused", "note": SUSPICION}
    assert await do(desks.first, applicant, "hold", body) == 200
    compliance = await bank.colleague(desks.transport, "compliance")
    (row,) = await bank.fetch(
        "SELECT hold_due FROM review_case WHERE application_id = $1", applicant.application_id
    )
    bank.step(row["hold_due"] + timedelta(minutes=1))
    here = f"/review/cases/{applicant.application_id}"

    async def noted() -> bool:
        return "The hold is overdue" in (await compliance.get(here, lang="en")).text

    await eventually(noted)
    assert "The hold is overdue" not in (await desks.first.get(here, lang="en")).text
    queue = (await compliance.get("/review/queue", section="held", lang="en")).text
    (line,) = (
        one
        for one in re.findall(r"<tr.*?</tr>", queue, re.DOTALL)
        if applicant.about["application_number"] in one
    )
    assert "late by" in line
