"""The local stack's own arithmetic: what needs no broker to be seen."""

from __future__ import annotations

import uuid

import pytest

from deploy import local


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawn id that begins with a hyphen stopped one fresh set-up in 64."""
    hyphen = uuid.UUID(bytes=bytes([0b11111000]) + bytes(15))
    letter = uuid.UUID(bytes=bytes(16))
    draws = iter([hyphen, hyphen, letter])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(draws))

    assert local.cluster_id() == "A" * 22
