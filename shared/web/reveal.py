"""Something masked in clear, with a reason: asked for within the page where it stands, or on one of
its own where a browser runs no script. It is hidden again after a minute."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Form, Request
from fastapi.responses import Response

from shared.web.i18n import _, mark
from shared.web.pages import asks_within, page

SHOWN_SECONDS = 60
SHORTEST_REASON = 4  # characters

REASONS: Mapping[str, str] = {
    "decide": mark("To decide on the application"),
    "contact": mark("To call or write to the customer"),
    "compare": mark("To compare it with a paper or another record"),
    "asked": mark("The customer asks what the bank holds"),
    "delivery": mark("A card or letter has come back"),
    "complaint": mark("Complaint or dispute"),
    "inspection": mark("Inspection or audit"),
    "other": mark("Another reason"),
}
"""Why somebody needs to see what is masked, by the code that is recorded."""

Why = Annotated[str, Form(max_length=20)]
Text = Annotated[str, Form(max_length=300)]


def missing_reason(why: str, text: str, known: Container[str] = REASONS) -> str:
    """What is wrong with a reason; nothing where it is one of those known."""
    if why not in known:
        return _("Choose a reason.")
    if why == "other" and len(text.strip()) < SHORTEST_REASON:
        return _("Say what the reason is.")
    return ""


def revealing(
    request: Request,
    name: str,
    *,
    back: str,
    clear: str | None = None,
    rows: Sequence[tuple[str, str, str]] | None = None,
    error: str = "",
    why: str = "",
    **shown: Any,
) -> Response:
    """Asks for a reason, or shows what was asked for: `clear`, or rows of what, old and new. name:
    of the field on its page; shown: action (where the reason is posted), back_label, heading and
    label."""
    within = asks_within(request)
    opened = clear is not None or rows is not None
    response = page(
        request,
        "reveal_field.html" if within else "reveal.html",
        # what is swapped into a page is swapped whatever it says
        status_code=422 if error and not within else 200,
        id=f"reveal-{name}",
        back=back,
        clear=clear,
        rows=rows,
        error=error or None,
        why=why,
        opened=opened,
        reasons=[(code, _(text)) for code, text in REASONS.items()],
        seconds=SHOWN_SECONDS,
        **shown,
    )
    response.headers["Cache-Control"] = "no-store"
    if opened and not within:
        response.headers["Refresh"] = f"{SHOWN_SECONDS}; url={back}"
    return response
