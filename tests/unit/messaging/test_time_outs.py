"""How long a broker that says nothing is waited for: another may lead by then."""

from __future__ import annotations

from typing import Any

from shared.messaging.broker import REQUEST_MS, connection
from shared.messaging.subscribe import SESSION_MS, build_broker
from shared.settings import Environment, Settings

SETTINGS = Settings(
    service="review",
    environment=Environment.TEST,
    kafka_bootstrap="one:9092,two:9092",
    kafka_security="PLAINTEXT",
    kafka_user="review",
)


def test_every_client_gives_up_on_a_silent_broker_before_operators_would() -> None:
    assert connection(SETTINGS)["request_timeout_ms"] == REQUEST_MS < 15_000
    broker: Any = build_broker(SETTINGS, "review")
    assert broker.config.broker_config.builder.keywords["request_timeout_ms"] == REQUEST_MS


def test_a_join_is_not_given_up_while_it_waits_for_the_groups_other_members() -> None:
    assert REQUEST_MS > SESSION_MS
