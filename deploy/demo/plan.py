"""What happens in the demo: who applies when and how, what goes wrong, and how each case must end.

Pure and seeded: the same seed gives the same plan. Nothing here knows a service; what the plan says
is carried out by `run.py` and held against what became of it by `reconcile.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Literal

from deploy.demo.people import Crowd, Person, renewed, with_passport
from shared.calendar import BUSINESS_ZONE, add_working_days, is_working_day
from shared.events.intake import AppealWish
from shared.parameters import Condition, product_of

OPENING = date(2026, 10, 12)
TICK = timedelta(hours=1)  # what is planned lies on these moments of the business clock

ACCEPTING = (time(9), time(10), time(11), time(14), time(16))
EVENING = time(20)  # the app never closes
ATTEMPTS = 6  # review asks so often in a row before a system counts as away
PROPOSING = (time(10), time(16))  # reviewers take what lies in the queue
SIGNING = (time(11), time(17))
COMPLIANCE = time(12)
CHECKING = (time(9), time(15))  # officers look at the papers of products that want one
_CUSTOMERS_RETURN = (time(10), time(11), time(14))
_PLANNED_FOR = 600  # applications that the shares below were counted for

Route = Literal["counter", "web", "csv", "xlsx", "mobile"]
ROUTES: tuple[tuple[Route, int], ...] = (("counter", 22), ("web", 15), ("csv", 4), ("xlsx", 3),
                                         ("mobile", 16))  # fmt: skip
"""How applications come, of sixty."""

IN_PERSON: tuple[Route, ...] = ("counter", "web")
BATCH: tuple[Route, ...] = ("csv", "xlsx")
ALL_ROUTES: tuple[Route, ...] = ("counter", "web", "csv", "xlsx", "mobile")
NO_BATCH: tuple[Route, ...] = ("counter", "web", "mobile")


class Final(StrEnum):
    """How an application ends."""

    IN_USE = "in_use"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    REFUSED = "refused"  # never became an application: the answer was no


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch that takes applications; `region` is its province, two digits."""

    code: str
    region: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper that the customer hands in."""

    item: str
    issued_on: date | None = None
    media_type: Literal["application/pdf", "image/jpeg", "image/png"] = "application/pdf"


Kind = Literal["apply", "submit", "supply", "correct", "withdraw", "wrong-file"]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that the customer does. `refused`: the code that the answer must carry, if any."""

    at: datetime
    kind: Kind
    papers: tuple[Paper, ...] = ()
    person: Person | None = None  # of a correction: as they are in truth
    refused: str = ""
    twice: bool = False  # sent again under the same key, as clients do after a broken connection


@dataclass(frozen=True, slots=True)
class Handling:
    """What staff do with the case, as far as the policy leaves it to them.

    `decline_for`: reason of the first reviewer, where the policy advises nothing else.
    `not_before`: nobody takes the case sooner. `released_at`, `finding`: compliance. `met`: an
    officer sees the person with the original while papers are awaited. `appeal`: what the declined
    customer then asks for.
    """

    decline_for: str = ""
    not_before: datetime | None = None
    sent_back: bool = False
    wanted: str = ""
    met: bool = False
    finding: Literal["clear", "confirmed"] = "clear"
    appeal: AppealWish | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """One planned application and how it must end."""

    key: str
    story: str
    route: Route
    branch: Branch
    product: str
    applicant_type: str
    person: Person
    actions: tuple[Action, ...]
    handling: Handling = Handling()
    final: Final = Final.IN_USE
    category: str | None = None  # of a decline
    holder: Person | None = None  # of a supplementary card
    submit: bool = True
    requested_limit: int | None = None  # fen
    stalls: bool = False

    @property
    def applied_at(self) -> datetime:
        return self.actions[0].at

    @property
    def channel(self) -> str:
        return {"csv": "batch", "xlsx": "batch", "mobile": "mobile_app"}.get(self.route, self.route)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A customer whose card came over from another system."""

    person: Person
    branch: Branch
    limit: int  # fen
    submitted_at: datetime
    in_use_since: datetime


@dataclass(frozen=True, slots=True)
class Outage:
    """A system of the bank does not answer the next so many calls."""

    at: datetime
    system: Literal["identity", "bureau", "watchlist"]
    calls: int


MALFORMED = (
    "not-json",
    "missing-fields",
    "clear-personal-data",
    "clear-in-place-of-jwe",
    "unknown-field",
    "unknown-branch",
    "unknown-type",
    "wrong-source",
    "unknown-application",
    "same-id-other-content",
    "no-headers",
    "empty-header",
    "no-content",
)
"""Events of a partner that have to be answered and must stop nothing."""

UNREADABLE = ("not-json", "no-headers", "empty-header", "no-content")
"""Those among them that are no event at all."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """An event of the app that is wrong in one way."""

    at: datetime
    kind: str
    person: Person
    branch: Branch


@dataclass(frozen=True, slots=True)
class Plan:
    """Ten working days of an office, and what comes of them."""

    seed: int
    days: tuple[date, ...]
    earlier: tuple[Earlier, ...]
    applications: tuple[Application, ...]
    outages: tuple[Outage, ...]
    malformed: tuple[Malformed, ...]

    @property
    def opens(self) -> datetime:
        return at(self.days[0], time(8))

    @property
    def closes(self) -> datetime:
        """The evening of the last day."""
        return at(self.days[-1], time(18))


def at(day: date, clock: time) -> datetime:
    """A moment by the bank's wall clock, in UTC."""
    return datetime.combine(day, clock, BUSINESS_ZONE).astimezone(UTC)


def working_days(first: date, count: int) -> tuple[date, ...]:
    """The first `count` working days from `first` on."""
    days = [add_working_days(first, 0)]
    while len(days) < count:
        days.append(add_working_days(days[-1], 1))
    return tuple(days)


# --- papers --------------------------------------------------------------------------------------


def needed_papers(
    product: str,
    applicant_type: str,
    *,
    day: date,
    other_province: bool,
    minor: bool = False,
    passport: bool = False,
) -> tuple[Paper, ...]:
    """A whole set of papers, fresh on that day; of alternatives the first."""
    applies = {
        Condition.ALWAYS: True,
        Condition.ID_PROVINCE_NOT_WORK_PROVINCE: other_province,
        Condition.HOLDER_IS_MINOR: minor,
        Condition.HOLDER_HAS_ID_CARD: not passport,
        Condition.HOLDER_HAS_PASSPORT: passport,
        Condition.NOT_ON_FILE: True,
    }
    items = [
        requirement.items[0]
        for requirement in product_of(product).materials[applicant_type]  # type: ignore[index]
        if requirement.need != "optional" and applies[requirement.when]
    ]
    return tuple(
        _paper(item, day) for item in dict.fromkeys(items) if item != "credit_authorization"
    )


def _paper(item: str, day: date, *, age: int = 8) -> Paper:
    dated = item.endswith("_proof") or item == "bank_statement"
    photo: Literal["image/jpeg", "image/png"] = "image/png" if item == "id_back" else "image/jpeg"
    return Paper(
        item,
        issued_on=day - timedelta(days=age) if dated else None,
        media_type=photo if item.startswith("id_") else "application/pdf",
    )


# --- stories -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Writer:
    """Writes applications into a plan; one source of chance for all of it."""

    seed: int
    days: tuple[date, ...]
    branches: tuple[Branch, ...]
    chance: Random = field(init=False)
    crowd: Crowd = field(init=False)
    applications: list[Application] = field(default_factory=list)
    earlier: list[Earlier] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.crowd = Crowd(self.chance, self.days[0])

    def known_customer(self, scenario: Sequence[int] | None = None) -> Earlier:
        """A customer whose card is in use since long ago; another one each time."""
        branch = self.chance.choice(self.branches)
        since = self.days[0] - timedelta(days=self.chance.randint(200, 900))
        person = self.crowd.make(
            branch.region,
            work_region=branch.region,
            ages=(28, 55),
            scenario=scenario,
            income_yuan=(15_000, 32_000),
        )
        known = Earlier(
            person,
            branch,
            limit=1_000_000,
            submitted_at=at(since, time(10)),
            in_use_since=at(since + timedelta(days=25), time(12)),
        )
        self.earlier.append(known)
        return known

    def application(
        self,
        story: str,
        route: Route,
        day: date,
        *,
        clock: time | None = None,
        shape: tuple[str, str] | None = None,
        scenario: Sequence[int] | None = None,
        person: Person | None = None,
        branch: Branch | None = None,
    ) -> Application:
        """An application that has everything and goes well; stories take something away."""
        chance = self.chance
        branch = branch or chance.choice(self.branches)
        product, applicant_type = shape or self._shape(route)
        moments = (*ACCEPTING, EVENING) if route == "mobile" else ACCEPTING
        clock = clock or (time(10) if route in BATCH else chance.choice(moments))
        holder: Person | None = None
        other = chance.random() < 0.12 and applicant_type in ("salaried", "self_employed")
        if applicant_type in ("existing_customer", "supplementary"):
            known = self.known_customer(None if applicant_type == "supplementary" else scenario)
            person, branch, other = known.person, known.branch, False
        if applicant_type == "supplementary":
            holder = self.crowd.make(
                branch.region, work_region=branch.region, ages=(18, 24), scenario=scenario
            )
        if person is None:
            region = branch.region
            if other:
                region = chance.choice([p for p in ("34", "36", "41", "43") if p != region])
            person = self.crowd.make(
                region,
                work_region=branch.region,
                ages=(18, 22) if applicant_type == "student" else (25, 55),
                scenario=scenario,
                income_yuan=(15_000, 32_000)
                if product in ("gold", "business")
                else (9_000, 20_000),
            )
        other = person.province != branch.region and applicant_type in ("salaried", "self_employed")
        papers = needed_papers(product, applicant_type, day=day, other_province=other)
        start = at(day, clock)
        actions = [Action(start, "apply", papers)]
        if route in BATCH:  # the branch loads a list; the papers follow with the afternoon's post
            actions = [Action(start, "apply"), Action(at(day, time(14)), "supply", papers)]
        written = Application(
            key=f"{len(self.applications) + 1:04d}",
            story=story,
            route=route,
            branch=branch,
            product=product,
            applicant_type=applicant_type,
            person=person,
            actions=tuple(actions),
            holder=holder,
            requested_limit=chance.choice((None, None, 2_000_000, 3_000_000))
            if product in ("standard", "gold")
            else None,
        )
        self.applications.append(written)
        return written

    def change(self, application: Application, **fields: Any) -> Application:
        """Write an application anew with other fields."""
        changed = replace(application, **fields)
        self.applications[self.applications.index(application)] = changed
        return changed

    def _shape(self, route: Route) -> tuple[str, str]:
        shapes: list[tuple[tuple[str, str], int]] = [
            (("standard", "salaried"), 40),
            (("standard", "self_employed"), 8),
            (("standard", "asset_owner"), 5),
            (("gold", "salaried"), 14),
            (("gold", "asset_owner"), 3),
        ]
        if route in ("counter", "csv", "xlsx"):
            shapes += [(("business", "salaried"), 6), (("business", "self_employed"), 4)]
        if route in NO_BATCH:
            shapes += [(("student", "student"), 8)]
        if route in IN_PERSON:
            shapes += [(("supplementary", "supplementary"), 5)]
        return self.chance.choices([s for s, _ in shapes], [w for _, w in shapes])[0]

    # each story writes one application, or two that belong together

    def plain(self, route: Route, day: date) -> None:
        self.application("plain", route, day)

    def sent_twice(self, route: Route, day: date) -> None:
        """The same request twice, as after a broken connection, makes one application."""
        written = self.application("sent twice", route, day)
        first, *rest = written.actions
        self.change(written, actions=(replace(first, twice=True), *rest))

    def known(self, route: Route, day: date) -> None:
        """A customer of long standing: the policy alone may decide."""
        shape = ("gold", "existing_customer")
        self.application("existing customer", route, day, shape=shape)

    def _without(
        self, story: str, route: Route, day: date, after: int | None, *, stale: bool = False
    ) -> None:
        """A paper is missing or too old; it comes `after` so many working days, or never."""
        shape = self.chance.choice((("standard", "salaried"), ("gold", "salaried")))
        written = self.application(story, route, day, shape=shape)
        whole = next(action for action in written.actions if action.papers)
        item = "income_proof" if stale else self.chance.choice(("income_proof", "work_proof"))
        left = [paper for paper in whole.papers if paper.item != item]
        if stale:
            left.append(_paper(item, day, age=self.chance.randint(100, 300)))
        actions = [
            replace(action, papers=tuple(left)) if action is whole else action
            for action in written.actions
        ]
        if after is None:
            self.change(written, actions=tuple(actions), final=Final.EXPIRED)
            return
        back = add_working_days(day, after)
        moment = at(back, self.chance.choice(_CUSTOMERS_RETURN))
        actions.append(Action(moment, "supply", (_paper(item, back),)))
        self.change(written, actions=tuple(actions))

    def missing(self, route: Route, day: date) -> None:
        self._without("paper missing", route, day, self.chance.randint(1, 4))

    def late(self, route: Route, day: date) -> None:
        """It comes only after the reminder."""
        self._without("paper late", route, day, self.chance.randint(8, 9))

    def never(self, route: Route, day: date) -> None:
        self._without("paper never", route, day, None)

    def stale(self, route: Route, day: date) -> None:
        self._without("proof too old", route, day, self.chance.randint(1, 5), stale=True)

    def expired_id(self, route: Route, day: date) -> None:
        """The ID card has run out; the customer comes back with a new one."""
        branch = self.chance.choice(self.branches)
        person = self.crowd.make(
            branch.region, work_region=branch.region, ages=(27, 33), id_expired=True
        )
        written = self.application(
            "ID card expired", route, day, shape=("standard", "salaried"), person=person,
            branch=branch,
        )  # fmt: skip
        back = add_working_days(day, self.chance.randint(3, 6))
        new = renewed(person, back - timedelta(days=2))
        papers = (_paper("id_front", back), _paper("id_back", back))
        mended = Action(at(back, time(11)), "correct", papers, person=new)
        self.change(written, actions=(*written.actions, mended))

    def mistyped(self, route: Route, day: date) -> None:
        """A check digit is wrong and is put right the next day."""
        written = self.application("check digit wrong", route, day, shape=("standard", "salaried"))
        right = written.person
        mended = Action(at(add_working_days(day, 1), time(11)), "correct", person=right)
        self.change(written, person=right.with_id_mistyped(), actions=(*written.actions, mended))

    def wrong_file(self, route: Route, day: date) -> None:
        """Something that is no paper is uploaded and refused, then the right file comes."""
        shape = ("standard", "salaried")
        written = self.application("wrong file", route, day, shape=shape)
        first = written.actions[0]
        kept = tuple(paper for paper in first.papers if paper.item != "work_proof")
        wrong = Action(first.at, "wrong-file", (_paper("work_proof", day),), refused="415")
        right = Action(
            at(add_working_days(day, 1), time(14)), "supply", (_paper("work_proof", day),)
        )
        actions = (replace(first, papers=kept), wrong, right)
        self.change(written, actions=actions)

    def twice(self, route: Route, day: date) -> None:
        """The same person applies for the same product while the first case is open."""
        first = self.application("applied twice, first", route, day, shape=("standard", "salaried"))
        self._again("applied twice, second", first, 1, "DUPLICATE_APPLICATION")

    def too_soon(self, route: Route, day: date) -> None:
        """Declined, and back before the cool-down has ended."""
        first = self._declined("declined, returns", route, day, range(920, 930), "too_many_queries")
        self._again("returns too soon", first, 4, "COOL_DOWN")

    def _again(self, story: str, first: Application, after: int, code: str) -> None:
        day = add_working_days(first.applied_at.astimezone(BUSINESS_ZONE).date(), after)
        # the first one has been decided by now, or lies in the queue until the afternoon
        again = self.application(
            story, first.route if first.route not in BATCH else "counter", day, clock=time(14),
            shape=(first.product, first.applicant_type), person=first.person, branch=first.branch,
        )  # fmt: skip
        refused = replace(again.actions[0], refused=code)
        # the app is told no and nothing is kept; at the counter a draft stays until it is dropped
        final = Final.REFUSED if again.route == "mobile" else Final.EXPIRED
        self.change(again, actions=(refused,), final=final)
        if code == "DUPLICATE_APPLICATION":  # the first one is still open when the second comes
            self.change(first, handling=replace(first.handling, not_before=at(day, time(15))))

    def too_young(self, route: Route, day: date) -> None:
        """Too young for the product: no paper mends that."""
        branch = self.chance.choice(self.branches)
        person = self.crowd.make(branch.region, work_region=branch.region, ages=(18, 19))
        written = self.application(
            "age out of range", route, day, shape=("gold", "salaried"), person=person, branch=branch
        )
        refused = replace(written.actions[0], refused="AGE_OUT_OF_RANGE")
        final = Final.REFUSED if route == "mobile" else Final.EXPIRED
        self.change(written, actions=(refused,), final=final)

    def abandoned(self, route: Route, day: date) -> None:
        """Begun and never handed in."""
        written = self.application("draft abandoned", route, day)
        self.change(written, submit=False, final=Final.EXPIRED)

    def withdrawn_draft(self, route: Route, day: date) -> None:
        written = self.application("withdrawn: draft", route, day)
        out = Action(at(add_working_days(day, 1), time(10)), "withdraw")
        self.change(written, submit=False, final=Final.WITHDRAWN, actions=(*written.actions, out))

    def withdrawn_waiting(self, route: Route, day: date) -> None:
        self._without("withdrawn: papers missing", route, day, None)
        written = self.applications[-1]
        out = Action(at(add_working_days(day, 3), time(11)), "withdraw")
        self.change(written, final=Final.WITHDRAWN, actions=(*written.actions, out))

    def withdrawn_review(self, route: Route, day: date) -> None:
        written = self.application("withdrawn: in review", route, day, shape=("gold", "salaried"))
        back = add_working_days(day, 1)
        self.change(
            written,
            final=Final.WITHDRAWN,
            handling=Handling(not_before=at(back, time(14))),
            actions=(*written.actions, Action(at(back, time(11)), "withdraw")),
        )

    def withdrawn_held(self, route: Route, day: date) -> None:
        written = self.application(
            "withdrawn: held", route, day, shape=("standard", "salaried"), scenario=range(940, 950)
        )
        back = add_working_days(day, 1)
        self.change(
            written,
            final=Final.WITHDRAWN,
            handling=Handling(not_before=at(back, time(14))),
            actions=(*written.actions, Action(at(back, time(10)), "withdraw")),
        )

    def withdrawn_late(self, route: Route, day: date) -> None:
        """The card is ordered already: the answer is no, in plain words."""
        written = self.application(
            "withdrawal too late", route, day, clock=time(9), shape=("standard", "salaried")
        )
        out = Action(at(day, time(14)), "withdraw", refused="card-ordered")
        self.change(written, actions=(*written.actions, out))

    def _declined(
        self, story: str, route: Route, day: date, scenario: Sequence[int], category: str
    ) -> Application:
        written = self.application(
            story, route, day, shape=("standard", "salaried"), scenario=scenario
        )
        return self.change(written, final=Final.DECLINED, category=category)

    def identity(self, route: Route, day: date) -> None:
        category = "inconsistent_information"
        self._declined("identity not confirmed", route, day, range(900, 910), category)

    def adverse(self, route: Route, day: date) -> None:
        self._declined("adverse record", route, day, range(910, 920), "credit_history")

    def queries(self, route: Route, day: date) -> None:
        self._declined("too many queries", route, day, range(920, 930), "too_many_queries")

    def debts(self, route: Route, day: date) -> None:
        """The customer asks why."""
        written = self._declined(
            "debts too high", route, day, range(930, 940), "income_debt_mismatch"
        )
        self.change(written, handling=Handling(appeal=AppealWish.EXPLANATION))

    def unsound(self, route: Route, day: date) -> None:
        written = self._declined("papers unsound", route, day, range(100, 900), "material_unsound")
        self.change(written, handling=Handling(decline_for="MATERIAL_UNSOUND"))

    def ineligible(self, route: Route, day: date) -> None:
        self._declined("too many cards", route, day, range(980, 990), "eligibility")

    def known_adverse(self, route: Route, day: date) -> None:
        """A customer of long standing, declined by the policy alone, who wants a person to look."""
        written = self.application(
            "declined by the policy",
            route,
            day,
            shape=("gold", "existing_customer"),
            scenario=range(910, 920),
        )
        self.change(
            written,
            final=Final.DECLINED,
            category="credit_history",
            handling=Handling(appeal=AppealWish.HUMAN_REVIEW),
        )

    def cleared(self, route: Route, day: date) -> None:
        self.application(
            "hold, released", route, day, shape=("standard", "salaried"), scenario=range(940, 950)
        )

    def confirmed(self, route: Route, day: date) -> None:
        written = self._declined("hold, confirmed", route, day, range(940, 950), "internal")
        self.change(written, handling=Handling(finding="confirmed"))

    def no_record(self, route: Route, day: date) -> None:
        self.application(
            "no credit record", route, day, shape=("standard", "salaried"),
            scenario=range(950, 960),
        )  # fmt: skip

    def middling(self, route: Route, day: date) -> None:
        self.application(
            "middling score", route, day, shape=("standard", "salaried"), scenario=range(960, 970)
        )

    def slow_bureau(self, route: Route, _day: date) -> None:
        """The bureau's first answer gets lost; all on one day, because each costs seconds."""
        self.application(
            "bureau timed out", route, self.days[len(self.days) // 3], clock=time(11),
            shape=("standard", "salaried"), scenario=range(970, 980),
        )  # fmt: skip

    def sent_back(self, route: Route, day: date) -> None:
        """The second person does not sign at first."""
        written = self.application("sent back once", route, day, shape=("gold", "salaried"))
        self.change(written, handling=Handling(sent_back=True))

    def wanted(self, route: Route, day: date) -> None:
        """The reviewer asks for one paper more."""
        written = self.application("more papers wanted", route, day, shape=("standard", "salaried"))
        back = add_working_days(day, 3)
        more = Action(at(back, time(11)), "supply", (_paper("asset_proof", back),))
        self.change(
            written,
            handling=Handling(wanted="asset_proof"),
            actions=(*written.actions, more),
        )

    def stuck(self, route: Route, day: date) -> None:
        """Nobody takes the case for more than its desk's longest silence."""
        written = self.application("stuck in review", route, day, shape=("gold", "salaried"))
        free = at(add_working_days(day, 5), time(9))
        self.change(written, handling=Handling(not_before=free), stalls=True)

    def passport(self, day: date) -> None:
        """A foreigner whose residence permit comes a day later; meanwhile an officer meets them,
        without which nobody could approve: no registry knows a passport."""
        written = self.application("passport", "counter", day, shape=("standard", "salaried"))
        whole = needed_papers("standard", "salaried", day=day, other_province=False, passport=True)
        permit = [paper for paper in whole if paper.item == "stay_permit"]
        there = tuple(paper for paper in whole if paper not in permit)
        back = Action(at(add_working_days(day, 1), time(14)), "supply", tuple(permit))
        self.change(
            written,
            person=with_passport(written.person),
            actions=(replace(written.actions[0], papers=there), back),
            handling=Handling(met=True),
        )


@dataclass(frozen=True, slots=True)
class _Story:
    """How often a story is told among 600 applications, by which ways, and until when: the share of
    the days after which there is no time left for it."""

    write: Callable[[_Writer, Route, date], None]
    times: int
    routes: tuple[Route, ...] = ALL_ROUTES
    until: float = 1.0
    applications: int = 1


STORIES: tuple[_Story, ...] = (
    _Story(_Writer.known, 40, IN_PERSON),
    _Story(_Writer.missing, 50),
    _Story(_Writer.late, 22, ALL_ROUTES, 0.8),
    _Story(_Writer.never, 18),
    _Story(_Writer.stale, 16, IN_PERSON),
    _Story(_Writer.sent_twice, 8, NO_BATCH),
    _Story(_Writer.expired_id, 7, IN_PERSON),
    _Story(_Writer.mistyped, 12, IN_PERSON),
    _Story(_Writer.wrong_file, 3, IN_PERSON),
    _Story(_Writer.twice, 7, NO_BATCH, 0.8, 2),
    _Story(_Writer.too_soon, 4, NO_BATCH, 0.5, 2),
    _Story(_Writer.too_young, 5, NO_BATCH),
    _Story(_Writer.abandoned, 6, IN_PERSON),
    _Story(_Writer.withdrawn_draft, 4, IN_PERSON),
    _Story(_Writer.withdrawn_waiting, 7, NO_BATCH),
    _Story(_Writer.withdrawn_review, 8, NO_BATCH),
    _Story(_Writer.withdrawn_held, 2, NO_BATCH),
    _Story(_Writer.withdrawn_late, 5, NO_BATCH),
    _Story(_Writer.identity, 8),
    _Story(_Writer.adverse, 14),
    _Story(_Writer.queries, 9),
    _Story(_Writer.debts, 11),
    _Story(_Writer.unsound, 6),
    _Story(_Writer.ineligible, 4),
    _Story(_Writer.known_adverse, 4, IN_PERSON),
    _Story(_Writer.cleared, 5),
    _Story(_Writer.confirmed, 3),
    _Story(_Writer.no_record, 12),
    _Story(_Writer.middling, 26),
    _Story(_Writer.slow_bureau, 6, IN_PERSON),
    _Story(_Writer.sent_back, 5),
    _Story(_Writer.wanted, 6),
    _Story(_Writer.stuck, 1, IN_PERSON, 0.5),
)


def make_plan(seed: int, branches: Sequence[Branch], *, days: int = 10, per_day: int = 60) -> Plan:
    """The whole plan. At least one day and one application a day; few of them tell few stories."""
    if days < 1 or per_day < 1 or not branches:
        raise ValueError("a plan needs a day, an application and a branch")
    writer = _Writer(seed, working_days(OPENING, days), tuple(branches))
    stories = _told(days * per_day)
    writer.chance.shuffle(stories)
    for number, (story, route) in enumerate(zip(stories, _routes(writer, stories), strict=True)):
        day = writer.days[number * days // len(stories)]
        last = writer.days[max(0, round(story.until * days) - 1)]
        story.write(writer, route, day if day <= last else _spread(writer, last))
    outages = _outages(writer)
    malformed = tuple(_malformed(writer))
    writer.passport(writer.days[0])
    return Plan(
        seed=seed,
        days=writer.days,
        earlier=tuple(writer.earlier),
        applications=tuple(writer.applications),
        outages=outages,
        malformed=malformed,
    )


_PLAIN = _Story(_Writer.plain, 0)


def _told(total: int) -> list[_Story]:
    """Which stories, so that about `total` applications are written."""
    told: list[_Story] = []
    for story in STORIES:
        times = round(story.times * total / _PLANNED_FOR)
        told += [story] * (max(1, times) if total >= 3 * len(STORIES) else times)
    left = total - sum(story.applications for story in told)
    return told + [_PLAIN] * max(0, left) if told or left else [_PLAIN]


def _routes(writer: _Writer, stories: Sequence[_Story]) -> Iterator[Route]:
    weights = dict(ROUTES)
    for story in stories:
        yield writer.chance.choices(story.routes, [weights[route] for route in story.routes])[0]


def _spread(writer: _Writer, last: date) -> date:
    return writer.chance.choice([day for day in writer.days if day <= last])


def _outages(writer: _Writer) -> tuple[Outage, ...]:
    """The bureau is away twice: for some calls in a busy half-hour, which trying again heals, and
    from noon on for longer: who comes then waits, and goes on when it is back."""
    days = writer.days
    busy = at(days[len(days) // 4], time(14))
    alone = days[len(days) // 2]
    noon = time(13)
    writer.application("bureau away", "counter", alone, clock=noon, shape=("standard", "salaried"))
    return (Outage(busy, "bureau", ATTEMPTS - 1), Outage(at(alone, noon), "bureau", ATTEMPTS + 1))


def _malformed(writer: _Writer) -> Iterator[Malformed]:
    for number, kind in enumerate(MALFORMED):
        branch = writer.chance.choice(writer.branches)
        person = writer.crowd.make(branch.region, work_region=branch.region)
        day = writer.days[number % len(writer.days)]
        yield Malformed(at(day, time(14)), kind, person, branch)


def staff_rounds(day: date) -> list[tuple[datetime, str]]:
    """When staff sit down on a working day and for what; empty on a day off."""
    if not is_working_day(day):
        return []
    rounds = [(at(day, clock), "check") for clock in CHECKING]
    rounds += [(at(day, clock), "propose") for clock in PROPOSING]
    rounds += [(at(day, clock), "sign") for clock in SIGNING]
    return sorted([*rounds, (at(day, COMPLIANCE), "compliance")])


def next_tick(moment: datetime, every: timedelta = TICK) -> datetime:
    """The tick at or after a moment; a term that ends with the day is not carried into the next."""
    tick = _EPOCH - ((_EPOCH - moment) // every) * every
    local = moment.astimezone(BUSINESS_ZONE)
    last_second = datetime.combine(local.date(), time(23, 59, 59), BUSINESS_ZONE).astimezone(UTC)
    return min(tick, last_second) if moment <= last_second < tick else tick


_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
