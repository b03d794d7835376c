"""`banka demo`: brings up an office, plays ten working days and what follows, and proves the books.

The business clock stands still until nothing is on its way any more, then goes to the next moment
at which something happens. All moments lie on ticks, so that two runs of one seed tell one story.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time as machine_time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import yaml
from rich.console import Console

from deploy import local
from deploy.demo.customers import KEEP_ALIVE, Customers, Ledger
from deploy.demo.memory import peaks
from deploy.demo.mobile import MobileChannel
from deploy.demo.plan import (
    Action,
    Application,
    Branch,
    Plan,
    make_plan,
    next_tick,
    staff_rounds,
)
from deploy.demo.reconcile import Line, Outcome, Receipts, reconcile, replay
from deploy.demo.records import read_records
from deploy.demo.results import reconciliation, results, say_differences
from deploy.demo.site import Clockwork, Site
from deploy.demo.staff import PASSWORD, Staff
from deploy.local import Stack, StackProblem
from deploy.processes import GATEWAY, SIMULATORS, Office, running, to_its_end
from deploy.provision import provision
from deploy.runtime import CHECKOUT
from deploy.secret_files import CHANNELS, make_channels
from shared.calendar import BUSINESS_ZONE, is_working_day
from shared.clock import SteppedClock, step_clock
from shared.events.catalog import SERVICES
from shared.events.lifecycle import TERMINAL

ORGANISATION = CHECKOUT / "deploy" / "demo" / "organisation.yaml"
STACK = "demo"
LONGEST = datetime(2026, 12, 30, tzinfo=UTC)  # the working days of 2027 are not known yet
# What merely falls due waits for the next of these moments: every step of the clock costs a round
# through all processes. Afterwards they are eight in the morning and in the evening.
DUE_TICK = timedelta(hours=2)
AFTERWARDS_TICK = timedelta(hours=12)
PARTNERS = "partners"
CALL_BACKOFF = "0.1"  # seconds: nobody wants to watch an outage in real time


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line. `url`: a gateway that runs already."""

    seed: int = 20261012
    days: int = 10
    per_day: int = 60
    keep: bool | None = None
    url: str | None = None
    stack: str | None = None


@dataclass(slots=True)
class Timing:
    """How long each part took, in seconds of the machine."""

    parts: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=machine_time.monotonic)

    def part(self, name: str) -> None:
        now = machine_time.monotonic()
        self.parts[name] = now - self._since
        self._since = now

    def __str__(self) -> str:
        each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.parts.items())
        return f"{sum(self.parts.values()):.0f} s in all: {each}"


class Day:
    """Drives the plan through the office, from the first morning to the last case."""

    def __init__(
        self,
        plan: Plan,
        clockwork: Clockwork,
        customers: Customers,
        staff: Staff,
        app: MobileChannel,
        console: Console,
    ) -> None:
        self._plan = plan
        self._clock = clockwork
        self._customers = customers
        self._staff = staff
        self._app = app
        self._console = console
        self._due: dict[datetime, list[tuple[Application, Action]]] = {}
        for application in plan.applications:
            for action in application.actions:
                self._due.setdefault(action.at, []).append((application, action))
        self._others = {
            *self._due,
            *(one.at for one in plan.outages),
            *(one.at for one in plan.malformed),
        }

    async def live(self) -> bool:
        """Play everything; True when every case came to its end before the calendar does."""
        await self._clock.settle()
        told = self._clock.now.astimezone(BUSINESS_ZONE).date()
        while (moment := await self._next()) is not None:
            if moment >= LONGEST:
                return False
            today = moment.astimezone(BUSINESS_ZONE).date()
            if today != told:
                await self._tell(told)
                told = today
            self._clock.step(moment)
            await self._clock.settle()
            await self._at(moment)
        await self._tell(told)
        return True

    async def _at(self, moment: datetime) -> None:
        for outage in self._plan.outages:
            if outage.at == moment:
                await self._outage(outage.system, outage.calls)
        malformed = [one for one in self._plan.malformed if one.at == moment]
        for one in malformed:
            await self._app.send_malformed(one)
        due = self._due.pop(moment, [])
        if due:
            await self._customers.act(due, moment)
        if moment in self._others:
            self._others.discard(moment)
            await self._clock.settle()
        local_time = moment.astimezone(BUSINESS_ZONE)
        for clock, what in staff_rounds(local_time.date()):
            if clock == moment:
                await self._staff.sit_down(what, moment)
                await self._clock.settle()

    async def _next(self) -> datetime | None:
        """The next moment at which anything happens; None when nothing ever will again."""
        now = self._clock.now
        moments = [moment for moment in self._others if moment > now]
        coarse = DUE_TICK if moments else AFTERWARDS_TICK
        if self._clock.next_due is not None:
            tick = next_tick(self._clock.next_due, coarse)
            moments.append(tick if tick > now else next_tick(now + coarse, coarse))
        if (self._others and max(self._others) > now) or await self._staff.open_cases():
            moments.append(_next_round(now))
        return min(moments, default=None)

    async def _outage(self, system: str, calls: int) -> None:
        answer = await self._clock.client.post(
            f"{self._clock.site.credit_systems}/control/outage",
            json={"system": system, "calls": calls},
        )
        answer.raise_for_status()

    async def _tell(self, day: date) -> None:
        """One line for a day on which the office was open, and one a week afterwards."""
        planned = day <= self._plan.days[-1]
        if not (is_working_day(day) if planned else day.weekday() == 4):
            return
        if day == self._plan.days[-1]:
            await self._staff.take_report(day)
        states = await self._staff.states()
        open_ones = {state: count for state, count in states.items() if state not in _ENDED}
        ended = {state: count for state, count in states.items() if state in _ENDED}
        self._console.print(
            f"{day:%Y-%m-%d}  {sum(states.values()):>4} applications"
            f"  | open {sum(open_ones.values()):>4}: {_counts(open_ones) or '-'}"
            f"  | ended: {_counts(ended) or '-'}",
            highlight=False,
            soft_wrap=True,
        )


_ENDED = {state.value for state in TERMINAL}


def _counts(states: Mapping[str, int]) -> str:
    return ", ".join(
        f"{state.replace('_', ' ')} {count}" for state, count in sorted(states.items()) if count
    )


def _next_round(now: datetime) -> datetime:
    """When staff sit down next."""
    day = now.astimezone(BUSINESS_ZONE).date()
    while True:
        for moment, _what in staff_rounds(day):
            if moment > now:
                return moment
        day += timedelta(days=1)


def branches_of(path: Path) -> list[Branch]:
    """The branches of an organisation file."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Branch(row["branch"], row["region"]) for row in content["branches"]]


async def demo(wishes: Wishes) -> int:
    """The whole demo; the exit code is 0 only where the reconciliation holds."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    timing = Timing()
    plan = make_plan(
        wishes.seed, branches_of(ORGANISATION), days=wishes.days, per_day=wishes.per_day
    )
    console.print(
        f"seed {plan.seed}: {len(plan.applications)} applications on {len(plan.days)} working days"
        f" from {plan.days[0]:%Y-%m-%d} on",
        highlight=False,
    )
    async with _site(wishes, plan, timing, console) as site:
        lines, outcome, imported = await _play(site, plan, timing, console)
        for table in results(plan, outcome, imported):
            console.print(table)
        console.print(reconciliation(lines))
        say_differences(console, lines)
        timing.part("reconciliation")
        console.print(str(timing), highlight=False)
        holds = all(line.holds for line in lines)
        console.print("The books agree." if holds else "The books do not agree.")
        if wishes.keep if wishes.keep is not None else sys.stdout.isatty():
            await _stay(site, console)
    return 0 if holds else 1


async def _play(
    site: Site, plan: Plan, timing: Timing, console: Console
) -> tuple[list[Line], Outcome, int]:
    ledger = Ledger()
    cases = {one.key: one for one in plan.applications}
    tokens = {client: site.stack.secret(f"token-{client}") for client in CHANNELS}
    run = f"{plan.seed}-{os.getpid()}"
    async with (
        httpx.AsyncClient(
            timeout=30, trust_env=False, limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE)
        ) as client,
        MobileChannel.connected(site, ledger) as app,
    ):
        clockwork = Clockwork(site, client, plan.opens)
        await clockwork.settle()
        staff = await Staff.sign_in(site.gateway, cases, ledger)
        customers = Customers(site.gateway, tokens, app, ledger, run)
        try:
            imported = await staff.bring_over(list(plan.earlier))
            day = Day(plan, clockwork, customers, staff, app, console)
            ended = await day.live()
            if not ended:
                ledger.surprises.append("cases were still open when the calendar ended")
        finally:
            await customers.close()
            await staff.close()
        timing.part("business days")
        played = (site.message_gateways, site.credit_systems, site.machines[PARTNERS])
        gateways, credit_systems, partners = [
            (await client.get(f"{url}/receipts")).json() for url in played
        ]
        receipts = Receipts(gateways, credit_systems, partners, memory=peaks(site.pids))
    records = await read_records(site.stack)
    outcome = replay(records, ledger, plan.seed)
    lines = reconcile(plan, ledger, imported, records, outcome, receipts)
    messages: dict[str, int] = {}
    for row in records.messages:
        messages[row["state"]] = messages.get(row["state"], 0) + 1
    troubles = _counts(receipts.gateways["troubles"])
    console.print(
        f"messages: {_counts(messages)}; troubles of the gateways: {troubles}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"the business clock moved {clockwork.steps} times, {clockwork.polls} questions whether it"
        " may",
        highlight=False,
    )
    return lines, outcome, len(imported)


async def _stay(site: Site, console: Console) -> None:
    console.print(f"\nLook around at {site.gateway} (Ctrl-C ends it). Users, all with password")
    console.print(f"{PASSWORD}: {', '.join(users_of(ORGANISATION))}", highlight=False)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def users_of(path: Path) -> list[str]:
    """The names by which the made-up staff sign in."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [row["username"] for row in content["staff"]]


# --- the office to play in -----------------------------------------------------------------------


@asynccontextmanager
async def _site(
    wishes: Wishes, plan: Plan, timing: Timing, console: Console
) -> AsyncIterator[Site]:
    """The office that runs already, or a fresh one that is stopped at the end."""
    if wishes.url:
        yield await _given(wishes.url, plan)
        return
    name = local.stack_name(wishes.stack or os.environ.get("BANKA_STACK") or STACK)
    os.environ["BANKA_ENVIRONMENT"] = "demo"
    own = not (os.environ.get("BANKA_KAFKA_BOOTSTRAP") or os.environ.get("BANKA_POSTGRES_DSN"))
    if own:  # two runs begin alike; a server of the user's own is not ours to empty
        await asyncio.to_thread(local.purge, name)
    console.print("starting broker and database …")
    try:
        stack = await _up(name)
        make_channels(stack.secrets_dir)
        await provision(stack)
        timing.part("broker and database")
        clock_file = stack.folder / "clock"
        step_clock(clock_file, plan.opens)
        environment = {
            "BANKA_ENVIRONMENT": "demo",
            "BANKA_CLOCK_FILE": str(clock_file),
            "BANKA_CALL_BACKOFF": CALL_BACKOFF,
        }
        async with running(stack, extra_env=environment, seed=plan.seed) as office:
            timing.part("services")
            await _load_organisation(office)
            console.print(f"the office is open at {office.url(GATEWAY)}", highlight=False)
            machines = {name: office.url(name) for name in SERVICES}
            machines |= {name: office.url(name) for name in SIMULATORS if name == PARTNERS}
            yield Site(
                stack=stack,
                gateway=office.url(GATEWAY),
                machines=machines,
                credit_systems=office.url("credit-systems"),
                message_gateways=office.url("message-gateways"),
                clock_file=clock_file,
                pids={name: pid for name, pid in office.pids.items() if name in SERVICES},
            )
    finally:
        await asyncio.shield(asyncio.to_thread(local.down, name))


async def _up(name: str) -> Stack:
    """The stack, started in a thread. A thread does not end with its task: it is told, and waited
    for until it has stopped what it started."""
    told = threading.Event()
    starting = asyncio.ensure_future(asyncio.to_thread(local.up, name, told=told))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        told.set()
        await asyncio.gather(starting, return_exceptions=True)
        raise


async def _given(url: str, plan: Plan) -> Site:
    """A deployment that runs: every address from `BANKA_…`, as its processes know them."""
    stack = local.attach()
    clock_file = os.environ.get("BANKA_CLOCK_FILE")
    wanted = [f"BANKA_{name.upper()}_URL" for name in SERVICES]
    others = ["BANKA_PARTNERS_URL", "BANKA_IDENTITY_URL", "BANKA_SMS_URL", "BANKA_CLOCK_FILE"]
    missing = [name for name in (*wanted, *others) if not os.environ.get(name)]
    if missing or clock_file is None:
        raise StackProblem(f"--url needs the deployment's addresses too: {', '.join(missing)}")
    now = SteppedClock(Path(clock_file)).now()
    if now > plan.opens:
        raise StackProblem(
            f"this deployment has lived until {now:%Y-%m-%d} already; take it down with its"
            " volumes and begin again"
        )
    step_clock(Path(clock_file), plan.opens)
    machines = {name: os.environ[f"BANKA_{name.upper()}_URL"] for name in SERVICES}
    return Site(
        stack=stack,
        gateway=url.rstrip("/"),
        machines={**machines, PARTNERS: os.environ["BANKA_PARTNERS_URL"]},
        credit_systems=os.environ["BANKA_IDENTITY_URL"].removesuffix("/identity"),
        message_gateways=os.environ["BANKA_SMS_URL"],
        clock_file=Path(clock_file),
    )


async def _load_organisation(office: Office) -> None:
    await to_its_end(
        "services.intake", "organisation", str(ORGANISATION), env=office.environment("intake")
    )


def main(wishes: Wishes) -> int:
    """Run it; Ctrl-C, SIGTERM and a terminal that closes end it in order."""

    async def until_told() -> int:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def end() -> None:
            if not task.cancelling():  # told once more, it goes on stopping in order
                task.cancel()

        local.when_told_to_stop(lambda: loop.call_soon_threadsafe(end))
        return await demo(wishes)

    try:
        return asyncio.run(until_told())
    except asyncio.CancelledError:
        return 130
