"""The commands that the READMEs name are there, with their options."""

from __future__ import annotations

import re

import pytest
import typer

from deploy.cli import app
from deploy.runtime import CHECKOUT

_TEXTS = [
    (CHECKOUT / name).read_text(encoding="utf-8") for name in ("README.md", "deploy/README.md")
]
# a line of its own, or a span within a sentence
_NAMED = sorted(
    {
        found[0] or found[1]
        for text in _TEXTS
        for found in re.findall(
            r"^ {4}\.venv/bin/banka (.+)$|`\.venv/bin/banka ([^`]+)`", text, re.MULTILINE
        )
    }
)


@pytest.mark.parametrize("words", _NAMED)
def test_a_command_that_is_named_is_there(words: str) -> None:
    command, known = typer.main.get_command(app), 0
    for word in words.split():
        below = getattr(command, "commands", {})
        if word in below:
            command, known = below[word], known + 1
    assert known
    assert not getattr(command, "commands", {})
    options = {name for one in command.params for name in one.opts + one.secondary_opts}
    assert {word for word in words.split() if word.startswith("--")} <= options


def test_no_command_is_named_that_a_shell_would_not_find() -> None:
    assert len(_NAMED) > 5
    for text in _TEXTS:
        assert re.findall(r"`banka [a-z].*|^ {4}banka .*", text, re.MULTILINE) == []
