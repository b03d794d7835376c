"""The routes behind pages, which no OpenAPI describes: they are read from the services themselves,
their fields from the forms that the pages show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from hypothesis import strategies as st

from services.intake.api_examples import APPLICATION
from shared.events.catalog import SERVICES
from shared.web.access import CSRF_FIELD, CSRF_HEADER, declared_access
from shared.web.permissions import Permission, Role, Scope, scopes_of
from tests.fuzz.hostile import CANARY, FILE_NAMES, made, texts
from tests.fuzz.judging import Answer, of_page
from tests.fuzz.over_http import each
from tests.fuzz.world import BRANCH, CUSTOMER, World

_ROLES = {
    "assistant": Role.ASSISTANT,
    "reviewer": Role.REVIEWER,
    "risk": Role.RISK_OFFICER,
    "compliance": Role.COMPLIANCE,
    "ops": Role.OPS,
    "manager": Role.MANAGER,
    "auditor": Role.AUDITOR,
}
_MACHINES = ("/healthz", "/readyz", "/metrics", "/internal/", "/static/")
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
# what somebody would fill in where a page offers nothing
_SAMPLES = {
    **{name: str(value) for name, value in APPLICATION["parties"][0].items()},
    "branch": BRANCH,
    "consent_date": "2026-10-11",
    "reason": "核对客户身份",
    "why": "核对客户身份",
    "note": "材料齐全",
    "then": "submit",
    "number": "1",
    "code": "DOC_MISSING",
    "codes": "PHOTO_UNCLEAR",
    "item": "id_front",
    "role": "applicant",
    "office_phone": "021-64567890",
}
_SMALL = (
    "nothing",
    "text",
    "svg",
    "pdf with a script",
    "half a workbook",
    "billion laughs",
    "good",
)


@dataclass
class Form:
    """A form as a page shows it: names with a value that it offers, and which of them are files."""

    fields: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


@dataclass
class Route:
    """A route that browsers call, with what may be sent to it."""

    service: str
    method: str
    path: str
    who: str
    query: list[str]
    form: Form

    @property
    def where(self) -> str:
        return f"{self.method} {self.path}"


class _Forms(HTMLParser):
    """Every form of a page: {action: form}; of one that several buttons send, or fill in as a
    dialog, each of their actions."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Form] = {}
        self._by_id: dict[str, Form] = {}  # of the form, or of the dialog that it stands in
        self._dialog = ""
        self._now: Form | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("method", "").lower() == "post":
            action = given.get("action", "").partition("?")[0]
            self._now = self.found.setdefault(action, Form())
            self._by_id[given.get("id") or self._dialog] = self._now
        elif tag == "dialog":
            self._dialog = given.get("id", "")
        elif tag == "button" and (
            action := given.get("formaction", given.get("data-dialog-action", ""))
        ):
            form = self._by_id[given.get("form") or given["data-dialog-open"]]
            pressed = {given["name"]: given.get("value", "")} if "name" in given else {}
            self.found[action] = Form(form.fields | pressed, set(form.files))
        elif self._now is None:
            return
        elif tag == "option" and self._select:
            self._now.fields[self._select] = self._now.fields[self._select] or given.get(
                "value", ""
            )
        elif name := given.get("name", ""):
            if given.get("type") == "file":
                self._now.files.add(name)
                return
            self._select = name if tag == "select" else ""
            self._now.fields.setdefault(name, given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._now = None


def routes_of(world: World) -> list[Route]:
    """Every route of every service that is no API and no probe."""
    found = []
    for service in SERVICES:
        app = world.app(service)
        access = declared_access(app)
        for route in iter_route_contexts(app.routes):
            path = str(route.path)
            if "/api/" in path or path.startswith(_MACHINES):
                continue
            dependant = getattr(route, "dependant", None)
            query, form = (
                _signature(dependant) if isinstance(dependant, Dependant) else ([], Form())
            )
            for method in sorted(set(route.methods or ()) - {"HEAD"}):
                methods = ",".join(sorted(route.methods or ()))
                who = _who(access[f"{methods} {path}"])
                found.append(Route(service, method, path, who, query, form))
    _learn_forms(world, found)
    return found


def _signature(dependant: Dependant) -> tuple[list[str], Form]:
    query, form = [one.alias for one in dependant.query_params], Form()
    for one in dependant.body_params:
        if "UploadFile" in str(one.field_info.annotation):
            form.files.add(one.alias)
        else:
            form.fields[one.alias] = ""
    for inner in dependant.dependencies:
        more, also = _signature(inner)
        query += more
        form.fields |= also.fields
        form.files |= also.files
    return query, form


def _who(demand: str) -> str:
    """Somebody who may; the assistant where everybody may."""
    if demand == "customer@own":
        return CUSTOMER
    permission, _, scope = demand.partition("@")
    if not scope or permission not in set(Permission):
        return "assistant"
    wanted, least = Permission(permission), Scope[scope.split(" ")[0].upper()]
    for name, role in _ROLES.items():
        reach = scopes_of({role}).get(wanted)
        if reach is not None and reach >= least:
            return name
    return "assistant"  # nobody of the demo may: then that is what is answered


def _learn_forms(world: World, routes: list[Route]) -> None:
    """What pages offer to send, to the routes that it is sent to."""
    seen: dict[str, Form] = {}
    for route in routes:
        if route.method != "GET":
            continue
        names = _PARAMETER.findall(route.path)
        for place in range(8 if names else 1):
            path = _filled(route.path, lambda name: _nth(world.ids.get(name) or ["1"], place))  # noqa: B023
            headers = {**world.session(route.who), "Accept": "text/html"}
            answer = world.send("GET", f"{world.url(route.service)}{path}", headers=headers)
            reader = _Forms()
            reader.feed(answer.text)
            seen.update(reader.found)
    for route in routes:
        if route.method != "POST":
            continue
        pattern = re.compile(_PARAMETER.sub("[^/]+", route.path))
        for action, form in seen.items():
            if pattern.fullmatch(action):
                route.form.fields |= form.fields
                route.form.files |= form.files


def _nth(known: list[str], place: int) -> str:
    return known[place % len(known)]


def _filled(path: str, value: Callable[[str], str]) -> str:
    return _PARAMETER.sub(lambda found: quote(value(found[1]), safe=""), path)


@dataclass(frozen=True)
class Sent:
    """A request as it was drawn."""

    path: tuple[str, ...]
    query: list[tuple[str, str]]
    fields: list[tuple[str, str]]
    files: list[tuple[str, str, str]]  # field, file name, content by its name
    way: str  # form, multipart, json, noise
    token: bool
    partly: bool  # as htmx asks


@st.composite
def requests_to(draw: st.DrawFn, route: Route, world: World) -> Sent:
    """A form that was filled in, with something wrong."""
    path = tuple(
        _text_for_path(draw(texts))
        if draw(st.integers(0, 9)) == 9
        else draw(st.sampled_from(world.ids.get(name) or ["1"]))
        for name in _PARAMETER.findall(route.path)
    )
    query = [(name, draw(texts)) for name in route.query if draw(st.booleans())]
    names = sorted(route.form.fields)
    wrong = draw(st.lists(st.sampled_from(names), max_size=2)) if names else []
    fields = []
    for name in names:
        offered = route.form.fields[name] or _SAMPLES.get(name, "")
        how = draw(st.integers(0, 5)) if name in wrong else 9
        if how != 0:
            fields.append((name, draw(texts) if how in (1, 2, 3, 4) else offered))
        if how == 5:
            fields.append((name, draw(texts)))
    if draw(st.integers(0, 5)) == 5:
        fields.append((draw(texts), draw(texts)))
    contents = st.sampled_from(_SMALL)
    files = [
        (name, draw(st.sampled_from(FILE_NAMES)), draw(contents))
        for name in sorted(route.form.files)
    ]
    if draw(st.integers(0, 9)) == 9 and fields:
        files.append((fields[0][0], "scan.png", "text"))
    way = (
        "multipart"
        if files
        else draw(st.sampled_from(("form",) * 8 + ("multipart", "json", "noise")))
    )
    return Sent(path, query, fields, files, way, draw(st.integers(0, 14)) > 0, draw(st.booleans()))


def _text_for_path(text: str) -> str:
    """Without the canary: an address is the sender's own, and may be where he is sent again."""
    plain = text.replace(CANARY, "")
    return plain.encode("utf-8", "replace").decode()[:2000] or "x"


def fuzz_pages(examples: int, seed: int | None = None) -> Callable[[World], None]:
    """Every route of every page; `examples` for each."""

    def run(world: World) -> None:
        for route in routes_of(world):

            def do(sent: Sent, route: Route = route) -> None:
                _send(world, route, sent)

            few = examples if route.method == "POST" else max(1, examples // 2)
            each(requests_to(route, world), few, seed, do)

    return run


def _send(world: World, route: Route, sent: Sent) -> None:
    names = iter(sent.path)
    url = world.url(route.service) + _filled(route.path, lambda _: next(names))
    query = urlencode([(name, _bytes(text)) for name, text in sent.query])[:30_000]
    headers = {**world.session(route.who), "Accept": "text/html"}
    if not sent.token:
        headers.pop(CSRF_HEADER)
    if sent.partly:
        headers["HX-Request"] = "true"
    body, kind = _body(sent)
    if route.method == "POST":
        headers["Content-Type"] = kind

    def send() -> Answer:
        asked = f"{url}?{query}" if query else url
        if route.method == "GET":
            return world.send("GET", asked, headers=headers)
        return world.send(route.method, asked, headers=headers, content=body)

    if route.method == "GET":
        answer, faults = send(), list[str]()
    else:
        answer, faults = world.unchanged_by_refusal(route.service, send)
    faults += of_page(answer)
    world.tally.saw("page", route.where, answer.kind)
    world.tally.found("page", route.where, faults, (sent, answer.text[-600:]))
    world.refused(answer, "page", route.where, sent)


def _body(sent: Sent) -> tuple[bytes, str]:
    pairs = [(name, _bytes(text)) for name, text in sent.fields if name != CSRF_FIELD]
    if sent.way == "multipart":
        return multipart(pairs, [(name, file, made(content)) for name, file, content in sent.files])
    if sent.way == "json":
        return b'{"reason":"x"}', "application/json"
    if sent.way == "noise":
        return (
            b"--x\r\nContent-Disposition: form-data\r\n\r\n\xff\x00",
            "multipart/form-data; boundary=x",
        )
    encoded = urlencode([(_bytes(name), value) for name, value in pairs])
    return encoded.encode(), "application/x-www-form-urlencoded"


def multipart(
    fields: Iterable[tuple[str, bytes]], files: Iterable[tuple[str, str, bytes]]
) -> tuple[bytes, str]:
    """A body as browsers write it, but with names that no browser would let through."""
    boundary = b"kanarien"
    parts = [
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="' + _quoted(name)
        + b'"\r\n\r\n' + value + b"\r\n"
        for name, value in fields
    ] + [
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="' + _quoted(name)
        + b'"; filename="' + _quoted(file) + b'"\r\nContent-Type: image/png\r\n\r\n'
        + content + b"\r\n"
        for name, file, content in files
    ]  # fmt: skip
    return (
        b"".join(parts) + b"--" + boundary + b"--\r\n",
        f"multipart/form-data; boundary={boundary.decode()}",
    )


def _quoted(name: str) -> bytes:
    return _bytes(name).replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
