"""Carries out what the plan's customers and branches do, over HTTP and through the app's events.

Everything goes through the gateway with a channel's token, as it would from outside.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import httpx

from deploy.demo.handed_in import batch_file, content, form, party_form
from deploy.demo.plan import BATCH, Action, Application, Final

INTAKE = "/intake/api/v1"
KEEP_ALIVE = 2.0  # seconds; the gateway closes idle connections after five
AT_ONCE = 10  # requests under way; the machine has two cores
_CLIENTS = {"web": "web-channel"}


class UnexpectedAnswerError(RuntimeError):
    """A service answered otherwise than the plan says; names the case, never a person."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An application that the office took."""

    application_id: str
    number: str


@dataclass(slots=True)
class Ledger:
    """What the driver saw: {key of the plan: application}, whom the office refused, and every
    answer that the plan did not expect."""

    taken: dict[str, Taken] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    surprises: list[str] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)

    def keys(self) -> dict[str, str]:
        """{application id: key of the plan}."""
        return {taken.application_id: key for key, taken in self.taken.items()}


class App(Protocol):
    """The bank's app as the office sees it: events in, answers out."""

    async def apply(self, application: Application, now: datetime) -> None: ...

    async def supply(self, application: Application, action: Action) -> None: ...

    async def withdraw(self, application: Application, action: Action) -> None: ...


class Customers:
    """Everybody who comes to the bank."""

    def __init__(
        self, gateway: str, tokens: Mapping[str, str], app: App, ledger: Ledger, run: str
    ) -> None:
        """`tokens`: {client: bearer token}; `run` keeps idempotency keys of two runs apart."""
        limits = httpx.Limits(
            max_connections=AT_ONCE * 2,
            max_keepalive_connections=AT_ONCE * 2,
            keepalive_expiry=KEEP_ALIVE,
        )
        self._clients = {
            client: httpx.AsyncClient(
                base_url=gateway,
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
                trust_env=False,
                limits=limits,
            )
            for client, token in tokens.items()
        }
        self._app = app
        self._ledger = ledger
        self._run = run

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def act(self, due: Iterable[tuple[Application, Action]], now: datetime) -> None:
        """Everything that happens at one moment, side by side; what one customer does stays in
        order.

        A branch takes its new applications one after the other: their running numbers, on which
        the fate of a card depends, are then the same in every run.
        """
        lists: dict[tuple[str, str], list[Application]] = {}
        others: dict[str, list[tuple[Application, Action]]] = {}
        for application, action in due:
            if action.kind == "apply" and application.route in BATCH:
                place = (application.branch.code, application.route)
                lists.setdefault(place, []).append(application)
            else:
                others.setdefault(application.key, []).append((application, action))
        queues: dict[str, list[Coroutine[Any, Any, None]]] = {}
        for (branch, kind), rows in sorted(lists.items()):
            queues.setdefault(branch, []).append(self._load_list(branch, kind, rows))
        for key, steps in sorted(others.items()):
            first, action = steps[0]
            queue = first.branch.code if action.kind == "apply" else key
            queues.setdefault(queue, []).append(self._in_order(steps, now))
        await side_by_side(
            [one_after_the_other(queue) for queue in queues.values()], at_once=AT_ONCE
        )

    async def _in_order(self, steps: list[tuple[Application, Action]], now: datetime) -> None:
        for application, action in steps:
            try:
                if application.route == "mobile":
                    await self._by_app(application, action, now)
                else:
                    await self._by_http(application, action, now)
            except UnexpectedAnswerError as surprise:
                self._ledger.surprises.append(str(surprise))

    async def _by_app(self, application: Application, action: Action, now: datetime) -> None:
        match action.kind:
            case "apply":
                await self._app.apply(application, now)
            case "supply":
                await self._app.supply(application, action)
            case "withdraw":
                await self._app.withdraw(application, action)
            case _:
                raise UnexpectedAnswerError(f"{application.key}: the app cannot {action.kind}")

    async def _by_http(self, application: Application, action: Action, now: datetime) -> None:
        if action.kind == "apply":
            await self._apply(application, action, now)
            return
        taken = self._ledger.taken.get(application.key)
        if taken is None:
            raise UnexpectedAnswerError(
                f"{application.key} ({application.story}): {action.kind} without an application"
            )
        match action.kind:
            case "supply":
                await self._upload(application, action)
            case "correct":
                assert action.person is not None
                party = party_form("applicant", action.person)
                party.pop("nationality")
                answer = await self._send(
                    application,
                    "PATCH",
                    f"/applications/{taken.application_id}",
                    json={"parties": [party]},
                )
                self._expect(application, action, answer)
                await self._upload(application, action)
            case "withdraw":
                answer = await self._send(
                    application,
                    "POST",
                    f"/applications/{taken.application_id}/withdraw",
                    json={"reason": "customer's wish"},
                )
                self._expect(application, action, answer)
            case "wrong-file":
                await self._upload(application, action)
            case _:
                raise UnexpectedAnswerError(f"{application.key}: cannot {action.kind}")

    async def _apply(self, application: Application, action: Action, now: datetime) -> None:
        """A draft, its papers, and then it is handed in."""
        body = form(application, now)
        key = f"{self._run}-{application.key}"
        answer = await self._send(application, "POST", "/applications", key=key, json=body)
        if answer.status_code != httpx.codes.CREATED:
            raise self._surprise(application, "apply", answer)
        begun = answer.json()
        self._ledger.taken[application.key] = Taken(
            begun["application_id"], begun["application_number"]
        )
        if action.twice:
            again = await self._send(application, "POST", "/applications", key=key, json=body)
            if again.json().get("application_id") != begun["application_id"]:
                raise self._surprise(application, "apply again", again)
        await self._upload(application, action)
        if application.submit:
            answer = await self._send(
                application, "POST", f"/applications/{begun['application_id']}/submit"
            )
            self._expect(application, action, answer)

    async def _upload(self, application: Application, action: Action) -> None:
        taken = self._ledger.taken[application.key]
        wrong = action.kind == "wrong-file"
        for paper in action.papers:
            data = {"item": paper.item}
            if paper.issued_on is not None:
                data["issued_on"] = paper.issued_on.isoformat()
            file = content(paper, application.key) if not wrong else b"GIF89a not a paper"
            answer = await self._send(
                application,
                "POST",
                f"/applications/{taken.application_id}/documents",
                key=f"{self._run}-{application.key}-{paper.item}-{action.at:%m%d%H%M}-{wrong}",
                data=data,
                files={"file": (paper.item, file, paper.media_type)},
            )
            if wrong:
                self._expect(application, action, answer)
            elif answer.status_code != httpx.codes.CREATED:
                raise self._surprise(application, f"upload {paper.item}", answer)

    async def _load_list(self, branch: str, kind: str, rows: list[Application]) -> None:
        """A branch's list; its rows come back by number, from 2 on where the header is row 1."""
        answer = await self._send(
            rows[0],
            "POST",
            "/batches",
            data={"branch": branch},
            files={"file": (f"list.{kind}", batch_file(rows, kind), "text/csv")},
        )
        if answer.status_code != httpx.codes.OK:
            self._ledger.surprises.append(str(self._surprise(rows[0], "list", answer)))
            return
        outcome = answer.json()
        numbers = sorted(
            [row["row"] for row in outcome["accepted"]]
            + [row["row"] for row in outcome["rejected"]]
        )
        by_row = dict(zip(numbers, rows, strict=True))
        for row in outcome["accepted"]:
            self._ledger.taken[by_row[row["row"]].key] = Taken(
                row["application_id"], row["application_number"]
            )
        for row in outcome["rejected"]:
            application = by_row[row["row"]]
            self._ledger.refused.add(application.key)
            if application.final is not Final.REFUSED:
                codes = ", ".join(f"{one['field']} {one['code']}" for one in row["problems"])
                self._ledger.surprises.append(
                    f"{application.key} ({application.story}): row refused: {codes}"
                )

    async def _send(
        self, application: Application, method: str, path: str, *, key: str = "", **request: Any
    ) -> httpx.Response:
        client = self._clients[_CLIENTS.get(application.route, "branch-terminal")]
        headers = {"Idempotency-Key": key} if key else {}
        self._ledger.requests["HTTP requests"] += 1
        return await client.request(method, INTAKE + path, headers=headers, **request)

    def _expect(self, application: Application, action: Action, answer: httpx.Response) -> None:
        """Compare with what the plan says; a refusal shows its status or its code."""
        if not action.refused and answer.is_success:
            return
        refused = action.refused and not answer.is_success
        if refused and (str(answer.status_code) == action.refused or action.refused in answer.text):
            return
        raise self._surprise(application, action.kind, answer)

    @staticmethod
    def _surprise(
        application: Application, what: str, answer: httpx.Response
    ) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"{application.key} ({application.story}, {application.route}): {what} was answered"
            f" {answer.status_code} {_codes(answer)}"
        )


def _codes(answer: httpx.Response) -> str:
    """The codes of a problem; never its words, which may be about a person."""
    try:
        problem = answer.json()
    except ValueError:
        return ""
    if not isinstance(problem, dict):
        return ""
    inner = [*problem.get("problems", []), *problem.get("errors", [])]
    return " ".join(
        [
            str(problem.get("code", "")),
            *(f"{one.get('pointer', '')}:{one['code']}" for one in inner),
        ]
    )


async def one_after_the_other(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    for step in work:
        await step


async def side_by_side(work: Iterable[Coroutine[Any, Any, None]], *, at_once: int) -> None:
    """All of it, so many at a time; the first failure ends the rest."""
    places = asyncio.Semaphore(at_once)

    async def one(step: Coroutine[Any, Any, None]) -> None:
        async with places:
            await step

    async with asyncio.TaskGroup() as together:
        for step in work:
            together.create_task(one(step))
