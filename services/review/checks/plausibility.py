"""Plausibility: is the stated income one that such work in such a place pays, is it proved, and is
the employer one?

Ground: 商业银行信用卡业务监督管理办法 2011, Art. 42, 43: required information is examined before
an approval, and more closely where an employer arranges the card. A doubt makes a person look and
declines nobody; what there is to compare with are the bank's parameters. Of the papers review knows
which were handed over, not the amounts on them: those a person reads. Absence (salaried, and no
employer): nobody is approved.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from services.review.checks.kind import CheckKind, Evidence, LookedAt, OwnReport, RuleHit
from shared.formats import normalise_name
from shared.parameters import load_checks
from shared.parameters.models import Plausibility
from shared.web.i18n import mark

_SALARIED: Final = frozenset({"salaried"})
_FEN: Final = 100

Rule = Callable[[Evidence, Plausibility], RuleHit | None]


def _income(evidence: Evidence) -> int:
    """Yuan a month, rounded down; 0 where none is stated, which the policy weighs."""
    return int(evidence.person.get("monthly_income") or 0) // _FEN


def unproven(evidence: Evidence, terms: Plausibility) -> RuleHit | None:
    """An income of that height is stated and no payroll, tax or social insurance paper shows it."""
    asked = evidence.applicant_type in terms.proof_of and _income(evidence) >= terms.proof_from
    return (
        RuleHit(code="INCOME_UNPROVEN")
        if asked and not {*terms.proofs} & {*evidence.papers}
        else None
    )


def implausible(evidence: Evidence, terms: Plausibility) -> RuleHit | None:
    """The income lies above what the occupation pays in the region of the branch."""
    occupation = evidence.person.get("occupation", "")
    fitting = (band for band in terms.occupations if any(one in occupation for one in band.words))
    most = next((band.up_to for band in fitting), terms.up_to)
    factor = terms.regions.get(evidence.region, Decimal(1))
    return RuleHit(code="INCOME_IMPLAUSIBLE") if _income(evidence) > most * factor else None


def unusual(evidence: Evidence, terms: Plausibility) -> RuleHit | None:
    """The employer's name has no word by which an organisation is known."""
    name = normalise_name(evidence.person.get("employer", ""))
    if not name or evidence.applicant_type not in _SALARIED:
        return None
    known = any(normalise_name(word) in name for word in terms.employer_words)
    return None if known else RuleHit(code="EMPLOYER_UNUSUAL")


def listed(evidence: Evidence, terms: Plausibility) -> RuleHit | None:
    """The employer is one that the bank wants to be looked at."""
    name = normalise_name(evidence.person.get("employer", ""))
    found = any(normalise_name(one) in name for one in terms.doubtful_employers)
    return RuleHit(code="EMPLOYER_LISTED") if found else None


def arranged(evidence: Evidence, terms: Plausibility) -> RuleHit | None:
    """An employer arranges the card (2011 rules, Art. 43), as a paper of theirs says."""
    found = {*terms.arranged_by} & {*evidence.papers}
    return RuleHit(code="EMPLOYER_ARRANGED") if found else None


RULES: Final[tuple[Rule, ...]] = (unproven, implausible, unusual, listed, arranged)


def look(evidence: Evidence) -> OwnReport:
    """Every doubt, and what there was nothing to look at for."""
    terms = load_checks().plausibility
    return OwnReport(
        hits=[hit for rule in RULES if (hit := rule(evidence, terms)) is not None],
        without=[
            name
            for name in ("monthly_income", "occupation", "employer")
            if not evidence.person.get(name)
        ],
    )


CHECK = CheckKind(
    name="plausibility",
    title=mark("Income and employer"),
    basis="商业银行信用卡业务监督管理办法 2011, 42, 43",
    absence="PLAUSIBILITY_UNAVAILABLE",
    own=LookedAt(
        look=look, needs=("employer",), needs_of=_SALARIED, also=("occupation", "monthly_income")
    ),
)
