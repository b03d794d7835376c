"""Which stack an operator's command means when none is named."""

from __future__ import annotations

import pytest

from deploy import local
from deploy.operating import running_stack


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """{name: state of its servers}"""
    found: dict[str, str] = {}
    monkeypatch.delenv("BANKA_STACK", raising=False)
    monkeypatch.setattr(local, "names", lambda: sorted(found))
    monkeypatch.setattr(
        local, "status", lambda name: [local.ServerStatus("kafka", found[name], "", None)]
    )
    return found


def test_the_only_running_stack_is_meant(stacks: dict[str, str]) -> None:
    stacks.update(default="stopped", demo="running", test="died")
    assert running_stack() == "demo"


def test_the_usual_one_is_meant_where_none_runs_or_it_runs_itself(stacks: dict[str, str]) -> None:
    assert running_stack() is None
    stacks.update(default="running", demo="running")
    assert running_stack() is None


def test_a_choice_between_several_is_the_operator_s(stacks: dict[str, str]) -> None:
    stacks.update(demo="running", bench="running")
    with pytest.raises(local.StackProblem, match=r"--name bench \| demo"):
        running_stack()


def test_a_stack_named_by_the_environment_is_not_guessed(
    stacks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.update(demo="running")
    monkeypatch.setenv("BANKA_STACK", "mine")
    assert running_stack() is None
