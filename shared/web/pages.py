"""Pages: a service's templates over the shared layout, in the reader's language.

A route renders with `page(request, "queue.html", cases=cases)`, answers a form with
`redirect(request, "/review/queue", flash=_("Decided."))`, and knows nothing else of the web.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.responses import Response

from shared.calendar import urgency_of
from shared.web import i18n, navigation, states, static_files
from shared.web.permissions import ROLE_NAMES, Permission, Viewer
from shared.web.state import web_state

TEMPLATES = Path(__file__).parent / "templates"
LOCALE = Path(__file__).parent / "locale"
FLASH_COOKIE = "banka_flash"
THEME_COOKIE = "banka_theme"

Tone = Literal["success", "info", "warning", "danger"]


def make_environment(templates: Path | None) -> Environment:
    """The template environment of a service: its own folder first, then the shared one."""
    folders = [*([templates] if templates is not None else []), TEMPLATES]
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=i18n.TEMPLATE_EXTENSIONS,
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        i18n.gettext,
        i18n.ngettext,
        newstyle=True,
        pgettext=i18n.pgettext,
        npgettext=i18n.npgettext,
    )
    environment.globals["gettext"] = _said
    environment.filters.update(i18n.FILTERS)
    environment.filters["ago"] = _ago
    environment.filters["urgency"] = _urgency
    environment.filters["chart_json"] = chart_json
    environment.filters["named"] = states.named
    environment.globals.update(
        static=static_files.url,
        Permission=Permission,
        ROLE_NAMES=ROLE_NAMES,
        LANGUAGES=i18n.LANGUAGES,
        options=states.options,
        state_badge=states.state_badge,
        shown_state=states.shown_state,
        item_badge=states.item_badge,
        icon=icon,
        with_query=with_query,
    )
    return environment


@pass_context
def _said(context: Context, message: str, **values: Any) -> str:
    """A message in the reader's language. One without values is no format: words of a catalogue,
    such as the reason of a decline, may say 70 %."""
    text = i18n.gettext(message)
    said = Markup(text) if context.eval_ctx.autoescape else text  # noqa: S704 - our own catalogue
    return said % values if values else said


@pass_context
def _ago(context: Context, value: Any) -> str:
    return i18n.show_ago(value, context["now"])


@pass_context
def _urgency(context: Context, due: datetime) -> str:
    return urgency_of(due, context["now"]).value


def icon(name: str, label: str | None = None, css: str = "") -> Markup:
    """An icon of the sprite; without a label it is decoration and hidden from screen readers."""
    described = (
        Markup('role="img" aria-label="{}"').format(label)
        if label
        else Markup('aria-hidden="true"')
    )
    return Markup('<svg class="icon {}" {}><use href="{}#{}"/></svg>').format(
        css, described, static_files.url("vendor/tabler-icons/sprite.svg"), name
    )


def chart_json(value: Any) -> Markup:
    """Data within a `<script type="application/json">`: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return Markup(  # noqa: S704 - the three characters that could leave the element are escaped
        text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    )


def with_query(request: Request, **changes: Any) -> str:
    """This page's address with some query parameters changed; None removes one."""
    names = set(changes)
    kept = [(key, value) for key, value in request.query_params.multi_items() if key not in names]
    kept.extend((key, str(value)) for key, value in changes.items() if value is not None)
    return request.url.path + ("?" + urlencode(kept) if kept else "")


def asks_within(request: Request) -> bool:
    """Whether a script asks, for a place of the page that it stands on."""
    return request.headers.get("hx-request") == "true"


def page_number(request: Request) -> int:
    """The page of a list that an address asks for, from 1; what is no number asks for the first."""
    text = request.query_params.get("page", "")
    return max(1, int(text)) if text.isdecimal() and len(text) < 7 else 1


def last_page(total: int, size: int) -> int:
    """The number of the last page of a list, from 1; one that is empty has a page, too."""
    return max(1, ceil(total / size))


def page(
    request: Request, template: str, /, *, status_code: int = 200, **context: Any
) -> HTMLResponse:
    """Renders a template of the service. In every template: viewer (or None), now, request."""
    state = web_state(request)
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    flashes = _read_flash(request)
    theme = request.cookies.get(THEME_COOKIE)
    frame = {
        "request": request,
        "viewer": viewer,
        "now": state.now(),
        "demo": state.demo,
        "language": i18n.current_language(),
        "theme": theme if theme in {"light", "dark"} else None,
        "sections": navigation.sections_for(viewer) if viewer else [],
        "current_href": navigation.current_entry(request.url.path),
        "flashes": flashes,
        "csrf_token": viewer.csrf_token if viewer else getattr(request.state, "form_token", ""),
    }
    components = state.templates.get_template("components.html").make_module(frame)
    body = state.templates.get_template(template).render({**frame, "ui": components, **context})
    response = HTMLResponse(body, status_code=status_code)
    if flashes:
        response.delete_cookie(FLASH_COOKIE, path="/", httponly=True, samesite="lax")
    return response


def redirect(
    request: Request, location: str, *, flash: str | None = None, tone: Tone = "success"
) -> Response:
    """After a form: the next page by GET, with one line that is shown there once.

    The line is put in a cookie: write no personal data into it. htmx requests are told to go there.
    """
    response: Response
    if asks_within(request):
        response = Response(status_code=204, headers={"HX-Redirect": location})
    else:
        response = RedirectResponse(location, status_code=303)
    if flash is not None:
        value = base64.urlsafe_b64encode(json.dumps([tone, flash]).encode()).decode()
        response.set_cookie(
            FLASH_COOKIE,
            value,
            max_age=60,
            path="/",
            secure=web_state(request).secure_cookies,
            httponly=True,
            samesite="lax",
        )
    return response


def _read_flash(request: Request) -> Sequence[Mapping[str, str]]:
    raw = request.cookies.get(FLASH_COOKIE)
    if not raw:
        return []
    try:
        said = json.loads(base64.urlsafe_b64decode(raw))
    except (ValueError, RecursionError):
        return []
    match said:
        case ["success" | "info" | "warning" | "danger" as tone, str(text)]:
            return [{"tone": tone, "text": text}]
        case _:
            return []
