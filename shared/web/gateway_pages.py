"""What a gateway answers itself, where no service does: nothing there, too large, down.

A page in each language and a problem (RFC 9457) for programs. `make docs` writes them beside the
deployment's gateway; both gateways read them there: they say the same, and need no service for it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from shared.web import i18n
from shared.web.i18n import _, mark
from shared.web.limits import BODY_MOST, MULTIPART_MOST
from shared.web.middleware import CONTENT_SECURITY_POLICY
from shared.web.pages import LOCALE, make_environment
from shared.web.problems import Problem
from shared.web.static_files import FOLDER as STATIC

STYLE: Final = "gateway.css"  # written by hand, beside the pages
HTML: Final = "text/html; charset=utf-8"
RETRY_AFTER: Final = 10  # seconds after which to try again where a service did not answer
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Words:
    """What a page and a problem say of a status; the problem in English, as all are."""

    problem: Problem
    icon: str
    heading: str
    advice: tuple[str, ...]


_WHOM_TO_TELL = mark(
    "If it goes on, tell operations; customers tell their branch. Say when it was."
)
_MAYBE_DONE = "It may have been carried out: look, or send it again with the same Idempotency-Key"
_DOWN = (
    mark("Wait a minute and load the page again. What was saved is not lost."),
    mark(
        "If you were just sending something, look first whether it arrived; if not, send it again."
    ),
    _WHOM_TO_TELL,
)

ANSWERS: Final[Mapping[int, _Words]] = {
    404: _Words(
        Problem(404, "not-found", "There is nothing at this address"),
        "search",
        mark("Not found"),
        (mark("There is nothing at this address."),),
    ),
    413: _Words(
        Problem(413, "too-large", "The request is larger than is taken"),
        "alert-triangle",
        mark("That is too large"),
        (
            mark("With files, at most %(files)s MB can be sent at once; without, %(plain)s MB."),
            mark("Nothing was changed. Go back and choose a smaller file or fewer of them."),
        ),
    ),
    502: _Words(
        Problem(502, "unavailable", "The service did not answer to the end", _MAYBE_DONE),
        "alert-circle",
        mark("No answer just now"),
        _DOWN,
    ),
    503: _Words(
        Problem(503, "unavailable", "The service is not there just now"),
        "alert-circle",
        mark("No answer just now"),
        _DOWN,
    ),
    504: _Words(
        Problem(504, "unavailable", "The service takes too long", _MAYBE_DONE),
        "hourglass",
        mark("That takes too long"),
        (
            mark(
                "It may still be going on. Look in a minute whether it was done, before you send"
                " it again."
            ),
            _WHOM_TO_TELL,
        ),
    ),
}


def page_name(status: int, language: str) -> str:
    """The file of a page."""
    return f"{status}.{language}.html"


def problem_name(status: int) -> str:
    """The file of a problem."""
    return f"{status}.json"


def headers(status: int, media_type: str, language: str | None = None) -> dict[str, str]:
    """The headers of an answer of the gateway's own."""
    return {
        "Content-Type": media_type,
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Language, Cookie",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        **({"Content-Language": language} if language else {}),
        **({"Retry-After": str(RETRY_AFTER)} if status > 500 else {}),
    }


def wants_page(path: str, accept: str) -> bool:
    """Whether a person is to read the answer, and no program; as the services tell it."""
    return "/api/" not in path and "text/html" in accept


def language_of(asked: str, kept: str, accepted: str) -> str:
    """In which language to answer: as a link asks for it, else as was chosen before (cookie), else
    as the browser says; Chinese unless that is English."""
    said = asked or kept or accepted
    return "en" if re.match(r"\s*en(\W|_|$)", said, re.IGNORECASE) else i18n.DEFAULT_LANGUAGE


def texts() -> Iterator[tuple[str, str]]:
    """Every file's name and what it must hold."""
    i18n.load([LOCALE])
    for status, words in ANSWERS.items():
        yield problem_name(status), json.dumps(words.problem.as_json()) + "\n"
        for language in i18n.LANGUAGES:
            with i18n.in_language(language):
                yield page_name(status, language), _page(status, words, language)


def _page(status: int, words: _Words, language: str) -> str:
    sizes = {"files": MULTIPART_MOST // _MIB, "plain": BODY_MOST // _MIB}
    icon = base64.b64encode((STATIC / "favicon.svg").read_bytes()).decode()
    return (
        make_environment(None)
        .get_template("gateway.html")
        .render(
            status=status,
            language=language,
            icon=words.icon,
            heading=_(words.heading),
            advice=[_(one) % sizes for one in words.advice],
            drawn=_drawn,
            favicon=f"data:image/svg+xml;base64,{icon}",
        )
        + "\n"
    )


def _drawn(name: str) -> Markup:
    """An icon of the sprite, within the page: the sprite is a service's to give."""
    sprite = (STATIC / "vendor" / "tabler-icons" / "sprite.svg").read_text(encoding="utf-8")
    found = re.search(rf'<symbol id="{name}" viewBox="([^"]+)">(.*?)</symbol>', sprite, re.DOTALL)
    if found is None:
        raise KeyError(name)
    return Markup('<svg viewBox="{}" aria-hidden="true">{}</svg>').format(
        found[1],
        Markup(found[2]),  # noqa: S704 - the sprite is ours
    )
