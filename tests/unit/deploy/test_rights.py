"""What the broker lets each service do: what the catalogue says, and no more."""

from __future__ import annotations

from deploy.provision import rights
from shared.events import catalog


def test_dead_letters_are_written_by_their_consumer_and_read_by_nobody() -> None:
    letters = {topic.name for topic in catalog.deployed_topics() if topic.holds_dead_letters}
    given = {(right.user, right.operation) for right in rights() if right.name in letters}
    assert given == {(user, act) for user in catalog.SERVICES for act in ("WRITE", "DESCRIBE")}


def test_a_service_reads_the_topics_that_it_consumes_or_compares_with_its_log() -> None:
    for topic in catalog.deployed_topics():
        if topic.holds_dead_letters:
            continue
        readers = {r.user for r in rights() if (r.name, r.operation) == (topic.name, "READ")}
        publishers = set(topic.writers) & set(catalog.SERVICES)
        assert readers == publishers | set(topic.readers)
