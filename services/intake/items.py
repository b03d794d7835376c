"""The checklist as it stands: each item of an application in one of seven states, and each change.

Pure. The rules' findings, papers that arrive, reviewers' wishes and officers' verdicts all come to
one table of legal moves; the lists for customer and office, the letter and the hand-over are told
from it. What was accepted is asked for again with a reason alone, and that is counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.intake.rules import Held, Need, NeedKind, Wanted
from shared.events.payload import ApplicantType, PartyRole
from shared.messaging.errors import Permanent
from shared.parameters import load_checklist_items

RULES = "intake"
"""Who is named where the rules did it."""

LAPSED = "LAPSED"
FORM_CHANGED = "FORM_CHANGED"
REVIEW_WISH = "REVIEW_WISH"

_LAPSING = frozenset({"ID_EXPIRED", "DOC_STALE"})
# Return codes of a paper that a corrected field of the form mends as well as another paper.
_MENDED_BY_FIELD: Mapping[str, frozenset[str]] = {
    "NAME_MISMATCH": frozenset({"name"}),
    "ID_NUMBER_MISMATCH": frozenset({"id_number"}),
    "ID_DATES_MISMATCH": frozenset({"id_issued", "id_expires"}),
    "BIRTH_DATE_MISMATCH": frozenset({"birth_date"}),
    "NATIONALITY_MISMATCH": frozenset({"nationality"}),
    "MRZ_MISMATCH": frozenset({"mrz", "id_number", "nationality", "birth_date", "id_expires"}),
    "PASSPORT_NOT_TAKEN": frozenset({"id_type", "name", "id_number", "id_issued", "id_expires"}),
    "EMPLOYER_MISMATCH": frozenset({"employer"}),
    "CREDIT_CODE_MISMATCH": frozenset({"credit_code"}),
    "ADDR_MISMATCH": frozenset({"home_address", "work_address"}),
    "NO_CREDIT_AUTH": frozenset({"consent"}),
}


class ItemState(StrEnum):
    """Where one item of the checklist stands."""

    WANTED = "wanted"  # the customer has to bring it
    RECEIVED = "received"  # it is there, and nobody has said yet that it will do
    ACCEPTED = "accepted"
    RETURNED = "returned"  # it came, and something is wrong with it or with the form
    WAIVED = "waived"  # two people do without it
    EXPIRED = "expired"  # it had been accepted, and counts no longer
    NOT_NEEDED = "not_needed"  # welcome, or another one of its group will do


_S = ItemState

MOVES: Mapping[ItemState | None, frozenset[ItemState]] = {
    None: frozenset({_S.WANTED, _S.RECEIVED, _S.ACCEPTED, _S.RETURNED, _S.NOT_NEEDED}),
    _S.WANTED: frozenset({_S.RECEIVED, _S.RETURNED, _S.ACCEPTED, _S.WAIVED, _S.NOT_NEEDED}),
    _S.RECEIVED: frozenset({_S.ACCEPTED, _S.RETURNED, _S.WANTED, _S.WAIVED, _S.NOT_NEEDED}),
    _S.ACCEPTED: frozenset({_S.RECEIVED, _S.RETURNED, _S.WANTED, _S.EXPIRED}),
    _S.RETURNED: frozenset({_S.RECEIVED, _S.ACCEPTED, _S.WANTED, _S.WAIVED, _S.NOT_NEEDED}),
    _S.WAIVED: frozenset({_S.RECEIVED, _S.RETURNED, _S.WANTED}),
    _S.EXPIRED: frozenset(
        {_S.RECEIVED, _S.RETURNED, _S.ACCEPTED, _S.WANTED, _S.WAIVED, _S.NOT_NEEDED}
    ),
    _S.NOT_NEEDED: frozenset({_S.WANTED, _S.RECEIVED, _S.ACCEPTED, _S.RETURNED}),
}
"""State -> states into which an item may come next. Out of accepted and waived into wanted,
returned or expired there is no way without a reason."""

OPEN = frozenset({_S.WANTED, _S.RETURNED, _S.EXPIRED})
SETTLED = frozenset({_S.ACCEPTED, _S.WAIVED})


class ItemError(Exception):
    """The item does not allow this now. `code` is stable, the text says why in plain English;
    `codes` are the return codes that stand in the way, where there are any."""

    def __init__(self, code: str, words: str, codes: Sequence[str] = ()) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.codes = tuple(codes)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is open. by_person: somebody said so, and it stays until something comes; the
    rules find theirs anew each time. told: the customer has been asked for it."""

    code: str
    field: str | None = None
    by_person: bool = False
    told: bool = False


@dataclass(frozen=True, slots=True)
class Waiver:
    """The wish to do without an item; it counts when a second person has agreed."""

    reason: str
    by: str
    at: datetime
    second_by: str | None = None


@dataclass(slots=True)
class Item:
    """One item. document_id: the paper that counts; taken_from: the earlier application with which
    it came. asked: how often the customer was asked for it; asked_again: how often after it had
    been settled. replaced: it was settled when the paper came that nobody has judged yet."""

    party: str
    item: str
    state: ItemState | None = None
    need: NeedKind = "mandatory"
    group: str | None = None
    reasons: list[Reason] = field(default_factory=list)
    document_id: str | None = None
    taken_from: str | None = None
    asked: int = 0
    asked_again: int = 0
    replaced: bool = False
    waiver: Waiver | None = None
    since: datetime | None = None
    by: str = RULES
    changed: bool = False  # since it was loaded

    @property
    def own_paper(self) -> bool:
        """Whether a paper came for it with this application."""
        return self.document_id is not None and self.taken_from is None

    @property
    def open(self) -> bool:
        """Whether something about it is for the customer to do."""
        return bool(self.reasons) and self.state in OPEN

    @property
    def waiver_asked(self) -> bool:
        """Whether a second person has to say whether it is done without."""
        return self.waiver is not None and self.waiver.second_by is None

    @property
    def codes(self) -> list[str]:
        """Why it is open, as return codes."""
        return list(dict.fromkeys(reason.code for reason in self.reasons))


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the checklist's history. action: `moved`, or what happened without a move
    (`asked`: the customer was; `waiver_asked`, `waiver_refused`). why: reason of a waiver, or of
    asking again; remark: for the office alone, sealed."""

    party: str
    item: str
    at: datetime
    actor: str
    action: str
    was: ItemState | None
    state: ItemState
    codes: tuple[str, ...] = ()
    why: str | None = None
    document_id: str | None = None
    second: str | None = None
    remark: str | None = None


def mending_fields(code: str) -> frozenset[str]:
    """Fields of the form, or the `consent`, that mend a return code as another paper does."""
    return _MENDED_BY_FIELD.get(code, frozenset())


def party_of(item: str, applicant_type: str) -> str:
    """Whose paper it is, as a role of the application."""
    known = load_checklist_items().items.get(item)
    concerns = known.concerns if known else "holder"
    if concerns == "guardian":
        return PartyRole.GUARDIAN.value
    of_supplementary = applicant_type == ApplicantType.SUPPLEMENTARY.value
    if concerns == "holder" and of_supplementary:
        return PartyRole.SUPPLEMENTARY_HOLDER.value
    return PartyRole.APPLICANT.value


class Checklist:
    """All items of one application. `changes` and `again` (items that were asked for again) are new
    and to be written and told; `left` are (party, item) that are another person's by now."""

    def __init__(self, applicant_type: str = "", items: Iterable[Item] = ()) -> None:
        self.applicant_type = applicant_type
        self._items = {one.item: one for one in items}
        self.changes: list[Change] = []
        self.again: list[Change] = []
        self.left: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def find(self, party: str, code: str) -> Item:
        """The item of that person. Raises ItemError `not-on-list`."""
        item = self._items.get(code)
        if item is None or item.party != party:
            raise ItemError("not-on-list", "The checklist has no such item")
        return item

    def turn_to(self, applicant_type: str) -> None:
        """The draft is of another kind of applicant now: papers may be somebody else's."""
        self.applicant_type = applicant_type
        for item in self:
            party = party_of(item.item, applicant_type)
            if party != item.party:
                self.left.append((item.party, item.item))
                item.party, item.changed = party, True

    # -- what arrives -----------------------------------------------------------------------------

    def receive(self, code: str, document_id: str, actor: str, at: datetime) -> None:
        """A paper came: whatever was wrong with the one before counts no longer."""
        item = self._have(code)
        item.document_id, item.taken_from = document_id, None
        item.reasons = [reason for reason in item.reasons if reason.field is not None]
        item.waiver = None
        # a wrong field of the form keeps it open, whatever the paper looks like
        self._move(item, _S.RETURNED if item.reasons else _S.RECEIVED, actor, at)

    def mend(self, fields: Collection[str]) -> list[str]:
        """Fields of the form were corrected, or the `consent` was given anew; the items of which
        nothing that the customer was told is open any more."""
        before = {item.item for item in self if any(reason.told for reason in item.reasons)}
        for item in self:
            kept = [
                reason
                for reason in item.reasons
                if reason.field not in fields and not mending_fields(reason.code) & set(fields)
            ]
            if kept != item.reasons:
                item.reasons, item.changed = kept, True
        after = {item.item for item in self if any(reason.told for reason in item.reasons)}
        return sorted(before - after)

    def remember_open(self, code: str, reason: Reason, at: datetime) -> None:
        """The customer had been asked for it before each item had a state."""
        item = self._have(code)
        if item.state in SETTLED:
            item.state = _S.RETURNED if item.own_paper else _S.WANTED
        self._set(
            item,
            _S.RETURNED if item.own_paper else _S.WANTED,
            [*item.reasons, reason],
            RULES,
            at,
        )
        item.asked = max(item.asked, 1)

    # -- what the rules find ----------------------------------------------------------------------

    def settle(
        self,
        findings: Iterable[Wanted],
        needs: Sequence[Need],
        held: Mapping[str, Held],
        there: Collection[str],
        at: datetime,
        *,
        unsound: Collection[str] = (),
    ) -> None:
        """Bring every item to where the rules' findings put it. What people said stays: a paper
        that was accepted stays so unless the rules find something, and what is done without is not
        looked for. `there`: items that are no paper and have been given; `unsound`: those of which
        no paper counts that came."""
        by_item = {need.item: need for need in needs}
        without = {
            need.group
            for need in needs
            if need.item in self._items and self._items[need.item].state is _S.WAIVED
        } - {None}
        found: dict[str, list[Reason]] = {}
        for one in findings:
            if one.field is None and one.item in by_item and by_item[one.item].group in without:
                continue  # one of its group is done without
            found.setdefault(one.item, []).append(Reason(one.code, one.field))
        for code in dict.fromkeys((*by_item, *found, *held, *self._items)):
            if code in held and code not in by_item and code not in self._items:
                continue  # the bank holds it and nobody needs it
            item = self._have(code)
            need = by_item.get(code)
            kind, group = (need.need, need.group) if need else ("optional", None)
            if code in found and need is None:
                kind = "mandatory"
            if (item.need, item.group) != (kind, group):
                item.need, item.group, item.changed = kind, group, True
            given = code in there or (item.own_paper and code not in unsound)
            self._judge(item, found.get(code, []), held.get(code), given, at)
        self._alternatives(at)
        if by_item:
            order = dict.fromkeys((*by_item, *self._items))
            self._items = {code: self._items[code] for code in order if code in self._items}

    def _judge(
        self, item: Item, found: list[Reason], held: Held | None, given: bool, at: datetime
    ) -> None:
        if item.state is _S.WAIVED:
            return
        told = {(one.code, one.field) for one in item.reasons if one.told}
        kept = [one for one in item.reasons if one.by_person]
        said = {(one.code, one.field) for one in kept}
        reasons = kept + [
            replace(one, told=(one.code, one.field) in told)
            for one in found
            if (one.code, one.field) not in said
        ]
        lapsed = item.taken_from is not None and held is None
        if item.state is _S.ACCEPTED:
            if lapsed or (reasons and {one.code for one in reasons} <= _LAPSING):
                self._set(item, _S.EXPIRED, reasons, RULES, at, why=LAPSED)
            elif reasons:
                state = _S.RETURNED if item.own_paper else _S.WANTED
                self._set(item, state, reasons, RULES, at, why=FORM_CHANGED)
            return
        if item.state is _S.NOT_NEEDED and item.group is not None and kept and reasons == kept:
            return  # another one of its group came in place of what somebody sent back
        if reasons:
            if item.state is not _S.EXPIRED:
                state = _S.RETURNED if item.own_paper else _S.WANTED
                self._set(item, state, reasons, RULES, at)
            elif item.reasons != reasons:
                item.reasons, item.changed = reasons, True
        elif given:
            self._set(item, _S.RECEIVED, [], RULES, at)
        elif held is not None:  # whatever came since does not count
            item.document_id, item.taken_from = held.document_id, held.application_id
            self._set(item, _S.ACCEPTED, [], RULES, at)
        elif item.need == "mandatory":
            self._set(item, _S.WANTED, [], RULES, at)
        elif item.need == "optional" or item.own_paper:
            self._set(item, _S.NOT_NEEDED, [], RULES, at)
        elif item.reasons != reasons:  # one of a group, of which another will do
            item.reasons, item.changed = reasons, True

    def _alternatives(self, at: datetime) -> None:
        """Of a group one is enough: the rest is wanted only while none is there."""
        groups: dict[str, list[Item]] = {}
        for item in self:
            if item.group is not None:
                groups.setdefault(item.group, []).append(item)
        for group in groups.values():
            enough = [
                one
                for one in group
                if one.state in (_S.RECEIVED, _S.ACCEPTED, _S.WAIVED) and not one.reasons
            ]
            for item in group:
                idle = item.state in (None, _S.WANTED, _S.NOT_NEEDED, _S.EXPIRED)
                if idle and not item.reasons:
                    state = _S.NOT_NEEDED if enough else _S.WANTED
                    self._set(item, state, [], RULES, at)
                elif all(one.by_person and one.field is None for one in item.reasons):
                    self._replaced(item, enough, at)

    def _replaced(self, item: Item, enough: Sequence[Item], at: datetime) -> None:
        """Somebody sent it back or asked for it: another one of its group that came since will do
        instead, as long as that one does. One that was there when they asked is not what they
        want."""
        since = item.since
        if item.state in OPEN and any(
            since is not None and one.since is not None and one.since > since for one in enough
        ):
            aside = [replace(one, told=False) for one in item.reasons]
            self._set(item, _S.NOT_NEEDED, aside, RULES, at)
        elif item.state is _S.NOT_NEEDED and not enough:
            state = _S.RETURNED if item.own_paper else _S.WANTED
            self._set(item, state, item.reasons, RULES, at)

    # -- what people say --------------------------------------------------------------------------

    def accept(
        self, item: Item, actor: str, at: datetime, *, document_id: str | None = None
    ) -> None:
        """An officer has looked and it will do. Raises ItemError where there is nothing to accept,
        where the rules still object, and where another paper has come than was looked at."""
        if item.state is _S.ACCEPTED:
            return
        if document_id is not None and document_id != item.document_id:
            raise ItemError("newer-paper", "Another paper has come since: look at it first")
        against = [reason.code for reason in item.reasons if not reason.by_person]
        if against:
            raise ItemError("rules-object", "The rules find something wrong with it", against)
        if item.state not in (_S.RECEIVED, _S.RETURNED):
            raise ItemError("nothing-there", "There is nothing to accept")
        self._set(item, _S.ACCEPTED, [], actor, at)

    def accept_all(self, at: datetime) -> None:
        """The rules hand over: what they found nothing wrong with is accepted."""
        for item in self:
            if item.state is _S.RECEIVED:
                self._set(item, _S.ACCEPTED, [], RULES, at)

    def give_back(
        self,
        item: Item,
        codes: Sequence[str],
        actor: str,
        at: datetime,
        *,
        remark: str | None = None,
    ) -> None:
        """An officer has looked and it will not do. Raises ItemError `item-accepted` for what was
        settled: that is asked for again, with a reason."""
        self._not_settled(item)
        self._ask(item, [Reason(code, by_person=True) for code in codes], actor, at, None, remark)

    def ask(
        self,
        code: str,
        reasons: Sequence[Reason],
        actor: str,
        at: datetime,
        *,
        why: str | None = None,
        remark: str | None = None,
    ) -> None:
        """Somebody wants it. What was settled is asked for again with a reason `why` alone: else
        ItemError `item-accepted`."""
        item = self._have(code)
        if why is None:
            self._not_settled(item)
        self._ask(item, reasons, actor, at, why, remark)

    def _ask(
        self,
        item: Item,
        reasons: Sequence[Reason],
        actor: str,
        at: datetime,
        why: str | None,
        remark: str | None,
    ) -> None:
        new = [replace(one, by_person=True) for one in reasons]
        said = {(one.code, one.field) for one in new}
        kept = [one for one in item.reasons if (one.code, one.field) not in said]
        state = _S.RETURNED if item.own_paper else _S.WANTED
        if item.state not in SETTLED:
            why = None
        self._set(item, state, kept + new, actor, at, why=why, remark=remark, always=True)

    def _not_settled(self, item: Item) -> None:
        if item.state in SETTLED:
            raise ItemError(
                "item-accepted", "It was accepted: the customer is asked again with a reason alone"
            )

    def ask_waiver(
        self, item: Item, reason: str, actor: str, at: datetime, *, remark: str | None = None
    ) -> None:
        """An officer would do without it; a second person has to agree. Raises ItemError."""
        known = load_checklist_items().items.get(item.item)
        if known is None or not known.waivable:
            raise ItemError("not-waivable", "Nobody may do without this item")
        if item.state not in OPEN:
            raise ItemError("nothing-open", "Nothing about this item is open")
        item.waiver = Waiver(reason, actor, at)
        self._log(item, "waiver_asked", actor, at, item.state, why=reason, remark=remark)

    def answer_waiver(
        self,
        item: Item,
        agreed: bool,
        actor: str,
        at: datetime,
        *,
        remark: str | None = None,
    ) -> None:
        """The second person agrees, or does not. Raises ItemError where nobody asked, and for
        whoever asked."""
        waiver = item.waiver
        if waiver is None or waiver.second_by is not None:
            raise ItemError("no-waiver-asked", "Nobody has asked to do without this item")
        if waiver.by == actor:
            raise ItemError("same-person", "Somebody else has to agree")
        if not agreed:
            item.waiver = None
            self._log(item, "waiver_refused", actor, at, item.state, remark=remark)
            return
        item.waiver = replace(waiver, second_by=actor)
        self._set(
            item, _S.WAIVED, [], waiver.by, at, why=waiver.reason, second=actor, remark=remark
        )

    # -- what is told -----------------------------------------------------------------------------

    def outstanding(self) -> list[tuple[Item, Reason]]:
        """What the customer was asked for and has not brought."""
        return [(item, one) for item in self for one in item.reasons if one.told]

    def tell(self, at: datetime) -> None:
        """The customer is asked for everything that is open."""
        for item in self:
            if not item.open:
                continue
            item.reasons = [replace(one, told=True) for one in item.reasons]
            item.asked += 1
            self._log(item, "asked", RULES, at, item.state)

    # -- inside -----------------------------------------------------------------------------------

    def _have(self, code: str) -> Item:
        if code not in self._items:
            self._items[code] = Item(party_of(code, self.applicant_type), code)
        return self._items[code]

    def _set(
        self,
        item: Item,
        state: ItemState,
        reasons: list[Reason],
        actor: str,
        at: datetime,
        *,
        why: str | None = None,
        second: str | None = None,
        remark: str | None = None,
        always: bool = False,
    ) -> None:
        same = {(one.code, one.field) for one in item.reasons}
        other = same != {(one.code, one.field) for one in reasons}
        if item.reasons != reasons:
            item.reasons, item.changed = reasons, True
        if always or other or item.state is not state:
            self._move(item, state, actor, at, why=why, second=second, remark=remark)

    def _move(
        self,
        item: Item,
        state: ItemState,
        actor: str,
        at: datetime,
        *,
        why: str | None = None,
        second: str | None = None,
        remark: str | None = None,
    ) -> None:
        was = item.state
        if state is not was:
            if state not in MOVES[was]:
                raise Permanent(f"an item cannot come from {was or 'nothing'} to {state}")
            if was in SETTLED and state in OPEN and why is None:
                raise Permanent("what was settled is asked for again with a reason alone")
        item.state, item.since, item.by = state, at, actor
        self._log(item, "moved", actor, at, was, why=why, second=second, remark=remark)
        if state is not _S.WAIVED and (state not in OPEN or was is _S.WAIVED):
            item.waiver = None  # there is nothing to do without any more
        if state in OPEN and (was in SETTLED or (item.replaced and item.reasons)):
            item.asked_again += 1
            self.again.append(self.changes[-1])
            item.replaced = False
        elif state is _S.RECEIVED and was in SETTLED:
            item.replaced = True
        elif state in SETTLED:
            item.replaced = False

    def _log(
        self,
        item: Item,
        action: str,
        actor: str,
        at: datetime,
        was: ItemState | None,
        *,
        why: str | None = None,
        second: str | None = None,
        remark: str | None = None,
    ) -> None:
        item.changed = True
        assert item.state is not None  # nothing is said about an item that is not on the list
        idle = item.state in (_S.WANTED, _S.NOT_NEEDED) and not item.reasons
        if action == "moved" and was is None and idle:
            return  # an item that is merely welcome, or one of several that will do
        self.changes.append(
            Change(
                party=item.party,
                item=item.item,
                at=at,
                actor=actor,
                action=action,
                was=was,
                state=item.state,
                codes=tuple(item.codes),
                why=why,
                document_id=item.document_id,
                second=second,
                remark=remark,
            )
        )
