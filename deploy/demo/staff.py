"""The office's staff at their screens: signed in, they take cases, propose, sign and release."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import httpx

from deploy.demo.customers import KEEP_ALIVE, Ledger, side_by_side
from deploy.demo.handed_in import PURPOSE, party_form
from deploy.demo.plan import Application, Earlier, Handling
from shared.clock import format_instant
from shared.events.intake import AppealWish
from shared.identifiers import new_id

PASSWORD = "banka-demo"  # noqa: S105 - of the made-up staff; it opens nothing outside the demo
OFFICERS = ("assistant", "assistant2")
REVIEWERS = ("reviewer", "reviewer2")
SIGNER = "risk"
COMPLIANCE = "compliance"
OPERATIONS = "ops"
INTAKE = "/intake/api/v1"
REVIEW = "/review/api/v1"
AT_ONCE = 6
_NOT_YET_DECIDED = ("not-found", "not-declined")  # review has no case of it before it is checked
_WORKBOOK = b"PK"  # how an .xlsx begins
_CSRF = re.compile(r'name="csrf-token" content="([^"]+)"')
_FORM_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class SignInFailedError(RuntimeError):
    """One of the demo's people could not sign in."""


class Desk:
    """One signed-in member of staff."""

    def __init__(self, client: httpx.AsyncClient, username: str, csrf: str) -> None:
        self.username = username
        self._client = client
        self._headers = {"X-CSRF-Token": csrf, "Accept": "application/json"}

    @classmethod
    async def sign_in(cls, gateway: str, username: str) -> Desk:
        """As a person does: the page, the form, then any page that shows the session's token."""
        client = httpx.AsyncClient(
            base_url=gateway,
            timeout=60,
            trust_env=False,
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE),
        )
        page = await client.get("/sign-in")
        token = _FORM_TOKEN.search(page.text)
        fields = {
            "username": username,
            "password": PASSWORD,
            "csrf_token": token.group(1) if token else "",
            "next": "/reporting/board",
        }
        answer = await client.post("/sign-in", data=fields)
        if answer.status_code != httpx.codes.SEE_OTHER:
            await client.aclose()
            raise SignInFailedError(f"{username} cannot sign in: status {answer.status_code}")
        inside = await client.get("/reporting/board")
        csrf = _CSRF.search(inside.text)
        if csrf is None:
            await client.aclose()
            raise SignInFailedError(
                f"{username} is signed in but gets no page: {inside.status_code}"
            )
        return cls(client, username, csrf.group(1))

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self._client.get(path, params=query, headers=self._headers)
        answer.raise_for_status()
        return answer.json()

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self._client.post(path, json=body, headers=self._headers)

    async def download(self, path: str) -> httpx.Response:
        return await self._client.get(path, headers=self._headers)

    async def cases(self, section: str) -> list[dict[str, Any]]:
        """Everything that lies in a section of review's queue."""
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = await self.get(f"{REVIEW}/queue", section=section, page=page, page_size=200)
            found += answer["cases"]
            if len(found) >= answer["total"] or not answer["cases"]:
                return found
            page += 1

    async def in_pre_check(self) -> list[str]:
        """The applications of the branches that wait for an officer."""
        found: list[str] = []
        page = 1
        while True:
            answer = await self.get(
                f"{INTAKE}/applications", state="pre_check", page=page, page_size=200
            )
            found += [one["application_id"] for one in answer["applications"]]
            if len(found) >= answer["total"] or not answer["applications"]:
                return found
            page += 1

    async def close(self) -> None:
        await self._client.aclose()


def imported_form(one: Earlier) -> dict[str, Any]:
    """A customer whose card came over from another system, as intake's import takes it."""
    return {
        "branch": one.branch.code,
        "product": "standard",
        "applicant_type": "salaried",
        "channel": "counter",
        "parties": [party_form("applicant", one.person)],
        "consent": {"signed_at": format_instant(one.submitted_at), "purpose": PURPOSE},
        "state": "in_use",
        "submitted_at": format_instant(one.submitted_at),
        "state_since": format_instant(one.in_use_since),
        "limit": {"minor": one.limit, "currency": "CNY"},
        "card_id": new_id(),
    }


class Staff:
    """Who works in the office, and what they have been told to do with the planned cases."""

    def __init__(
        self, desks: Mapping[str, Desk], cases: Mapping[str, Application], ledger: Ledger
    ) -> None:
        """`cases`: {key of the plan: application}."""
        self._desks = desks
        self._planned = cases
        self._ledger = ledger
        self._wanted: set[str] = set()  # already asked for more papers
        self._sent_back: set[str] = set()
        self._met: set[str] = set()
        self._appealed: set[str] = set()  # of the plan's appeals, those that were opened
        self._answered: set[str] = set()
        self._ranks: list[str] = []

    @classmethod
    async def sign_in(cls, gateway: str, cases: Mapping[str, Application], ledger: Ledger) -> Staff:
        names = (*OFFICERS, *REVIEWERS, SIGNER, COMPLIANCE, OPERATIONS)
        desks = await asyncio.gather(*(Desk.sign_in(gateway, name) for name in names))
        staff = cls({desk.username: desk for desk in desks}, cases, ledger)
        reasons = await staff._desks[REVIEWERS[0]].get(f"{REVIEW}/decline-reasons")
        staff._ranks = [reason["code"] for reason in reasons]
        return staff

    async def close(self) -> None:
        for desk in self._desks.values():
            await desk.close()

    async def bring_over(self, earlier: list[Earlier]) -> list[str]:
        """Customers of long standing come over from another system; their application ids."""
        entries = [imported_form(one) for one in earlier]
        if not entries:
            return []
        answer = await self._desks[OPERATIONS].post(
            "/intake/api/v1/imports", {"applications": entries}
        )
        if not answer.is_success:
            self._ledger.surprises.append(f"import was answered {answer.status_code}")
            return []
        taken = []
        for result in answer.json()["results"]:
            if result["application_id"] is None:
                codes = " ".join(f"{one['pointer']}:{one['code']}" for one in result["problems"])
                self._ledger.surprises.append(f"import of {result['index']} was refused: {codes}")
            else:
                taken.append(str(result["application_id"]))
        return taken

    async def states(self) -> dict[str, int]:
        """How many applications are in each state, as the board counts them."""
        found = await self._desks[SIGNER].get("/reporting/api/v1/reconciliation")
        return dict(found["states"])

    async def open_cases(self) -> int:
        """How many applications lie with an officer or with review, or will be appealed about."""
        states = (await self._desks[SIGNER].get(f"{REVIEW}/reconciliation"))["states"]
        with_review = ("checking", "scoring", "manual_review", "on_hold")
        unchecked = [len(await self._desks[name].in_pre_check()) for name in OFFICERS]
        cases = sum(int(states.get(state, 0)) for state in with_review) + sum(unchecked)
        return cases + len(self._to_appeal(self._ledger.keys()))

    async def take_report(self, day: date) -> None:
        """The day's report as a workbook, which reporting keeps when it is handed out."""
        answer = await self._desks[SIGNER].download(f"/reporting/reports/daily/{day}/excel")
        if not answer.content.startswith(_WORKBOOK):
            self._ledger.surprises.append(f"report of {day} was answered {answer.status_code}")

    async def sit_down(self, what: str, now: datetime) -> None:
        """One round of work: check, propose, sign or compliance."""
        keys = self._ledger.keys()
        if what == "check":
            await self._check(keys)
            await self._meet(keys, now)
        elif what == "propose":
            await self._propose(keys, now)
            await self._appeals(keys)
        elif what == "sign":
            await self._sign(keys)
        else:
            await self._look_into(keys, now)

    # the officers of the pre-check

    async def _check(self, keys: Mapping[str, str]) -> None:
        """Each looks at every paper of what waits at their branches, and passes what is whole."""

        async def one(desk: Desk, application_id: str) -> None:
            key = keys.get(application_id)
            if key is None:
                return
            path = f"{INTAKE}/applications/{application_id}"
            items = (await desk.get(f"{path}/checklist/office"))["items"]
            for item in items:
                if item["state"] == "received":
                    looked_at = {"document_id": item["documents"][0]} if item["documents"] else None
                    accepted = f"{path}/items/{item['party']}/{item['item']}/accept"
                    answer = await desk.post(accepted, looked_at)
                    if not answer.is_success:
                        self._surprise(key, "acceptance", answer)
                        return
            if any(item["reasons"] for item in items):
                return  # the rest of its papers comes with the afternoon's post
            answer = await desk.post(f"{path}/pass")
            if not answer.is_success:
                self._surprise(key, "pass", answer)

        work = [
            one(self._desks[name], application_id)
            for name in OFFICERS
            for application_id in await self._desks[name].in_pre_check()
        ]
        await side_by_side(work, at_once=AT_ONCE)

    async def _meet(self, keys: Mapping[str, str], now: datetime) -> None:
        """An officer of the branch sees, once, with the original, whom no registry knows."""
        for application_id, key in keys.items():
            if not self._planned[key].handling.met or key in self._met:
                continue
            path = f"{INTAKE}/applications/{application_id}"
            for name in OFFICERS:
                desk = self._desks[name]
                shown = await desk.download(path)
                if not shown.is_success:  # the other one's branch
                    continue
                papers = [one["document_id"] for one in shown.json()["documents"]]
                saw = dict.fromkeys(("saw_person", "saw_original", "saw_signing"), True)
                seen = {**saw, "at": format_instant(now), "evidence": papers}
                answer = await desk.post(f"{path}/meetings", seen)
                if not answer.is_success:
                    self._surprise(key, "meeting", answer)
                self._met.add(key)
                break

    # the first reviewer

    async def _propose(self, keys: Mapping[str, str], now: datetime) -> None:
        work: list[tuple[Desk, dict[str, Any], bool]] = []
        for name in REVIEWERS:
            desk = self._desks[name]
            work += [
                (desk, case, True)
                for case in await desk.cases("mine")
                if case["proposed_by"] is None
            ]
        waiting = [
            case
            for case in await self._desks[REVIEWERS[0]].cases("open")
            if case["claimed_by"] is None and case["proposed_by"] is None
        ]
        for number, case in enumerate(waiting):
            desk = self._desks[REVIEWERS[number % len(REVIEWERS)]]
            work.append((desk, case, False))

        async def one(desk: Desk, case: dict[str, Any], mine: bool) -> None:
            key = keys.get(case["application_id"])
            if key is None:
                return
            planned = self._planned[key]
            not_before = planned.handling.not_before
            if not_before is not None and now < not_before:
                return
            path = f"{REVIEW}/cases/{case['application_id']}"
            if not mine:
                claimed = await desk.post(f"{path}/claim")
                if not claimed.is_success:
                    self._surprise(key, "claim", claimed)
                    return
            await self._decide(desk, key, path, planned.handling)

        await side_by_side([one(*item) for item in work], at_once=AT_ONCE)

    async def _decide(self, desk: Desk, key: str, path: str, handling: Handling) -> None:
        case = await desk.get(path)
        if handling.wanted and key not in self._wanted:
            self._wanted.add(key)
            item = {"item": handling.wanted, "code": "DOC_MISSING"}
            answer = await desk.post(f"{path}/material", {"items": [item]})
        else:
            answer = await desk.post(f"{path}/decision", self._opinion(case, handling))
        if not answer.is_success:
            self._surprise(key, "decision", answer)

    def _opinion(self, case: Mapping[str, Any], handling: Handling) -> dict[str, Any]:
        limit = case["recommended_limit"]
        reason = handling.decline_for or next(
            (code for code in self._ranks if code in case["findings"]), ""
        )
        if handling.decline_for or case["advice"] == "decline" or not limit or not limit["minor"]:
            note = "依据材料与征信情况，建议不予核发。"
            return {"outcome": "decline", "reason": reason or "MATERIAL_UNSOUND", "note": note}
        return {"outcome": "approve", "limit": limit, "note": "材料齐全，同意核发。"}

    # the appeals: who asked is answered in the next round, by somebody who did not decide

    def _to_appeal(self, keys: Mapping[str, str]) -> dict[str, str]:
        """{application id: key} of whom the plan lets appeal and who has no answer yet."""
        return {
            application_id: key
            for application_id, key in keys.items()
            if self._planned[key].handling.appeal and key not in self._answered
        }

    async def _appeals(self, keys: Mapping[str, str]) -> None:
        first, second = (self._desks[name] for name in REVIEWERS)
        for application_id, key in self._to_appeal(keys).items():
            path = f"{REVIEW}/cases/{application_id}/appeal"
            wish = self._planned[key].handling.appeal
            if key not in self._appealed:
                answer = await first.post(path, {"wish": wish, "note": "客户来电，对结果有疑问。"})
                if answer.is_success:
                    self._appealed.add(key)
                elif self._is(answer, *_NOT_YET_DECIDED):
                    continue
                else:
                    self._surprise(key, "appeal", answer)
                    self._answered.add(key)
                continue
            desk = first
            claimed = await desk.post(f"{path}/claim")
            if self._is(claimed, "same-person"):
                desk = second
                claimed = await desk.post(f"{path}/claim")
            outcome = "explained" if wish is AppealWish.EXPLANATION else "upheld"
            body = {"outcome": outcome, "note": "已重新核对材料与征信记录。"}
            answer = await desk.post(f"{path}/answer", body) if claimed.is_success else claimed
            if not answer.is_success:
                self._surprise(key, "answer to the appeal", answer)
            self._answered.add(key)

    @staticmethod
    def _is(answer: httpx.Response, *codes: str) -> bool:
        return not answer.is_success and answer.json().get("code") in codes

    # the second signature

    async def _sign(self, keys: Mapping[str, str]) -> None:
        """A colleague signs what they may, the risk officer the rest. Where the second opinion is
        blind the risk officer gives one of their own."""
        colleague, officer = self._desks[REVIEWERS[1]], self._desks[SIGNER]

        async def one(case: dict[str, Any]) -> None:
            key = keys.get(case["application_id"])
            if key is None:
                return
            handling = self._planned[key].handling
            back = handling.sent_back and key not in self._sent_back
            body = {"outcome": "confirmed"}
            if back:
                body = {"outcome": "returned", "note": "请补充说明收入来源。"}
            path = f"{REVIEW}/cases/{case['application_id']}"
            answer = await colleague.post(f"{path}/signature", body)
            if self._is(answer, "risk-officer-needed", "same-person"):
                answer = await officer.post(f"{path}/signature", body)
            if self._is(answer, "opinion-first"):
                own = self._opinion(await officer.get(path), handling)
                if back and own["outcome"] == "approve":  # one that differs goes back
                    own = {"outcome": "decline", "reason": "MATERIAL_UNSOUND", "note": body["note"]}
                answer = await officer.post(f"{path}/opinion", own)
            if not answer.is_success:
                self._surprise(key, "signature", answer)
            elif back:
                self._sent_back.add(key)

        work = [one(case) for case in await officer.cases("to_sign")]
        await side_by_side(work, at_once=AT_ONCE)

    # compliance

    async def _look_into(self, keys: Mapping[str, str], now: datetime) -> None:
        desk = self._desks[COMPLIANCE]
        for case in await desk.cases("held"):
            key = keys.get(case["application_id"])
            if key is None:
                continue
            handling = self._planned[key].handling
            if handling.not_before is not None and now < handling.not_before:
                continue
            path = f"{REVIEW}/cases/{case['application_id']}/release"
            body = {"finding": handling.finding, "note": "已核查，结论见附件。"}
            answer = await desk.post(path, body)
            if not answer.is_success:
                self._surprise(key, "release", answer)

    def _surprise(self, key: str, what: str, answer: httpx.Response) -> None:
        planned = self._planned[key]
        code = ""
        if "json" in answer.headers.get("content-type", ""):
            code = str(answer.json().get("code", ""))
        self._ledger.surprises.append(
            f"{key} ({planned.story}): {what} was answered {answer.status_code} {code}"
        )
