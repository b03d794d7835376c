"""The evidence behind a case, opened for somebody who may see it, or computed again for audit."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.review import limit_store, store
from services.review.case import Case, Check, Decision, Entry
from services.review.checks import CHECKS, CheckName
from services.review.limit_grounds import Grounds, Weighed, weigh
from services.review.limit_store import KeptDecision
from services.review.policy import Policy, PolicyInputs, Verdict
from services.review.policy import basis_of as bounded_by
from services.review.policy_store import PolicyShelf
from services.review.reason_codes import REASONS, category_of, primary
from services.review.workers import INPUTS_FIELD, VERDICT_FIELD
from shared.events.review import LimitBasis
from shared.privacy import masking
from shared.privacy.sealing import Sealed
from shared.privacy.vault import Vault

_MASKS: dict[str, Callable[[str], str]] = {
    "name": masking.mask_name,
    "id_number": masking.mask_id_number,
    "mobile": masking.mask_mobile,
    "home_address": masking.mask_address,
    "id_type": str,
}  # whatever else is known of the applicant is hidden whole
NOTE_FIELD = "note"  # by which what a person wrote is sealed
SHOWN_FIELDS = (
    *("name", "id_type", "id_number", "id_issued", "id_expires", "nationality"),
    *("mobile", "home_address", "employer", "occupation"),
    *("work_address", "office_phone", "monthly_income"),
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A case's evidence in clear. What could not be opened is missing: its key is gone.

    `person`: masked fields; `income` in fen; `answers`: what the systems answered; `verdict`:
    frozen JSON of the policy; `inputs`: what it rested on; `notes`: {sealed: text}.
    """

    person: dict[str, str]
    income: int | None
    answers: dict[CheckName, dict[str, Any]]
    inputs: dict[str, Any] | None
    verdict: dict[str, Any] | None
    notes: dict[str, str]


async def open_evidence(vault: Vault, case: Case, entries: Iterable[Entry]) -> Opened:
    """Open what a page shows, with one question to the vault."""
    party = case.need_hand_over().examined
    answers = {check.name: check.answer for check in case.checks.values() if check.answer}
    found = case.recommendation
    sealed: dict[str, str] = {
        name: str(party.fields[name]) for name in SHOWN_FIELDS if name in party.fields
    }
    sealed |= {f"check.{name}": answer for name, answer in answers.items()}
    if found is not None:
        sealed |= {INPUTS_FIELD: found.inputs, VERDICT_FIELD: found.verdict}
    notes = {note for entry in entries if (note := str(entry.details.get("note") or ""))}
    notes |= {case.returned} if case.returned else set()
    keys = await vault.data_keys(
        {Sealed(value).parts.data_key_id for value in (*sealed.values(), *notes)},
        leave_out_unavailable=True,
    )

    def clear(name: str, value: str) -> str | None:
        key = keys.get(Sealed(value).parts.data_key_id)
        return None if key is None else key.open(name, Sealed(value))

    opened = {name: text for name, value in sealed.items() if (text := clear(name, value))}
    return Opened(
        person={
            name: _MASKS[name](text) if name in _MASKS else masking.HIDDEN
            for name, text in opened.items()
            if name in SHOWN_FIELDS
        },
        income=int(opened["monthly_income"]) if "monthly_income" in opened else None,
        answers={
            name: json.loads(opened[f"check.{name}"])
            for name in answers
            if f"check.{name}" in opened
        },
        inputs=_json(opened, INPUTS_FIELD),
        verdict=_json(opened, VERDICT_FIELD),
        notes={note: text for note in notes if (text := clear(NOTE_FIELD, note))},
    )


async def open_words(vault: Vault, sealed: Iterable[str]) -> dict[str, str]:
    """{sealed: what somebody wrote}, with one question to the vault; what could not be opened is
    missing: its key is gone."""
    notes = set(sealed)
    keys = await vault.data_keys(
        {Sealed(one).parts.data_key_id for one in notes}, leave_out_unavailable=True
    )
    return {
        one: key.open(NOTE_FIELD, Sealed(one))
        for one in notes
        if (key := keys.get(Sealed(one).parts.data_key_id)) is not None
    }


def _json(opened: Mapping[str, str], name: str) -> dict[str, Any] | None:
    if name not in opened:
        return None
    loaded: dict[str, Any] = json.loads(opened[name])
    return loaded


@dataclass(frozen=True, slots=True)
class Verification:
    """A decision computed again. `same`: the archived policy gives the same bytes on the frozen
    inputs, and what was decided follows from them. `inputs`, `verdict`: as they were frozen, in
    clear; `again`: what came this time."""

    decision: Decision
    policy: Policy
    inputs: PolicyInputs
    verdict: dict[str, Any]
    again: Verdict
    same: bool


async def verify(
    conn: Any, open_vault: Callable[[], Awaitable[Vault]], shelf: PolicyShelf, case: Case
) -> Verification | None:
    """Compute the decision of a case again, by the policy that made it; None: not decided.

    Raises KeyUnavailableError where the person's keys are gone, SealBrokenError where what was kept
    was changed, PolicyNotHeldError where the policy's text is not in the archive, or another is.
    """
    decision = await store.decision_of(conn, case.application_id)
    if decision is None:
        return None
    policy = await shelf.policy(conn, decision.policy_digest)
    inputs, verdict = await _frozen(open_vault, case, decision.inputs, decision.verdict)
    again = policy.evaluate(inputs)
    return Verification(
        decision=decision,
        policy=policy,
        inputs=inputs,
        verdict=json.loads(verdict),
        again=again,
        same=again.freeze() == verdict and _follows(decision, policy, again),
    )


def _follows(decision: Decision, policy: Policy, verdict: Verdict) -> bool:
    """Whether the decision, as it is kept beside the verdict, can have come of it: score and class
    of prices, the limit to the fen where the policy decided alone and within its ceiling where
    people did, and of a decline its reasons and category."""
    if decision.policy_version != policy.version:
        return False
    if decision.automatic and decision.outcome != verdict.outcome:
        return False
    if decision.points != (verdict.score.points if verdict.score else None):
        return False
    approved = decision.outcome == "approve"
    if decision.pricing_class != (verdict.pricing_class if approved else None):
        return False
    if not REASONS.keys() >= set(decision.reasons):
        return False
    if not approved:
        return decision.limit is None and _declined_for(decision, verdict)
    if decision.limit is None or not decision.limit:
        return False
    if decision.automatic:
        return decision.limit == verdict.limit
    return decision.limit <= verdict.ceiling


def _declined_for(decision: Decision, verdict: Verdict) -> bool:
    """Whether the reasons of a decline lead to its category, and where the policy declined alone
    are its findings; beside them there may be what review itself had found."""
    try:
        reason = primary(decision.reasons)
        if decision.automatic and primary(verdict.findings) != reason:
            return False
    except ValueError:  # none of them may decline
        return False
    if decision.automatic and not set(verdict.findings) <= set(decision.reasons):
        return False
    return decision.category == category_of(reason)


async def basis_of(
    conn: Any, open_vault: Callable[[], Awaitable[Vault]], case: Case
) -> LimitBasis | None:
    """What bounded the limit that the policy alone set with the approval; None: it set none.

    Raises KeyUnavailableError where the person's keys are gone.
    """
    decision = await store.decision_of(conn, case.application_id)
    if decision is None or decision.outcome != "approve" or not decision.automatic:
        return None
    inputs, verdict = await _frozen(open_vault, case, decision.inputs, decision.verdict)
    return bounded_by(inputs, json.loads(verdict)["working"])


async def _frozen(
    open_vault: Callable[[], Awaitable[Vault]], case: Case, inputs: str, verdict: str
) -> tuple[PolicyInputs, str]:
    """The opened inputs of the policy, and the bytes of its verdict. Raises KeyUnavailableError."""
    vault = await open_vault()
    opened = await vault.open(
        case.need_hand_over().examined.party_id, {INPUTS_FIELD: inputs, VERDICT_FIELD: verdict}
    )
    return PolicyInputs.thaw(opened[INPUTS_FIELD]), opened[VERDICT_FIELD]


@dataclass(frozen=True, slots=True)
class LimitVerification:
    """A decision about a card's limit, weighed and computed again. `weighed`: what came this time
    of the frozen grounds; `policy`, `inputs`, `verdict`: of the policy, None where nobody asked it;
    `same`: both are the same bytes, and what was granted lies within the bounds."""

    decision: KeptDecision
    grounds: Grounds
    weighed: Weighed
    policy: Policy | None
    inputs: PolicyInputs | None
    verdict: dict[str, Any] | None
    same: bool


async def verify_change(
    conn: Any,
    open_vault: Callable[[], Awaitable[Vault]],
    shelf: PolicyShelf,
    case: Case,
    change_id: str,
) -> LimitVerification | None:
    """Weigh the decision about a change of this card's limit again, and compute anew what the
    policy had said; None: it has no decision that was kept.

    Raises as `verify`.
    """
    decision = await limit_store.decision_of(conn, case.application_id, change_id)
    if decision is None:
        return None
    grounds = Grounds.thaw(decision.grounds)
    weighed = weigh(grounds)
    same = weighed.freeze() == decision.weighed
    if decision.granted is not None:
        least, most = weighed.least, weighed.most
        fits = least is not None and most is not None and least <= decision.granted <= most
        same = same and fits and not weighed.obstacles
    policy, inputs, verdict = None, None, None
    if decision.policy_digest and decision.inputs and decision.verdict:
        policy = await shelf.policy(conn, decision.policy_digest)
        inputs, said = await _frozen(open_vault, case, decision.inputs, decision.verdict)
        verdict = json.loads(said)
        same = same and policy.evaluate(inputs).freeze() == said
    return LimitVerification(decision, grounds, weighed, policy, inputs, verdict, same)


def in_order(checks: Mapping[str, Check]) -> list[Check]:
    """The checks as a page lists them."""
    return [checks[name] for name in CHECKS if name in checks]
