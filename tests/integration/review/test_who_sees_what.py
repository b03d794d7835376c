"""Which role is shown which field of a case: every route as every role, of a held case, of one that
is decided after a hold, and of an ordinary one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from shared.identifiers import new_id
from shared.web.access import declared_access
from shared.web.permissions import GRANTS, Permission, Role, Scope
from tests.integration.review.bank import EMPLOYER, NAME, Applicant, Bank, Colleague
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import CONFIRM, do, handed
from tests.integration.seeing import Row, Sight, Table, agrees

pytestmark = pytest.mark.asyncio(loop_scope="module")

INCOME, SUSPICION, FINDING, OPINION = 13_579_00, "疑似代办", "同名不同人", "工作证明存疑"
FIELDS: Final = (
    *("name", "id_number", "mobile", "employer", "monthly_income"),
    *("bureau", "limit", "score"),
)


@dataclass(frozen=True)
class Answers:
    """What one role got about one case. `shown`: of every address that only reads and is about it,
    in both languages; `asked`: of every field and line that was opened with a reason; `listed`: of
    whatever has other cases in it as well."""

    shown: str
    asked: str
    listed: str
    refused: frozenset[str]


@dataclass(frozen=True)
class Field:
    """Something that a role may be shown; `found`: whether it stands in an answer."""

    en: str
    zh: str
    found: Callable[[str], bool]


def text(en: str, zh: str, needle: str) -> Field:
    return Field(en, zh, lambda answer: needle in answer)


def like(en: str, zh: str, pattern: str) -> Field:
    return Field(en, zh, lambda answer: re.search(pattern, answer) is not None)


@dataclass(frozen=True)
class Cases:
    """The three cases, and everybody who looks at them."""

    held: Applicant
    decided: Applicant
    ordinary: Applicant
    people: Mapping[Role, Colleague]
    answers: Mapping[str, Mapping[Role, Answers]]  # {id of the application: what each role got}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cases(bank: Bank, desks: Desks) -> Cases:
    people = {role: await bank.colleague(desks.transport, role) for role in Role}
    reviewer, officer = people[Role.REVIEWER], people[Role.RISK_OFFICER]
    compliance = people[Role.COMPLIANCE]
    # compliance saw no reason, the reviewer who had it then does
    held = await handed(bank, "application.held", 941, new_to_bank=True, income=INCOME)
    assert await do(compliance, held, "release", {"finding": "clear", "note": FINDING}) == 200
    assert await do(reviewer, held, "claim") == 200
    assert await do(reviewer, held, "hold", {"reason": "mule-account", "note": SUSPICION}) == 200
    decided = await handed(bank, "application.held", 941, new_to_bank=True, income=INCOME)
    done = {"finding": "confirmed", "note": FINDING}
    assert await do(compliance, decided, "release", done) == 200
    assert await do(officer, decided, "signature", CONFIRM) == 200
    ordinary = await handed(bank, "application.referred", new_to_bank=True, income=INCOME)
    assert await do(reviewer, ordinary, "claim") == 200
    decline = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": OPINION}
    assert await do(reviewer, ordinary, "decision", decline) == 200
    answers: dict[str, dict[Role, Answers]] = {}
    for applicant in (held, decided, ordinary):  # so that a look of somebody stands in the log
        await reviewer.get(f"/review/cases/{applicant.application_id}")
        answers[applicant.application_id] = {}
    for role, person in people.items():
        listed = await lists(desks, person)
        for applicant in (held, decided, ordinary):
            answers[applicant.application_id][role] = await look(
                bank, desks, person, applicant, listed
            )
    return Cases(held, decided, ordinary, people, answers)


def addresses(desks: Desks) -> Sequence[tuple[str, str]]:
    """[(method, path)] of everything that demands a permission."""
    found = []
    for declared, demand in declared_access(desks.app).items():
        methods, path = declared.split(" ", 1)
        if demand and not demand.startswith("public"):
            found.append((methods.split(",")[0], path))
    assert len(found) > 40
    return found


async def look(
    bank: Bank, desks: Desks, colleague: Colleague, applicant: Applicant, listed: str
) -> Answers:
    """Everything that can be had about a case without changing it; `listed`: of its lists."""
    number, case = applicant.about["application_number"], applicant.application_id
    shown: list[str] = []
    asked: list[str] = []
    refused: set[str] = set()
    for method, path in addresses(desks):
        if method == "GET" and "{application_id}" in path and "{field}" not in path:
            for language in _languages(path):
                answer = await colleague.get(path.format(application_id=case), lang=language)
                shown += [answer.text] if answer.status_code == 200 else []
                refused |= {path} if answer.status_code == 403 else set()
    for section in ("open", "mine", "to_sign", "held"):
        answer = await colleague.get("/review/api/v1/queue", section=section, number=number)
        shown += [answer.text] if answer.status_code == 200 else []
    found = await colleague.client.post("/review/audit", data={"number": number})
    if found.status_code == 303:
        shown.append((await colleague.get(f"{found.headers['location']}&lang=en")).text)
    opened = [(f"/review/cases/{case}/fields/{field}", {"why": "decide"}) for field in FIELDS] + [
        (f"/review/audit/{source}/{place}/values", {"why": "inspection"})
        for source, place in await lines_of(bank, applicant)
    ]
    for where, reason in opened:
        answer = await colleague.client.post(where, data=reason)
        asked += [answer.text] if answer.status_code == 200 else []
    return Answers("\n".join(shown), "\n".join(asked), listed, frozenset(refused))


async def lists(desks: Desks, colleague: Colleague) -> str:
    """Every address that reads and names nothing, but for the texts of policies."""
    texts: list[str] = []
    for method, path in addresses(desks):
        if method == "GET" and "{" not in path and not path.endswith("/policies"):
            for language in _languages(path):
                answer = await colleague.get(path, lang=language)
                texts += [answer.text] if answer.status_code == 200 else []
    return "\n".join(texts)


def _languages(path: str) -> Sequence[str]:
    """The API speaks one."""
    return ("en",) if "/api/" in path else ("zh-CN", "en")


async def lines_of(bank: Bank, applicant: Applicant) -> list[tuple[str, int]]:
    """Every line of the audit log about a case: [(source, number)]."""
    history = await bank.fetch(
        "SELECT id, confidential FROM case_history WHERE application_id = $1 AND details ? 'note'",
        applicant.application_id,
    )
    views = await bank.fetch(
        "SELECT id FROM personal_view WHERE application_id = $1 AND reason IS NOT NULL",
        applicant.application_id,
    )
    return [
        *(("confidential" if one["confidential"] else "history", one["id"]) for one in history),
        *(("view", one["id"]) for one in views),
    ]


def sight(field: Field, answers: Answers) -> Sight:
    if field.found(answers.shown):
        return "shown"
    return "asked" if field.found(answers.asked) else "hidden"


def applicants_fields(applicant: Applicant) -> list[Field]:
    """What there is of every case."""
    return [
        text("application number", "申请编号", applicant.about["application_number"]),
        text("name, masked", "姓名（脱敏）", "端***"),
        text("name in clear", "姓名（明文）", NAME),
        text("ID number in clear", "证件号码（明文）", applicant.id_number),
        text("mobile in clear", "手机号码（明文）", applicant.mobile),
        text("employer", "工作单位", EMPLOYER),
        text("monthly income", "月收入", "13,579.00"),
        text("the bureau's answer", "征信结果", "Monthly debt"),
        text("working of the limit", "额度测算过程", "Income times the policy&#39;s multiple"),
        text("points of the score card", "评分卡得分", "Score card: "),
        text("score card, factor by factor", "评分卡各项", "Overdue months within 24"),
        text("what the policy found", "策略结论", "NEW_TO_BANK"),
        text("limit that the policy recommends", "策略建议额度", '"ceiling":{'),
        text("consent and its purpose", "授权及用途", "信用卡审批"),
        text("documents by their digest", "资料摘要值", "a" * 12),
        like("count of transitions", "状态变更次数", r'"state_version":\d'),
        text("who looked at it", "查看记录", "Case with its evidence, masked"),
    ]


HELD: Final = [
    text("that it is held", "案件已挂起", '"state":"on_hold"'),
    like("that it was held, in the history", "挂起经过", r">\s*Held\s*<"),
    text("that a watchlist resembles", "命中名单", "WATCHLIST_HIT"),
    text("which list", "名单类别", "制裁名单"),
    text("why a reviewer suspects something", "信审员的可疑说明", SUSPICION),
    text("what compliance found before", "合规此前的结论", FINDING),
]
DECIDED: Final = [
    like("that it was held, in the history", "挂起经过", r">\s*Held\s*<"),
    text("the decision and its category", "决定及类别", '"category":"internal"'),
    like("who decided", "决定人", r'"decided_by":\["'),
    text("what was decided for", "决定理由", '"primary_reason":"INTERNAL_RISK"'),
    text("that the policy wanted it held", "策略结论为挂起", '"policy_outcome":"hold"'),
    text("that a watchlist resembles", "命中名单", "WATCHLIST_HIT"),
    text("what compliance found", "合规的结论", FINDING),
]
PROPOSED: Final = [
    text("that a decline is proposed", "拟拒绝", '"proposal":{"outcome":"decline"'),
    like("who proposed it", "提议人", r'"proposal":{[^}]*"staff_id":"'),
    text("the reason", "拒绝理由", "MATERIAL_UNSOUND"),
    text("the reviewer's opinion", "审查意见", OPINION),
]
COMPLIANCE_ALONE: Final = {
    "that a watchlist resembles",
    "which list",
    "why a reviewer suspects something",
    "what compliance found before",
    "what compliance found",
    "that the policy wanted it held",
}
OF_HOLDS: Final = {
    "that it is held",
    "that it was held, in the history",
    "who decided",
    "what was decided for",
    "count of transitions",
    "who proposed it",
}


async def test_the_documentation_says_who_sees_what_of_a_case(cases: Cases) -> None:
    tables = []
    for en, zh, applicant, more in (
        ("A held case", "挂起的案件", cases.held, HELD),
        ("A case that is declined after a hold", "挂起后拒绝的案件", cases.decided, DECIDED),
        ("An ordinary case, with a proposal", "普通案件（已有提议）", cases.ordinary, PROPOSED),
    ):
        answers = cases.answers[applicant.application_id]
        rows = [
            Row(field.en, field.zh, {role: sight(field, one) for role, one in answers.items()})
            for field in [*more, *applicants_fields(applicant)]
        ]
        for row in rows:
            seeing = {role for role, how in row.seen.items() if how != "hidden"}
            assert seeing, f"nobody is shown {row.en}: the test looks for something else"
            if row.en in COMPLIANCE_ALONE:
                assert seeing == {Role.COMPLIANCE}, row.en
            if row.en in OF_HOLDS:
                assert all(GRANTS[role].get(Permission.HOLD_VIEW) == Scope.ALL for role in seeing)
        tables.append(Table(en, zh, rows))
    assert agrees("Review", tables), "docs/who-sees-what.md is out of date"


async def test_the_documentation_says_who_may_use_which_route(desks: Desks, cases: Cases) -> None:
    """Tried on what does not exist, so that nothing is changed: who may is told that it is not
    there, or what is missing; who may not is refused."""
    rows = []
    names = ("application_id", "view_id", "digest", "field", "source", "run_id")
    ids = dict.fromkeys(names, new_id())
    for method, path in addresses(desks):
        seen: dict[Role, Sight] = {}
        for role, person in cases.people.items():
            answer = await person.client.request(method, path.format(**ids, number="0"))
            assert answer.status_code < 500
            seen[role] = "hidden" if answer.status_code == 403 else "shown"
        rows.append(Row(f"`{method} {path}`", f"`{method} {path}`", seen))
    assert agrees("Review: routes", [Table("Every route", "所有路由", rows)]), (
        "docs/who-sees-what.md is out of date"
    )


async def test_who_may_not_know_of_holds_finds_no_trace_on_any_route(cases: Cases) -> None:
    for role in Role:
        if GRANTS[role].get(Permission.HOLD_VIEW):
            continue
        held = cases.answers[cases.held.application_id][role]
        assert held.refused == cases.answers[cases.ordinary.application_id][role].refused
        got = held.shown + held.asked + held.listed
        for trace in (
            "on_hold",
            "On hold",
            "挂起",
            "WATCHLIST_HIT",
            "制裁名单",
            SUSPICION,
            FINDING,
        ):
            assert trace not in got, (role, trace)
