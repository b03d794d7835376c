"""The checks that review makes about an applicant, one file each; all in the form of `kind`."""

from collections.abc import Mapping

from services.review.checks import bureau, identity, watchlist
from services.review.checks.kind import CheckKind, CheckName

CHECKS: Mapping[CheckName, CheckKind] = {
    kind.name: kind for kind in (identity.CHECK, bureau.CHECK, watchlist.CHECK)
}
"""Every check by its name, in the order in which they are asked and shown."""

__all__ = ["CHECKS", "CheckKind", "CheckName"]
