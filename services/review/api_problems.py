"""What the API may answer beyond what every API may: each problem's status and when it comes."""

from __future__ import annotations

from collections.abc import Mapping

from shared.web.openapi import Kind

KINDS: Mapping[str, Kind] = {
    "not-found": Kind(
        404, "There is no such case, or it belongs to somebody whom the caller does not see"
    ),
    "erased": Kind(409, "The applicant's data was erased or restricted: it cannot be opened"),
    "not-decided": Kind(404, "The case is not decided by review"),
    "unknown-flag": Kind(422, "There is no such flag"),
    "not-in-queue": Kind(409, "The case does not lie in the reviewers' queue"),
    "nothing-waits": Kind(404, "No case waits that whoever calls may take"),
    "claimed": Kind(409, "Another reviewer has this case"),
    "nothing-awaited": Kind(422, "Neither a time is given nor anything that is on its way"),
    "time-passed": Kind(422, "The time has passed, or ends before it begins"),
    "overdue": Kind(409, "The case is due, and is not laid aside"),
    "away": Kind(409, "The officer is away"),
    "no-deputy": Kind(422, "The other officer is away then, or claims no cases of these branches"),
    "not-deputy": Kind(403, "You do not stand in for this officer today"),
    "other-products": Kind(409, "The officer takes other products"),
    "unknown-product": Kind(422, "There is no such product"),
    "unknown-officer": Kind(422, "Nobody of that name may claim cases of the branch"),
    "not-yours": Kind(409, "The case was not claimed by whoever calls"),
    "call-awaited": Kind(409, "A call is asked for already"),
    "no-call-awaited": Kind(409, "Nobody asked for a call, or it was made"),
    "called-just-now": Kind(409, "Nobody was reached, and the next call is not due yet"),
    "unknown-outcome": Kind(422, "There is no such outcome of a call"),
    "proposed": Kind(409, "A decision is proposed and waits for the second signature"),
    "nothing-proposed": Kind(409, "Nothing waits for a signature"),
    "same-person": Kind(403, "This is for another person than whoever did the first part"),
    "risk-officer-needed": Kind(403, "The second signature is a risk officer's"),
    "opinion-first": Kind(409, "Whoever calls gives their own opinion before they see the first"),
    "not-blind": Kind(409, "The first opinion is seen: it is signed or sent back"),
    "not-scored": Kind(409, "The policy has not spoken on this case yet"),
    "not-approvable": Kind(409, "What was found stands against an approval"),
    "limit-too-high": Kind(422, "The limit is above the ceiling that the evidence allows"),
    "limit-not-fitting": Kind(422, "The limit is below the smallest one, or between two steps"),
    "no-limit": Kind(422, "An approval needs a limit"),
    "unknown-reason": Kind(422, "There is no such reason for a decline"),
    "not-open": Kind(409, "The case is not with review"),
    "no-opinion": Kind(422, "Words are needed and there are none"),
    "nothing-wanted": Kind(422, "Nothing is named that the customer shall bring"),
    "unknown-item": Kind(422, "There is no such item, or no such code"),
    "nothing-to-repeat": Kind(409, "Every check was answered, or is on its way"),
    "not-declined": Kind(409, "Only a decline, or a limit that the policy alone set, is appealed"),
    "not-automatic": Kind(409, "The policy alone did not set this limit"),
    "appeal-open": Kind(409, "An appeal of this customer waits for its answer already"),
    "nothing-appealed": Kind(409, "No appeal waits for its answer"),
    "no-report": Kind(409, "The bank holds no credit report of this customer"),
    "dispute-open": Kind(409, "A dispute of this customer waits for its answer already"),
    "nothing-disputed": Kind(409, "No dispute waits for its answer"),
    "other-wish": Kind(422, "This is no answer to what the customer asked for"),
    "no-card": Kind(409, "Only the limit of an activated card is changed"),
    "no-own-limit": Kind(409, "The card has no limit of its own that is known here"),
    "limit-change-open": Kind(409, "A change of this limit waits for its decision"),
    "temporary-in-force": Kind(409, "A temporary limit is in force until its last day"),
    "nothing-to-decide": Kind(409, "No change of the limit waits for a decision"),
    "not-held": Kind(409, "The case is not held"),
}
