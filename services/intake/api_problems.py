"""What the API may answer beyond what every API may: each problem's status and when it comes."""

from __future__ import annotations

from collections.abc import Mapping

from shared.web import FieldError
from shared.web.openapi import Kind

_NO_PAPER: Mapping[str, tuple[int, str]] = {
    "empty": (422, "The file is empty"),
    "too-large": (413, "The file is larger than is taken"),
    "unknown-type": (415, "The file is neither PDF, JPEG nor PNG"),
    "damaged": (422, "The file is not complete, or cannot be opened"),
    "encrypted": (422, "The PDF is encrypted or protected by a password"),
    "active": (422, "The PDF holds a script, an attached file or an action"),
    "two-in-one": (422, "Another kind of file is hidden in this one"),
    "too-many-pages": (422, "The file has more pages than are taken"),
    "too-many-pixels": (422, "The picture has more pixels than are taken"),
    "too-complex": (422, "The file cannot be opened within the limits of memory and time"),
}
NO_PAPER = tuple(f"document-{code}" for code in _NO_PAPER)
"""Why a file is no paper that the office takes."""

KINDS: Mapping[str, Kind] = {
    "not-found": Kind(
        404, "There is no such application, or it belongs to somebody whom the caller does not see"
    ),
    "erased": Kind(409, "The customer's data was erased or restricted: nothing is added"),
    "already-submitted": Kind(409, "The application was handed in before"),
    "already-ended": Kind(409, "The application has ended"),
    "too-many-papers": Kind(
        409, "As many papers of this kind, or of the application, are there as the office takes"
    ),
    "limit-not-changeable": Kind(
        409, "Only the limit of an activated card is changed, one change at a time"
    ),
    "not-agreed": Kind(
        422,
        "No limit is changed, and no bureau asked, without the customer's own agreement",
    ),
    "limit-not-fitting": Kind(422, "An increase is above the present limit, a decrease below it"),
    "until-not-fitting": Kind(
        422, "A temporary limit, and no other, has a last day within the longest term"
    ),
    "no-guarantee": Kind(
        422, "A student's second source of repayment agrees in writing before any increase"
    ),
    "income-not-proved": Kind(422, "An income stated anew needs the day of its proof"),
    "not-disputable": Kind(409, "Only a report that was asked for is disputed, and once at a time"),
    "not-appealable": Kind(
        409,
        "Only a decline, or a limit that the policy alone set and nobody changed since, is"
        " appealed, once by each way",
    ),
    "card-ordered": Kind(409, "The card is ordered already"),
    "not-open": Kind(409, "Neither a draft, nor is material awaited"),
    "no-draft": Kind(409, "Only a draft can be replaced as a whole"),
    "others-draft": Kind(403, "Somebody else has this draft: it is taken over on its page first"),
    "differs-from-draft": Kind(
        422,
        "A draft keeps its branch and its channel",
        (FieldError("/branch", "differs-from-draft"),),
    ),
    "changed-meanwhile": Kind(
        412, "If-Match names another revision than the application has: `ETag` says which"
    ),
    **{
        f"document-{code}": Kind(status, when, (FieldError("/file", f"document-{code}"),))
        for code, (status, when) in _NO_PAPER.items()
    },
    "unknown-item": Kind(422, "There is no such paper on the checklist"),
    "issued-in-future": Kind(422, "A paper cannot be issued in the future"),
    "not-acceptable": Kind(
        422,
        "The office cannot take the application; every reason stands in `errors`",
        (FieldError("", "COOL_DOWN", "The customer may apply again after the cool-down"),),
    ),
    "other-channel": Kind(
        422,
        "A channel hands in applications under its own name alone",
        (FieldError("/channel", "other-channel"),),
    ),
    "unknown-branch": Kind(
        422,
        "There is no such branch, or it is closed, or not the caller's",
        (FieldError("/branch", "unknown-branch"),),
    ),
    "unknown-application": Kind(
        422,
        "Only an application that has ended can be taken up again",
        (FieldError("/reopens", "unknown-application"),),
    ),
    "too-late": Kind(
        422,
        "The time has passed in which a new application takes up this decline again",
        (FieldError("/reopens", "too-late"),),
    ),
    "other-person": Kind(
        422,
        "The application to be taken up again is another person's; who hands in has to say who they"
        " are",
        (FieldError("/reopens", "other-person"),),
    ),
    "key-reused": Kind(422, "The idempotency key was used for another request"),
    "people-only": Kind(403, "A verdict is a person's, not a program's"),
    "same-person": Kind(403, "Somebody else has to agree"),
    "not-on-list": Kind(404, "The checklist has no such item"),
    "not-in-pre-check": Kind(409, "The application is not in pre-check"),
    "item-accepted": Kind(
        409, "It was accepted: the customer is asked again with a `reason` alone, which is counted"
    ),
    "newer-paper": Kind(409, "Another paper has come since the one that was looked at"),
    "rules-object": Kind(
        409,
        "The rules find something wrong with the item",
        (FieldError("", "DOC_STALE", "The paper is too old"),),
    ),
    "nothing-there": Kind(409, "There is nothing to accept"),
    "not-waivable": Kind(409, "Nobody may do without this item"),
    "no-waiver-asked": Kind(409, "Nobody has asked to do without this item"),
    "unknown-code": Kind(422, "None of the office's return codes"),
    "unknown-reason": Kind(422, "None of the office's reasons"),
    "no-evidence": Kind(422, "A meeting is shown by papers of the application"),
    "not-then": Kind(422, "A meeting lies within the last year, and not ahead"),
    "not-passable": Kind(
        422,
        "The pre-check cannot be passed yet; every obstacle stands in `errors`",
        (FieldError("/items/applicant/work_proof", "not-accepted"),),
    ),
    "not-returnable": Kind(
        422,
        "The customer cannot be asked yet; every obstacle stands in `errors`",
        (FieldError("/items/applicant/work_proof", "not-looked-at"),),
    ),
    "not-checked": Kind(409, "The table's rows are not looked at yet, or forgotten"),
    "forgotten": Kind(409, "What stood in the table's rows is not kept any more"),
    "empty": Kind(422, "The table holds no row"),
    "unreadable": Kind(422, "The file cannot be read as a table"),
    "too-many-rows": Kind(422, "The table has more rows than are taken at once"),
    "several-sheets": Kind(422, "More than one sheet of the workbook holds a table"),
    "unknown-column": Kind(422, "A heading that the template lacks"),
    "column-twice": Kind(422, "A column stands in the table twice"),
    "missing-column": Kind(422, "A column that is needed is missing"),
    "if-match-needed": Kind(428, "This client has to say which revision it changes"),
    "calendar-ends": Kind(503, "A term would end after the office's calendar"),
}
