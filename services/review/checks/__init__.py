"""The checks that review makes about an applicant, one file each; all in the form of `kind`."""

from collections.abc import Mapping

from services.review.checks import (
    bureau,
    fraud,
    identity,
    meeting,
    plausibility,
    telephone,
    watchlist,
)
from services.review.checks.kind import AskedOf, CheckKind, CheckName, LookedAt

CHECKS: Mapping[CheckName, CheckKind] = {
    kind.name: kind
    for kind in (
        identity.CHECK,
        meeting.CHECK,
        bureau.CHECK,
        watchlist.CHECK,
        fraud.CHECK,
        plausibility.CHECK,
        telephone.CHECK,
    )
}
"""Every check by its name, in the order in which they are made and shown."""

ASKED: Mapping[CheckName, AskedOf] = {
    name: kind.system for name, kind in CHECKS.items() if kind.system is not None
}
"""Those that ask a system."""

OWN: Mapping[CheckName, LookedAt] = {
    name: kind.own for name, kind in CHECKS.items() if kind.own is not None
}
"""Those that review makes by itself with the evidence open."""

__all__ = ["ASKED", "CHECKS", "OWN", "AskedOf", "CheckKind", "CheckName", "LookedAt"]
