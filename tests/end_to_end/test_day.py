"""An office's days through all four services, as `banka demo` plays them; and that nothing personal
lies in clear anywhere afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from deploy import local
from deploy.demo.people import Person
from deploy.demo.plan import make_plan
from deploy.demo.run import ORGANISATION, branches_of
from deploy.runtime import CHECKOUT

pytestmark = pytest.mark.timeout(420)

SEED, DAYS, PER_DAY = 20261012, 2, 30
_SECONDS = 20.0
_SEALED = ("name", "id_number", "mobile", "email", "home_address", "employer", "work_address")


def test_an_offices_days_agree_and_leave_nothing_in_clear() -> None:
    # a stack of its own, whatever a developer has up: the run begins with empty servers
    name = f"{os.environ.get('BANKA_STACK', 'test')}-day"
    played = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("banka")), "demo", "--no-keep", "--name", name),
            *("--seed", str(SEED), "--days", str(DAYS), "--per-day", str(PER_DAY)),
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    try:
        assert played.returncode == 0, played.stdout[-6000:] + played.stderr[-2000:]
        assert "The books agree." in played.stdout
        _look_for_personal_data(name)
    finally:
        local.purge(name)


def _look_for_personal_data(name: str) -> None:
    plan = make_plan(SEED, branches_of(ORGANISATION), days=DAYS, per_day=PER_DAY)
    people: list[Person] = [one.person for one in plan.earlier]
    for application in plan.applications:
        people += [application.person, *([application.holder] if application.holder else [])]
    # what a partner wrote in clear against the contract lies on his topic, and goes no further
    exposed = _personal(one.person for one in plan.malformed if one.kind.startswith("clear-"))
    secrets = _personal(people) | exposed
    assert len(secrets) > 200
    stack = local.up(name)
    clear = re.compile("|".join(map(re.escape, secrets)))
    found: dict[str, set[str]] = {}
    numbers = 0
    places = [*_topics(stack), *asyncio.run(_tables(stack)), *_files(stack)]
    for place, text in places:
        numbers += "application_number" in text
        # as it is, and with characters escaped as some JSON writers do
        for version in (text, _unescaped(text)):
            for value in clear.findall(version):
                found.setdefault(place, set()).add(value)
    assert numbers > 100  # it does read what is there
    spoilt = found.pop("banka.inbound.mobile-app", set())
    assert spoilt, "the scan does not find what was planted"
    assert spoilt <= exposed, "a well-formed event of a partner has personal data in clear"
    assert not found, f"personal data in clear in {sorted(found)}"


def _personal(people: Iterable[Person]) -> set[str]:
    """Every personal field; names of two characters are left out, they may be part of any Chinese
    text."""
    values = {getattr(person, field) for person in people for field in _SEALED}
    return {value for value in values if len(value) > 2}


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found.group(1), 16)), text)


def _topics(stack: local.Stack) -> Iterable[tuple[str, str]]:
    """Every record of every topic, with its key and headers."""
    consumer = Consumer({**stack.kafka_admin(), "group.id": "scan", "enable.auto.commit": False})
    try:
        ends = {}
        for topic, described in consumer.list_topics(timeout=_SECONDS).topics.items():
            for part in described.partitions:
                low, high = _offsets(consumer, TopicPartition(topic, part))
                if high > low and not topic.startswith("__"):
                    ends[topic, part] = high
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in ends])
        heard = time.monotonic()
        while ends:
            # it waits for all of so many until the time is over: few, and a short time
            batch = consumer.consume(500, timeout=0.2)
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SECONDS:
                raise TimeoutError(f"the broker kept back {sorted(ends)}")
            for message in batch:
                topic, part = str(message.topic()), int(message.partition() or 0)
                whole = (message.key() or b"", message.value() or b"", str(message.headers()))
                yield (
                    topic,
                    " ".join(
                        piece if isinstance(piece, str) else piece.decode("utf-8", "replace")
                        for piece in whole
                    ),
                )
                if int(message.offset() or 0) >= ends.get((topic, part), 1) - 1:
                    ends.pop((topic, part), None)
    finally:
        consumer.close()


def _offsets(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """First and next offset; a broker that has just started may not lead everything yet."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=_SECONDS)
        except KafkaException as problem:
            new = problem.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION
            if not new or time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return low, high


async def _tables(stack: local.Stack) -> list[tuple[str, str]]:
    """Every row of every table of every database."""
    found: list[tuple[str, str]] = []
    server = await asyncpg.connect(stack.superuser_url())
    try:
        databases = await server.fetch(
            "SELECT datname FROM pg_database WHERE datname LIKE 'banka%'"
        )
    finally:
        await server.close()
    assert len(databases) == 5
    for (database,) in databases:
        conn = await asyncpg.connect(stack.superuser_url(database))
        try:
            tables = await conn.fetch(
                "SELECT format('%I.%I', table_schema, table_name)"
                " FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
                " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
            for (table,) in tables:
                rows = await conn.fetch(f"SELECT t::text FROM {table} t")
                found += [(f"{database}.{table}", row[0]) for row in rows]
        finally:
            await conn.close()
    return found


def _files(stack: local.Stack) -> Iterable[tuple[str, str]]:
    """Every log, and every paper as it lies in the store."""
    for folder in (stack.logs, stack.folder / "documents"):
        for path in folder.rglob("*"):
            if path.is_file():
                yield (
                    str(Path(path).relative_to(stack.folder)),
                    path.read_bytes().decode("utf-8", "replace"),
                )
