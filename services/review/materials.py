"""What the product of an application demands, held against what intake handed over.

Pure. Intake has asked for all of it before (初审), field by field and in clear. Here it is a
precondition of an approval (2011 rules, Art. 42), so that nothing gets past by another way. Review
sees which papers and fields are there, not what they say; what cannot be known without opening
them is not asked for here, or an approval that is right would be stopped:

- a paper that is needed where the ID is of another province than the work place;
- whether the person whom a card is for has an ID card or a passport, where the form names the kind:
  then the papers of either will do;
- what a number tells of a passport's holder, which the form has to say beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from shared.events.payload import Party, PartyRole
from shared.parameters import Product, load_checklist_items
from shared.parameters.models import Condition, Requirement

CONSENT_ITEM = "credit_authorization"  # no paper: it stands in the hand-over by itself
SECOND_SOURCE = "second_repayment_guarantee"  # of a student; a rule of its own asks for it

_Line = TypeVar("_Line")
_ELSEWHERE = frozenset({CONSENT_ITEM, SECOND_SOURCE})


def missing_items(
    product: Product,
    applicant_type: str,
    *,
    handed: Collection[str],
    waived: Collection[str] | None,
    age_band: str,
    kind_named: bool,
) -> list[tuple[str, ...]]:
    """The requirements of the product that nothing fulfils, each by the items of which one would
    do.

    handed: items of which a paper was handed over, one of an earlier application included. waived:
    those that two people of the office do without; None where intake did not say, as in hand-overs
    of before and in what came from another system: then nothing is asked for that may be waived, or
    that the bank might have on file. age_band: of who will hold the card. kind_named: whether the
    form says of which kind that person's ID is; where it does not it is an ID card.
    """
    given = {*handed, *(waived or ())}
    lacking: dict[Condition, list[tuple[str, ...]]] = {when: [] for when in Condition}
    for requirement in _of(product.materials, applicant_type):
        items = tuple(requirement.items)
        if _asked(requirement, waived) and not given & set(items):
            lacking[requirement.when].append(items)
    found = [*lacking[Condition.ALWAYS], *lacking[Condition.NOT_ON_FILE]]
    card = lacking[Condition.HOLDER_HAS_ID_CARD]
    passport = lacking[Condition.HOLDER_HAS_PASSPORT]
    found += passport if kind_named and len(passport) < len(card) else card
    if _is_minor(product, age_band):
        found += lacking[Condition.HOLDER_IS_MINOR]
    return list(dict.fromkeys(found))


def _asked(requirement: Requirement, waived: Collection[str] | None) -> bool:
    """Whether the requirement is one that has to be fulfilled by what was handed over."""
    items = set(requirement.items)
    if requirement.need == "optional" or items & _ELSEWHERE:
        return False
    if waived is not None:
        return True
    known = load_checklist_items().items
    return requirement.when is not Condition.NOT_ON_FILE and not any(
        item not in known or known[item].waivable for item in items
    )


def _is_minor(product: Product, age_band: str) -> bool:
    """Whether somebody of this band is one for certain: of the first band alone that can be told,
    and only where it ends before the age does at which nobody consents for them."""
    first = product.bands.age[0]
    return first <= product.identity.minor_under and age_band == f"<{first}"


def missing_fields(
    product: Product, applicant_type: str, parties: Iterable[Party]
) -> list[tuple[PartyRole, str]]:
    """The fields that the form has to have and has not: whose, and which. Of whom the form does not
    name nothing is asked."""
    return [
        (party.role, name)
        for party in parties
        for name in _needed_of(product, applicant_type, party.role)
        if name not in party.fields
    ]


def _needed_of(product: Product, applicant_type: str, role: PartyRole) -> Sequence[str]:
    form = product.form
    if role is PartyRole.APPLICANT:
        return _of(form.needed, applicant_type)
    return _of(form.needed_of, role.value)


def _of(lines: Mapping[Any, list[_Line]], kind: str) -> list[_Line]:
    """What the product says of a kind of applicant, or of a role; nothing where it is not for
    them."""
    return lines.get(kind, [])
