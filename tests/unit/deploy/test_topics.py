"""On how many brokers a topic lies, and how many must have a fact before it counts as published."""

from __future__ import annotations

import pytest

from deploy.provision import copies, topic_settings
from shared.events.catalog import FOREVER, DeployedTopic

TOPIC = DeployedTopic("banka.applications", 24, FOREVER, (), ())


@pytest.mark.parametrize(("brokers", "number"), [(1, 1), (2, 2), (3, 3), (7, 3)])
def test_a_topic_lies_on_three_brokers_where_there_are_so_many(brokers: int, number: int) -> None:
    assert copies(brokers) == number


@pytest.mark.parametrize(("number", "least"), [(1, "1"), (2, "1"), (3, "2")])
def test_one_broker_may_be_away_and_no_more(number: int, least: str) -> None:
    assert topic_settings(TOPIC, number)["min.insync.replicas"] == least
