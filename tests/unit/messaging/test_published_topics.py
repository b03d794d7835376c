"""Which topics a service holds against its log."""

from __future__ import annotations

from shared.messaging.service import published_topics


def test_dead_letters_are_copies_and_nobody_s_facts() -> None:
    assert published_topics("reporting") == ["banka.cases"]
    assert published_topics("review") == ["banka.applications", "banka.review"]
    assert "banka.outbound.mobile-app" in published_topics("intake")
