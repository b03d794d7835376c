"""The workers: ask the bank's systems, and apply the policy to the opened evidence.

Only here is personal data opened to work with it. What comes out is sealed before it is returned,
because a result is written to the database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Protocol

import httpx
import structlog
from pydantic import ValidationError

from services.review import examination, handlers, limit_changes
from services.review.account_store import Own
from services.review.case import NO_FIELD, OTHER_DOCUMENT
from services.review.checks import ASKED, CHECKS, OWN, CheckName, bureau, fraud, identity, watchlist
from services.review.checks.breaker import Breaker
from services.review.checks.credit_system import (
    CreditSystem,
    SystemRefusedError,
    SystemUnavailableError,
)
from services.review.checks.fraud import Trace
from services.review.checks.kind import Evidence, OwnReport
from services.review.limits import LimitTerms
from services.review.policy import Policy, PolicyInputs, ProductTerms, Verdict
from shared.calendar import business_day
from shared.formats import age_on, read_resident_id
from shared.messaging import ClaimedCall, Exhausted, Refused, Result, Store, Succeeded, Worker
from shared.parameters import load_internal_list, product_of
from shared.privacy.vault import KeyUnavailableError, PartyKeys, SealBrokenError, Vault

SCORING_ATTEMPTS = 6
INPUTS_FIELD = "policy_inputs"  # name under which frozen inputs are sealed
VERDICT_FIELD = "policy_verdict"
FROZEN_CLASS = "financial"


class Records(Protocol):
    """What workers read of review's own database, outside any transaction of a case."""

    async def is_open(self, application_id: str) -> bool:
        """Whether the application still lies with review."""
        ...

    async def own_cards(self, person: str, application_id: str) -> Own:
        """What this person has of the bank's cards, this application aside."""
        ...

    async def shared(
        self,
        application_id: str,
        person: str,
        handed_at: datetime,
        traces: Mapping[Trace, str],
        now: datetime,
    ) -> dict[str, int]:
        """Keep by what the application is found to share something with others, and say how many
        there are: {trace: count}. `traces`: in clear; they are kept as keyed digests."""
        ...

    async def counted(self, traces: Mapping[Trace, str], now: datetime) -> dict[str, int]:
        """How many there are with these traces now, without keeping anything: {trace: count}."""
        ...

    async def policies(self, at: datetime) -> tuple[Policy, list[Policy]]:
        """The policy that decides at that time, and those that run beside it without effect; their
        texts are archived."""
        ...


OpenVault = Callable[[], Awaitable[Vault]]

log = structlog.get_logger(__name__)


def check_worker(
    name: CheckName,
    *,
    store: Store[Any],
    client: Callable[[], httpx.AsyncClient],
    url: str,
    open_vault: OpenVault,
    records: Records,
    breaker: Breaker,
    backoff: float,
) -> Worker:
    """Asks one of the bank's systems about an applicant, as patiently as the parameters said when
    the service started."""
    asked, terms = ASKED[name], CHECKS[name].terms

    async def call(claimed: ClaimedCall) -> Result:
        payload = claimed.payload
        if not await records.is_open(payload["application_id"]):
            return Refused("not-open")
        vault = await open_vault()
        try:
            # the keys first: opening finds them then without asking once more
            keys = await vault.party_keys(payload["party_id"], payload["application_id"])
            person = await vault.open(payload["party_id"], payload["fields"])
        except (KeyUnavailableError, SealBrokenError):
            return Refused("no-key")
        if not asked.knows(person):
            return Refused(OTHER_DOCUMENT)
        system = CreditSystem(client(), url, asked.resource, terms.timeout_seconds)
        if not await breaker.may_ask():
            return Exhausted("away")
        try:
            answer = await system.ask(payload["request_id"], asked.question(person, payload))
            report = asked.report.model_validate_json(answer, strict=True)
        except SystemRefusedError as refusal:
            breaker.answered()
            return Refused(f"status-{refusal.status}")
        except (SystemUnavailableError, ValidationError) as error:
            if breaker.failed():
                return Exhausted("away")
            if isinstance(error, ValidationError):  # which may quote it
                raise SystemUnavailableError("the answer cannot be read") from None
            raise
        except BaseException:  # broken off: nobody may wait for this question
            breaker.failed()
            raise
        breaker.answered()
        # before the list is read: one that changes meanwhile is searched again
        screened_with = load_internal_list().mark if name == "watchlist" else ""
        report = await asyncio.to_thread(asked.beside, report, person)
        sealed = keys.seal(asked.sealed_as, f"check.{name}", report.model_dump_json(by_alias=True))
        return Succeeded({"answer": str(sealed), "screened_with": screened_with})

    return Worker(
        kind=examination.kind_of(name),
        store=store,
        call=call,
        on_result=handlers.on_check_result,
        # a question and, after its time-out, what became of it
        timeout=2 * terms.timeout_seconds + 1,
        attempts=terms.attempts,
        backoff=backoff,
    )


def policy_worker(
    *,
    store: Store[Any],
    open_vault: OpenVault,
    records: Records,
    now: Callable[[], datetime],
    picked: Callable[[], bool],
    backoff: float,
) -> Worker:
    """Opens the evidence of a case, applies the policy, and seals what it rested on. `picked`: by
    chance, whether a person shall look at it whatever the policy says."""

    async def call(claimed: ClaimedCall) -> Result:
        payload = claimed.payload
        vault = await open_vault()
        at = now()

        async def opened() -> tuple[dict[str, str], dict[str, int]]:
            clear = await vault.open(
                payload["party_id"], {**payload["fields"], **payload["answers"]}
            )
            shared = await records.shared(
                payload["application_id"],
                payload["person"],
                datetime.fromisoformat(payload.get("handed_at") or at.isoformat()),
                {"person": payload["person"], **fraud.left_by(clear)},
                at,
            )
            return clear, shared

        try:
            # four questions that do not wait for one another
            keys, own, (policy, shadows), (clear, shared) = await asyncio.gather(
                vault.party_keys(payload["party_id"], payload["application_id"]),
                records.own_cards(payload["person"], payload["application_id"]),
                records.policies(at),
                opened(),
            )
        except (KeyUnavailableError, SealBrokenError):
            return Refused("no-key")
        looked = look(payload, clear, shared)
        inputs = gather(payload, clear, own, business_day(at))
        inputs = replace(inputs, noticed=findings_of(payload, looked))
        verdict = policy.evaluate(inputs)
        return Succeeded(
            {
                **_told(policy, verdict),
                **_frozen(policy, inputs, verdict, keys),
                "own_existing": own.limits,
                "own_cards": own.cards,
                "shadows": [told for one in shadows if (told := _beside(one, inputs))],
                "own": _sealed(looked, keys),
                "sampled": picked(),
            }
        )

    return Worker(
        kind=examination.SCORING,
        store=store,
        call=call,
        on_result=handlers.on_scored,
        timeout=5.0,
        attempts=SCORING_ATTEMPTS,
        backoff=backoff,
    )


def limit_worker(
    *,
    store: Store[Any],
    open_vault: OpenVault,
    records: Records,
    now: Callable[[], datetime],
    picked: Callable[[], bool],
    backoff: float,
) -> Worker:
    """Opens the evidence of a change of a limit, applies the policy that decides then with all of
    its deduction, and seals what it rested on."""

    async def call(claimed: ClaimedCall) -> Result:
        payload = claimed.payload
        vault = await open_vault()
        try:
            clear = await vault.open(
                payload["party_id"], {**payload["fields"], **payload["answers"]}
            )
            keys = await vault.party_keys(payload["party_id"], payload["application_id"])
        except (KeyUnavailableError, SealBrokenError):
            return Refused("no-key")
        # the card whose limit changes is set aside: what is worked out is its whole new limit
        own = await records.own_cards(payload["person"], payload["application_id"])
        at = now()
        policy, _shadows = await records.policies(at)
        # what the application left is kept with it, and forgotten with it
        traces: dict[Trace, str] = {"person": payload["person"], **fraud.left_by(clear)}
        shared = await records.counted(traces, at)
        looked = look(payload, clear, shared)
        inputs = gather(payload, clear, own, business_day(at))
        inputs = replace(inputs, noticed=findings_of(payload, looked))
        verdict = policy.evaluate(inputs)
        return Succeeded(
            {**_told(policy, verdict), **_frozen(policy, inputs, verdict, keys),
             "own_existing": own.limits, "own": _sealed(looked, keys), "sampled": picked()}
        )  # fmt: skip

    return Worker(
        kind=limit_changes.WORKING_OUT,
        store=store,
        call=call,
        on_result=limit_changes.on_worked_out,
        timeout=5.0,
        attempts=SCORING_ATTEMPTS,
        backoff=backoff,
    )


def look(
    payload: Mapping[str, Any], clear: Mapping[str, str], shared: Mapping[str, int]
) -> dict[CheckName, OwnReport | None]:
    """What review finds by itself: {check: its report; None where a field that it needs is
    missing}."""
    evidence = Evidence(
        person=clear,
        applicant_type=payload["applicant_type"],
        region=payload.get("region", ""),  # a call of before has none of these
        warnings=payload.get("pre_check", ()),
        papers=payload.get("papers", ()),
        shared=shared,
    )
    return {name: own.report(evidence) for name, own in OWN.items()}


def findings_of(
    payload: Mapping[str, Any], looked: Mapping[CheckName, OwnReport | None]
) -> tuple[str, ...]:
    """The codes of everything that review's own checks found, or could not look at."""
    found = list(payload.get("noticed", ()))
    for name, report in looked.items():
        found += [CHECKS[name].absence] if report is None else [hit.code for hit in report.hits]
    return tuple(dict.fromkeys(found))


def _sealed(
    looked: Mapping[CheckName, OwnReport | None], keys: PartyKeys
) -> dict[CheckName, dict[str, str | None]]:
    """{check: its sealed report, or why there is none}"""
    return {
        name: {"answer": None, "why": NO_FIELD}
        if report is None
        else {
            "answer": str(keys.seal(FROZEN_CLASS, f"check.{name}", report.model_dump_json())),
            "why": None,
        }
        for name, report in looked.items()
    }


def _told(policy: Policy, verdict: Verdict) -> dict[str, Any]:
    return {
        "digest": policy.digest,
        "outcome": verdict.outcome,
        "advice": verdict.advice,
        "findings": list(verdict.findings),
        "limit": verdict.limit.minor,
        "points": verdict.score.points if verdict.score else None,
        "pricing_class": verdict.pricing_class,
    }


def _frozen(
    policy: Policy, inputs: PolicyInputs, verdict: Verdict, keys: PartyKeys
) -> dict[str, Any]:
    """What a decision rests on, sealed."""
    return {
        "ceiling": verdict.ceiling.minor,
        "inputs": str(keys.seal(FROZEN_CLASS, INPUTS_FIELD, inputs.freeze())),
        "verdict": str(keys.seal(FROZEN_CLASS, VERDICT_FIELD, verdict.freeze())),
        "policy_version": policy.version,
        "policy_digest": policy.digest,
    }


def _beside(policy: Policy, inputs: PolicyInputs) -> dict[str, Any] | None:
    """What a policy without effect would say; one that cannot say anything holds up nobody."""
    try:
        return _told(policy, policy.evaluate(inputs))
    except Exception as problem:  # noqa: BLE001 - whatever is wrong with it
        kind = type(problem).__name__  # the words may repeat a value
        log.warning("shadow policy gave no verdict", policy_version=policy.version, error=kind)
        return None


def _birth_date(clear: Mapping[str, str]) -> date:
    """Told by a card's number, and with a passport by the form."""
    if clear.get("id_type") == "passport":
        return date.fromisoformat(clear["birth_date"])
    return read_resident_id(clear["id_number"]).birth_date


def gather(
    payload: Mapping[str, Any],
    clear: Mapping[str, str],
    own: Own,
    today: date,
) -> PolicyInputs:
    """The policy's inputs from a scoring call and the opened fields and answers.

    Raises UnknownVersionError for a product version that this release does not hold.
    """
    product = product_of(payload["product"], payload["product_version"])
    ages = product.applicants[payload["applicant_type"]]
    rules = product.limit
    answers = {
        name: asked.report.model_validate(json.loads(clear[f"check.{name}"]))
        for name, asked in ASKED.items()
        if f"check.{name}" in clear
    }
    known = answers.get("identity")
    record = answers.get("bureau")
    screened = answers.get("watchlist")
    income = clear.get("monthly_income")
    return PolicyInputs(
        applicant_type=payload["applicant_type"],
        product=payload["product"],
        product_version=payload["product_version"],
        new_to_bank=payload["new_to_bank"],
        age=age_on(_birth_date(clear), today),
        monthly_income=int(income) if income else None,
        stated_limits=int(clear.get("other_bank_limits") or 0),
        requested_limit=payload["requested_limit"],
        own_existing=own.limits,
        warnings=payload["warnings"],
        identity=known.as_fact if isinstance(known, identity.IdentityReport) else "unavailable",
        watchlist=screened.as_fact
        if isinstance(screened, watchlist.WatchlistReport)
        else "unavailable",
        bureau=record.as_record if isinstance(record, bureau.BureauReport) else None,
        terms=ProductTerms(
            limit=LimitTerms(
                smallest=rules.smallest,
                largest=rules.largest,
                step=rules.step,
                customer_cap=rules.total_cap,
            ),
            income_multiple=str(rules.income_multiple),
            youngest=ages.youngest,
            oldest=ages.oldest,
            cards_per_customer=product.cards_per_customer,
        ),
        own_cards=own.cards,
    )
