"""Requests to every route that an OpenAPI description names: what fits it, what does not, and what
nearly does (its own example, spoilt)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from shared.events.catalog import SERVICES
from tests.fuzz.hostile import CANARY, spoilt, texts, written
from tests.fuzz.judging import Answer, of_program
from tests.fuzz.world import World

_KNOWN = 8  # of ten names in paths are those of something that is there
# refusals that keep something, and say so: the application stays a draft, named in the answer
KEEPS = ("not-acceptable",)
_STAFF = ("assistant", "reviewer", "risk", "ops", "compliance", "auditor", "manager")


def each(strategy: st.SearchStrategy[Any], examples: int, seed: int | None,
         do: Callable[[Any], None]) -> None:  # fmt: skip
    """Do it with so many drawn values: the same ones each time, or those of a seed."""

    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=seed is None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(strategy)
    def run(value: Any) -> None:
        do(value)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong where there are no parts
        (run if seed is None else hypothesis.seed(seed)(run))()


def fuzz_http(examples: int, seed: int | None = None) -> Callable[[World], None]:
    """Every route of every service; `examples` of each way for each route."""

    def run(world: World) -> None:
        for service in SERVICES:
            document = world.described(service)
            schema = schemathesis.openapi.from_dict(copy.deepcopy(document))
            for result in schema.get_all_operations():
                assert isinstance(result, Ok)  # a description that we wrote ourselves
                operation = result.ok()
                route = document["paths"][operation.path][operation.method]
                one = _Route(
                    world, service, operation.method.upper(), operation.path, route, document
                )
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    cases = st.tuples(operation.as_strategy(generation_mode=mode), _choices)
                    each(cases, examples, seed, one.generated)
                each(one.near_misses(), examples, seed, one.nearly)

    return run


_choices = st.fixed_dictionaries({
    "name": st.integers(0, 9),
    "which": st.integers(0, 999),
    "who": st.integers(0, 9),
})  # fmt: skip


class _Route:
    """One route and what is sent to it."""

    def __init__(
        self,
        world: World,
        service: str,
        method: str,
        path: str,
        route: Mapping[str, Any],
        document: Mapping[str, Any],
    ) -> None:
        self.world, self.service, self.method, self.path = world, service, method, path
        self.route, self.document = route, document
        self.where = f"{method} {path}"
        self.staff = "bearer" not in str(route.get("security", "")).lower()
        self._session = requests.Session()
        self._session.trust_env = False

    def _who(self, choice: int) -> dict[str, str]:
        """Mostly somebody who may; nobody at all now and then."""
        if choice == 9:
            return {}
        by_token = not self.staff and choice < 6
        if by_token:
            return self.world.token()
        role = _STAFF[choice % len(_STAFF)] if choice > 4 else _for_service(self.service)
        return {**self.world.session(role), "Accept": "application/json"}

    def _base(self, choice: Mapping[str, int]) -> str:
        """Now and then through the gateway, as whoever is outside."""
        through = choice["which"] % 5 == 0
        return self.world.town.gateway if through else self.world.url(self.service)

    def _named(self, parameters: dict[str, Any], choice: Mapping[str, int]) -> None:
        """What is there, in place of what was made up."""
        for place, name in enumerate(parameters):
            known = self.world.ids.get(name)
            if known and (choice["name"] + place) % 10 < _KNOWN:
                parameters[name] = known[choice["which"] % len(known)]

    def generated(self, drawn: tuple[Any, Mapping[str, int]]) -> None:
        """A request that schemathesis made."""
        case, choice = drawn
        self._named(case.path_parameters, choice)
        headers = self._who(choice["who"])
        if headers:
            for name in [one for one in case.headers if one.lower() == "authorization"]:
                del case.headers[name]

        def send() -> Answer:
            try:
                got = case.call(self._base(choice), self._session, headers, timeout=120)
            except (requests.exceptions.InvalidHeader, UnicodeError):
                return Answer(0, {}, b"")  # nothing was sent
            except requests.exceptions.RequestException as error:
                return Answer(599, {"content-type": "text/plain"}, type(error).__name__.encode())
            told = {name.lower(): values[0] for name, values in got.headers.items()}
            return Answer(got.status_code, told, got.content)

        self._judge(send, (case.path_parameters, case.query, case.body))

    def near_misses(self) -> st.SearchStrategy[Any]:
        """The route's own example with something wrong, in an address with something wrong."""
        bodies: st.SearchStrategy[Any] = st.none()
        kind = ""
        for media_type, content in self.route.get("requestBody", {}).get("content", {}).items():
            if media_type == "application/json" and "example" in content:
                bodies, kind = spoilt(content["example"]).flatmap(written), media_type
        names = [one["name"] for one in self.route.get("parameters", ())]
        odd = st.dictionaries(st.sampled_from(names), texts, max_size=2) if names else st.just({})
        return st.tuples(bodies, st.just(kind), odd, _choices)

    def nearly(self, drawn: tuple[bytes | None, str, dict[str, str], Mapping[str, int]]) -> None:
        """An example that was spoilt."""
        body, kind, odd, choice = drawn
        headers = {**self._who(choice["who"]), **({"Content-Type": kind} if kind else {})}
        path, query = self.path, {}
        for parameter in self.route.get("parameters", ()):
            name, text = parameter["name"], odd.get(parameter["name"])
            if parameter["in"] == "path":
                known = self.world.ids.get(name) or ["x"]
                value = known[choice["which"] % len(known)] if text is None else text
                quoted = quote(value.encode("utf-8", "surrogatepass"), safe="")[:6000]
                path = path.replace(f"{{{name}}}", quoted or "%20")
            elif parameter["in"] == "query" and text is not None:
                query[name] = text.encode("utf-8", "surrogatepass")
            elif parameter["in"] == "header" and text is not None:
                # a caller keeps his own key: without the canary, and as a client can send it
                plain = text.replace(CANARY, "").encode("ascii", "ignore").decode()
                headers[name] = plain.translate(_NO_CONTROLS).strip()
        query_text = "&".join(f"{name}={quote(value)}" for name, value in query.items())[:20_000]
        url = f"{self._base(choice)}{path}{'?' if query_text else ''}{query_text}"

        def send() -> Answer:
            return self.world.send(self.method, url, content=body, headers=headers)

        self._judge(send, (path, query, body))

    def _judge(self, send: Callable[[], Answer], sent: object) -> None:
        if self.method == "GET":
            answer, faults = send(), list[str]()
        else:
            answer, faults = self.world.unchanged_by_refusal(self.service, send, may_keep=KEEPS)
        if answer.status == 0:
            return
        faults += of_program(answer, self.route, self.document)
        self.world.tally.saw("api", self.where, answer.kind)
        self.world.tally.found("api", self.where, faults, (sent, answer.text[:300]))
        if answer.problem.get("code") not in KEEPS:
            self.world.refused(answer, "api", self.where, sent)


_NO_CONTROLS = dict.fromkeys((*range(32), 127))


def _for_service(service: str) -> str:
    return {"intake": "assistant", "review": "reviewer", "notify": "assistant"}.get(service, "risk")
