"""The API's published description: whole, and a change that breaks a channel is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from deploy import api_contract, contracts

PUBLISHED: dict[str, Any] = json.loads(contracts.OPENAPI.read_text(encoding="utf-8"))
ROUTES = {
    f"{method.upper()} {path}": route
    for path, methods in PUBLISHED["paths"].items()
    for method, route in methods.items()
}
API = "/intake/api/v1"
TOKEN = f"POST {API}/token"
ONE = f"{API}/applications/{{application_id}}"


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_is_described_whole(name: str) -> None:
    route = ROUTES[name]
    assert route["description"]
    assert "security" in route
    good = [status for status in route["responses"] if status.startswith("2")]
    assert good
    for status in good:
        assert route["responses"][status]["description"] != "Successful Response"
        for content in route["responses"][status]["content"].values():
            assert content.get("schema"), "what is answered has a form"
    for status, answer in route["responses"].items():
        if not status.startswith("2"):
            problems = answer["content"].get("application/problem+json", {}).get("examples", {})
            assert problems or name == TOKEN, "a token is refused in the standard's own words"
            for code, example in problems.items():
                assert (example["value"]["code"], str(example["value"]["status"])) == (code, status)
                assert f"`{code}`" in answer["description"]


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if "requestBody" in route])
def test_what_is_sent_has_an_example_that_fits(name: str) -> None:
    for media_type, content in ROUTES[name]["requestBody"]["content"].items():
        schema = {**content["schema"], "components": PUBLISHED["components"]}
        Draft202012Validator(schema).validate(content["example"])
        form = "application/x-www-form-urlencoded" if name == TOKEN else "multipart/form-data"
        assert media_type in {"application/json", form}


def test_a_change_of_one_application_knows_keys_and_revisions() -> None:
    changes = [name for name in ROUTES if ONE in name and not name.startswith("GET")]
    assert len(changes) >= 12
    for name in changes:
        headers = {one["name"] for one in ROUTES[name]["parameters"] if one["in"] == "header"}
        if name.endswith("/reading"):  # what was read last counts
            assert not headers
            continue
        # a verdict is a person's, and is done once however often it is said
        verdict = "pre-check" in ROUTES[name].get("tags", ())
        assert headers >= ({"If-Match"} if verdict else {"Idempotency-Key", "If-Match"}), name
        assert {"412", "422"} <= ROUTES[name]["responses"].keys(), name


def _schema(document: Any, name: str) -> Any:
    return document["components"]["schemas"][name]


def _no_path(document: Any) -> None:
    del document["paths"][f"{API}/searches"]


def _no_method(document: Any) -> None:
    del document["paths"][ONE]["patch"]


def _no_field(document: Any) -> None:
    _schema(document, "ApplicationOut")["properties"].pop("deadline")
    _schema(document, "ApplicationOut")["required"].remove("deadline")


def _no_field_inside(document: Any) -> None:
    _schema(document, "LineOut")["properties"].pop("reasons")
    _schema(document, "LineOut")["required"].remove("reasons")


def _another_type(document: Any) -> None:
    _schema(document, "FiledOut")["properties"]["size"] = {"type": "string"}


def _not_always_there(document: Any) -> None:
    _schema(document, "BegunOut")["required"].remove("state")


def _no_longer_taken(document: Any) -> None:
    _schema(document, "PartyForm")["properties"].pop("email")


def _demanded(document: Any) -> None:
    _schema(document, "ApplicationIn")["required"].append("consent")


def _stricter(document: Any) -> None:
    _schema(document, "WithdrawalIn")["properties"]["reason"]["maxLength"] = 10


def _no_parameter(document: Any) -> None:
    route = document["paths"][f"{API}/applications"]["get"]
    route["parameters"] = [one for one in route["parameters"] if one["name"] != "state"]


def _parameter_demanded(document: Any) -> None:
    for one in document["paths"][ONE]["patch"]["parameters"]:
        one["required"] = True


def _no_good_answer(document: Any) -> None:
    del document["paths"][f"{ONE}/withdraw"]["post"]["responses"]["202"]


Change = Callable[[Any], None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_no_path, f"POST {API}/searches is gone"),
        (_no_method, f"PATCH {ONE} is gone"),
        (_no_field, f"GET {ONE}: answer 200 /deadline field: there against removed"),
        (_no_field_inside, f"GET {ONE}/checklist: answer 200 /*/reasons field"),
        (_another_type, f"POST {ONE}/documents: answer 201 /size type"),
        (_not_always_there, "/state presence: optional against required"),
        (_no_longer_taken, f"POST {API}/applications: body /parties/*/email field"),
        (_demanded, f"POST {API}/applications: body /consent presence"),
        (_stricter, f"POST {ONE}/withdraw: body /reason maxLength"),
        (_no_parameter, f"GET {API}/applications: query parameter state is gone"),
        (_parameter_demanded, f"PATCH {ONE}: header parameter If-Match is demanded now"),
        (_no_good_answer, f"POST {ONE}/withdraw: the answer 202 is gone"),
    ],
)
def test_a_change_that_breaks_a_channel_is_found(change: Change, words: str) -> None:
    now = copy.deepcopy(PUBLISHED)
    change(now)
    lines = api_contract.breaks(PUBLISHED, now)
    assert any(words in line for line in lines), lines


def test_what_is_added_breaks_nobody() -> None:
    now = copy.deepcopy(PUBLISHED)
    now["paths"][f"{API}/more"] = {"get": {"responses": {"200": {}}}}
    _schema(now, "ApplicationOut")["properties"]["more"] = {"type": "string"}
    _schema(now, "ApplicationOut")["required"].append("more")
    _schema(now, "PartyForm")["properties"]["more"] = {"type": "string"}
    now["paths"][ONE]["patch"]["parameters"].append(
        {"in": "query", "name": "more", "schema": {"type": "string"}}
    )
    assert api_contract.breaks(PUBLISHED, now) == []


def test_a_description_that_breaks_a_promise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promised = copy.deepcopy(PUBLISHED)
    promised["paths"][f"{API}/once"] = {"get": {"responses": {"200": {}}}}
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(promised), encoding="utf-8")
    monkeypatch.setattr(contracts, "OPENAPI", file)
    with pytest.raises(contracts.BreakingChangeError, match=f"GET {API}/once is gone"):
        contracts.write()
    assert json.loads(file.read_text(encoding="utf-8")) == promised
    file.unlink()
    with pytest.raises(contracts.BreakingChangeError, match="description of the API is missing"):
        contracts.write()
