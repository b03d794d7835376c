"""Telephone verification (电核): somebody of the bank calls, and hears whether the applicant says
what the form says.

Ground: 商业银行信用卡业务监督管理办法 2011, Art. 37, 42: contacts are verified, and nobody is
approved on suspicious information. Not everybody is called: the findings of `telephone.yaml` ask
for it, or an officer does. Absence (asked for, and nobody confirmed): nobody is approved.
"""

from __future__ import annotations

from services.review.checks.kind import CheckKind
from shared.web.i18n import mark

CHECK = CheckKind(
    name="telephone",
    title=mark("Telephone verification"),
    basis="商业银行信用卡业务监督管理办法 2011, 37, 42",
    absence="TELEPHONE_MISSING",
)
