"""The README's example of a partner's event, read by intake itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy.partner_cli import read_event, sealed
from deploy.runtime import CHECKOUT
from tests.integration.intake.office import BRANCH, Office
from tests.integration.intake.test_partners import APP, OUTBOUND

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = CHECKOUT / "docs" / "partner" / "application.json"


def answers_of_the_readme() -> list[dict[str, Any]]:
    """What the README shows of the office's answers, in order."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in text.split("```json")[1:]]
    return [json.loads(block) for block in blocks]


async def test_the_example_is_answered_as_the_readme_shows(office: Office) -> None:
    event = read_event(FILE)
    event["data"]["branch"] = BRANCH  # the demo's branches are not here
    reference = event["data"]["reference"]
    data = sealed(event["data"], office.jwks, FILE.parent)
    kind = event["type"].removeprefix("banka.partner-").removesuffix(".v1")
    await office.answers(APP, await office.partner_says(APP, kind, reference, data))
    said = await office.said(reference, OUTBOUND)
    shown = answers_of_the_readme()
    assert [f"banka.{kind}.v1" for kind, _, _ in said] == [one["type"] for one in shown]
    for (_, _, data), one in zip(said, shown, strict=True):
        wanted = one["data"]
        assert data.keys() - {"_time", "_origin"} == wanted.keys()
        for name in ("partner_reference", "state", "applied", "status", "wanted", "reapply_from"):
            assert data.get(name) == wanted.get(name)
