"""Fraud rules: what this application has in common with others, and where form and papers disagree.

Ground: 商业银行信用卡业务监督管理办法 2011, Art. 42, 43: none is approved on suspicious information
before somebody has looked. Each rule makes a person look and declines nobody: a family shares a
number, an employer a switchboard. What is shared is found by keyed digests, and a reason says how
many there are, never who. Absence: nobody is approved.

A device is known to intake alone; what it found about one comes as a warning of the pre-check.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from services.review.checks.kind import CheckKind, Evidence, LookedAt, OwnReport, RuleHit
from shared.parameters import load_checks
from shared.parameters.models import FraudRules, Shared
from shared.web.i18n import mark

Trace = Literal["person", "mobile", "office_phone", "work_address", "employer"]
TRACES: Final[tuple[Trace, ...]] = get_args(Trace)
"""What an application leaves to be found by; the first stands for the person, whose applications
are counted, of the others the persons are."""

NEEDED: Final = ("mobile",)
ALSO: Final = ("office_phone", "work_address", "employer")

Rule = Callable[[Evidence, FraudRules], RuleHit | None]


def _plain(text: str) -> str:
    """As phones, addresses and names are compared: letters and digits, of one width and case."""
    return "".join(one for one in unicodedata.normalize("NFKC", text).upper() if one.isalnum())


def left_by(person: Mapping[str, str]) -> dict[Trace, str]:
    """What of the opened fields is left to be found by, as it is compared: {trace: text}."""
    found = {name: _plain(person[name]) for name in TRACES if person.get(name)}
    return {name: text for name, text in found.items() if text}


def terms_of(trace: Trace, rules: FraudRules) -> Shared:
    """From how many on, and within what time, a trace counts."""
    terms: Shared = getattr(rules, f"same_{trace}")
    return terms


def _shared(trace: Trace, code: str) -> Rule:
    def rule(evidence: Evidence, rules: FraudRules) -> RuleHit | None:
        count = evidence.shared.get(trace, 0)
        return RuleHit(code=code, count=count) if count >= terms_of(trace, rules).count else None

    return rule


def device(evidence: Evidence, rules: FraudRules) -> RuleHit | None:  # noqa: ARG001 - intake's terms
    """Several persons used one device to apply, as intake found it."""
    return RuleHit(code="FRAUD_DEVICE") if "DEVICE_SHARED" in evidence.warnings else None


def contradiction(evidence: Evidence, rules: FraudRules) -> RuleHit | None:
    """Form and papers contradict each other in several respects: one is a slip of the pen."""
    count = len(set(evidence.warnings) & set(rules.contradicts))
    return (
        RuleHit(code="FRAUD_CONTRADICTION", count=count) if count >= rules.contradictions else None
    )


RULES: Final[tuple[Rule, ...]] = (
    _shared("person", "FRAUD_VELOCITY"),
    _shared("mobile", "FRAUD_MOBILE"),
    device,
    _shared("office_phone", "FRAUD_OFFICE_PHONE"),
    _shared("work_address", "FRAUD_WORK_ADDRESS"),
    _shared("employer", "FRAUD_EMPLOYER"),
    contradiction,
)


def look(evidence: Evidence) -> OwnReport:
    """Every rule that fires, and what there was nothing to look at for."""
    rules = load_checks().fraud
    return OwnReport(
        hits=[hit for rule in RULES if (hit := rule(evidence, rules)) is not None],
        without=[name for name in ALSO if not evidence.person.get(name)],
    )


CHECK = CheckKind(
    name="fraud",
    title=mark("Fraud rules"),
    basis="商业银行信用卡业务监督管理办法 2011, 42, 43",
    absence="FRAUD_UNAVAILABLE",
    own=LookedAt(look=look, needs=NEEDED, also=ALSO),
)
