"""The promises of the messaging kernel, held against what was asked, what lies in the databases and
on the topics, and what the world outside counted. Pure: it can be tested with made-up observations,
and is, with kernels that are broken on purpose.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from shared.messaging.relay import SHARDS
from tests.faults.history import History, Outcome
from tests.faults.lifecycle import AUTHORITY, ENDS, MILESTONES, IllegalMove, advance
from tests.faults.observed import Database, Entry, Observed, OnTopic

MOST = 5  # examples of one promise that is broken


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was not kept. letter: A to O, as the table of promises names them."""

    letter: str
    words: str


Check = Callable[[Observed, History], Iterator[str]]


def check(observed: Observed, history: History) -> list[Broken]:
    """Every promise that was not kept, with examples; empty if all were."""
    found: list[Broken] = []
    for letter, (_, look) in PROMISES.items():
        words = list(look(observed, history))
        found += [Broken(letter, one) for one in words[:MOST]]
        if len(words) > MOST:
            found.append(Broken(letter, f"and {len(words) - MOST} more"))
    return found


def _entries(observed: Observed) -> Iterator[Entry]:
    for database in observed.databases.values():
        yield from database.log


def _records(observed: Observed, history: History) -> Iterator[OnTopic]:
    """What the office itself wrote."""
    for records in observed.topics.values():
        for record in records:
            if (record.topic, record.part, record.offset) not in history.planted and (
                record.source.startswith("/banka/")
            ):
                yield record


def _firsts(observed: Observed, history: History) -> Iterator[OnTopic]:
    """Of every event its first record, in the order of the topics."""
    seen: set[str] = set()
    for record in _records(observed, history):
        if record.event_id not in seen:
            seen.add(record.event_id)
            yield record


def _lifecycle(topic: str) -> bool:
    return topic.startswith("banka.applications.")


def _moves(topic: str, kind: str) -> bool:
    return _lifecycle(topic) and kind.split(".")[2] not in MILESTONES


def every_command_has_its_entry(observed: Observed, history: History) -> Iterator[str]:
    """A: what was acknowledged is in the log exactly once, what was refused is not, and what nobody
    heard of is there at most once."""
    counts: Counter[str] = Counter()
    for entry in _entries(observed):
        if _lifecycle(entry.topic):
            command = json.loads(entry.body).get("command_id")
            if command:
                counts[command] += 1
    for command in history.commands.values():
        least = 1 if command.outcome is Outcome.ACKNOWLEDGED else 0
        most = 0 if command.outcome is Outcome.REFUSED else 1
        n = counts.pop(command.command_id, 0)
        if not least <= n <= most:
            yield f"{command.kind} by {command.way}, {command.outcome}: {n} entries in the log"
    for unknown, n in counts.items():
        yield f"command {unknown} was never sent and has {n} entries"


def every_entry_reached_kafka(observed: Observed, history: History) -> Iterator[str]:
    """B: every entry of the logs is on its topic, and nothing waits in an outbox."""
    there = {record.event_id for record in _records(observed, history)}
    for entry in _entries(observed):
        if entry.event_id not in there:
            yield f"{entry.source} {entry.type} {entry.event_id} is not on {entry.topic}"
        elif entry.pending:
            yield f"{entry.source} {entry.type} {entry.event_id} is still in the outbox"


def nothing_without_an_entry(observed: Observed, history: History) -> Iterator[str]:
    """C: every record of a service is an entry of its log."""
    known = {(entry.source, entry.event_id) for entry in _entries(observed)}
    for record in _records(observed, history):
        if (record.source, record.event_id) not in known:
            yield f"{record.topic}/{record.part}/{record.offset} {record.type} is in no log"


def numbers_are_unbroken(observed: Observed, history: History) -> Iterator[str]:
    """D: numbers per topic, source and subject run from 1 without a hole, in log and topic."""
    logged: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for entry in _entries(observed):
        logged[entry.topic, entry.source, entry.subject].append(entry.sequence)
    for key, numbers in logged.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"log of {key[1]}, {key[2]}: {sorted(numbers)[:20]}"
    published: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for record in _firsts(observed, history):
        published[record.topic, record.source, record.subject].append(record.sequence or 0)
    for key, numbers in published.items():
        if key[2] in history.lost:
            numbers.sort()
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{key[0]}, {key[1]}, {key[2]}: {numbers[:20]}"


def first_records_are_in_order(observed: Observed, history: History) -> Iterator[str]:
    """E: an application's transitions come onto the topic in the order of their versions."""
    last: dict[tuple[str, str], int] = {}
    for record in _firsts(observed, history):
        if not _moves(record.topic, record.type) or record.version is None:
            continue
        key = (record.topic, record.subject)
        if record.version < last.get(key, 0):
            yield f"{record.subject}: version {record.version} after {last[key]}"
        last[key] = max(record.version, last.get(key, 0))


def effects_happened_once(observed: Observed, history: History) -> Iterator[str]:
    """F: no event was applied twice by a service, and nobody outside was told anything twice."""
    for database in observed.databases.values():
        times = Counter((line.topic, line.event_id) for line in database.applied)
        for (topic, event), n in times.items():
            if n > 1:
                yield f"{database.stage} applied {event} of {topic} {n} times"
    told = Counter(history.outside.about.values())
    for (application, cause), n in told.items():
        if n > 1:
            yield f"{application} was told of {cause} {n} times under different keys"
    yield from _messages_ended_once(observed, history)
    yield from _partner_was_answered_once(observed)


def _messages_ended_once(observed: Observed, history: History) -> Iterator[str]:
    """Of every message that was to be sent the log says once what became of it, and the world
    outside says the same."""
    ends: dict[str, Counter[str]] = {
        word: Counter() for word in ("message-requested", "message-sent", "message-given-up")
    }
    notify = observed.databases["notify"]
    for entry in notify.log:
        if (word := entry.type.split(".")[2]) in ends:
            ends[word][json.loads(entry.body)["message_id"]] += 1
    asked, sent, given_up = ends.values()
    effects = history.outside.effects
    for message in asked.keys() | sent.keys() | given_up.keys() | effects.keys():
        n, known = sent[message] + given_up[message], effects[message]
        if asked[message] != 1 or n > 1 or (n < 1 and not notify.open_calls):
            yield f"message {message}: asked for {asked[message]} times, with {n} ends in the log"
        if known > 1 or known < sent[message]:
            yield f"message {message} went out {known} times, the log says {sent[message]} times"


def _partner_was_answered_once(observed: Observed) -> Iterator[str]:
    """Each event of a partner is remembered with one answer, and the log has no other."""
    intake = observed.databases["intake"]
    answers: Counter[str] = Counter()
    for entry in intake.log:
        if entry.topic.startswith("banka.outbound."):
            event = json.loads(entry.body)["command_id"]
            if event is not None:  # what has no id is known by nothing
                answers[event] += 1
    for event in answers.keys() | intake.seen.keys():
        if not answers[event] == intake.seen.get(event, 0) == 1:
            yield (
                f"the partner's {event} has {answers[event]} answers in the log,"
                f" {intake.seen.get(event, 0)} are remembered"
            )


def applied_in_order(observed: Observed, history: History) -> Iterator[str]:
    """G: per application and service, events were applied in the order of their numbers, and
    transitions in that of their versions."""
    types = {entry.event_id: entry.type for entry in _entries(observed)}
    for database in observed.databases.values():
        numbers: dict[tuple[str, str, str], int] = {}
        versions: dict[tuple[str, str], int] = {}
        for line in database.applied:
            key = (line.topic, line.subject, line.source)
            if line.sequence <= numbers.get(key, 0):
                yield f"{database.stage}, {key}: {line.sequence} after {numbers[key]}"
            numbers[key] = max(line.sequence, numbers.get(key, 0))
            kind = types.get(line.event_id)
            if kind is not None and _moves(line.topic, kind) and line.version is not None:
                about = (line.topic, line.subject)
                if line.version < versions.get(about, 0):
                    yield (
                        f"{database.stage}, {line.subject}: version {line.version} after"
                        f" {versions[about]}"
                    )
                versions[about] = max(line.version, versions.get(about, 0))


def nothing_is_passed_over(observed: Observed, history: History) -> Iterator[str]:
    """H: every event on a topic was applied by each service that reads it, or waits, or was skipped
    by somebody whose name stands in the audit."""
    for database, topic in _readings(observed):
        applied = {line.event_id for line in database.applied if line.topic == topic}
        waiting = {one.event_id for one in database.waiting if one.topic == topic}
        skipped = {event for _, event in database.skipped}
        for record in observed.topics.get(topic, []):
            place = (record.topic, record.part, record.offset)
            event = record.event_id or f"{topic}/{record.part}/{record.offset}"
            if place in history.planted and not record.event_id:
                known = waiting | skipped
            elif record.event_id in applied or place in history.planted:
                continue
            else:
                known = waiting | skipped
            if event not in known:
                yield f"{database.stage} neither applied nor kept {record.type} {event} of {topic}"
        for event in skipped - database.audited:
            yield f"{database.stage} skipped {event}, and nobody says who"
    yield from _dead_letters_belong(observed)


def _dead_letters_belong(observed: Observed) -> Iterator[str]:
    """What failed has a copy on its group's dead-letter topic, and every copy there is of an event
    that waits, was skipped, or was applied when it was tried again."""
    copied = {(letter.consumer, letter.place) for letter in observed.dead}
    places = _places(observed)
    known: dict[str, set[str]] = {}
    for database in observed.databases.values():
        known[database.stage] = {
            *(line.event_id for line in database.applied),
            *(one.event_id for one in database.waiting),
            *(event for _, event in database.skipped),
            *database.seen,
        }
        for one in database.waiting:
            if one.failed and (one.consumer, (one.topic, one.part, one.offset)) not in copied:
                yield f"{one.consumer}: {one.event_id} failed and has no dead letter"
    for consumer, place in copied:
        where = "/".join(map(str, place))
        event = places[place].event_id or where if place in places else ""
        if event not in known[consumer.partition(".")[0]]:
            yield f"{consumer} has a dead letter of {where}, and nothing of it waits or was skipped"


def _places(observed: Observed) -> dict[tuple[str, int, int], OnTopic]:
    return {
        (record.topic, record.part, record.offset): record
        for records in observed.topics.values()
        for record in records
    }


def nothing_goes_past_a_blocked_head(observed: Observed, history: History) -> Iterator[str]:
    """I: behind an event that waits nothing of its application is applied; nobody else waits."""
    for database in observed.databases.values():
        heads: dict[tuple[str, str, str], int] = {}
        for one in database.waiting:
            if one.sequence is not None:
                key = (one.topic, one.subject, one.source)
                heads[key] = min(one.sequence, heads.get(key, one.sequence))
            if not one.state:
                yield f"{database.stage}: {one.event_id} waits behind nothing"
        for line in database.applied:
            head = heads.get((line.topic, line.subject, line.source))
            if head is not None and line.sequence >= head:
                yield f"{database.stage}, {line.subject}: {line.sequence} applied past {head}"
    yield from _blocked_without_cause(observed, history)


def _blocked_without_cause(observed: Observed, history: History) -> Iterator[str]:
    """Applications that wait although nothing about them was meant to fail."""
    bad = {entry.subject for entry in _entries(observed) if b'"mood":"fine"' not in entry.body}
    odd = {
        one.subject
        for database in observed.databases.values()
        for one in database.waiting
        if (one.topic, one.part, one.offset) in history.planted
    }
    for database in observed.databases.values():
        for one in database.waiting:
            if one.subject not in bad | odd:
                yield f"{database.stage}: {one.subject} waits for no reason: {one.reason}"
    places = _places(observed)
    for letter in observed.dead:
        record = places.get(letter.place)
        if record and letter.place not in history.planted and record.subject not in bad | odd:
            yield f"{letter.consumer}: {record.subject} failed for no reason"


def aggregates_add_up(observed: Observed, history: History) -> Iterator[str]:
    """J: reporting's counts are what the publishers' logs come to, but for what waits there or was
    skipped."""
    reporting = observed.databases["reporting"]
    aside = {one.event_id for one in reporting.waiting} | {event for _, event in reporting.skipped}
    newest: dict[str, Entry] = {}
    again: Counter[str] = Counter()
    for entry in _entries(observed):
        if entry.event_id in aside:
            continue
        if _moves(entry.topic, entry.type):
            before = newest.get(entry.subject)
            if before is None or (entry.version or 0) > (before.version or 0):
                newest[entry.subject] = entry
        elif entry.topic.startswith("banka.contacts."):
            again[entry.type.split(".")[2]] += 1
    again.update(entry.type.split(".")[2] for entry in newest.values())
    if dict(again) != reporting.tally:
        yield f"reporting counts {reporting.tally}, the logs say {dict(again)}"


def offsets_are_not_ahead(observed: Observed, history: History) -> Iterator[str]:
    """K: no stored offset lies beyond the first event that was not dealt with, nor beyond the
    topic's end, and each cursor stands at the last event that was."""
    for database in observed.databases.values():
        for (consumer, topic, part), next_ in database.offsets.items():
            end = observed.ends.get((topic, part), 0)
            if next_ > end:
                yield f"{consumer}, {topic}/{part}: offset {next_} beyond the end {end}"
    for database, topic in _readings(observed):
        done = {line.event_id for line in database.applied if line.topic == topic}
        kept = {(one.topic, one.part, one.offset) for one in database.waiting}
        kept_ids = {one.event_id for one in database.waiting}
        skipped = {event for _, event in database.skipped}
        nexts = {part: next_ for (_, of, part), next_ in database.offsets.items() if of == topic}
        for record in observed.topics.get(topic, []):
            place = (record.topic, record.part, record.offset)
            if record.offset >= nexts.get(record.part, 0) or place in history.planted:
                continue
            if place not in kept and record.event_id not in done | kept_ids | skipped:
                yield f"{database.stage} stands at {nexts[record.part]} beyond {place}"
    yield from _cursors_are_not_ahead(observed, history)


def _cursors_are_not_ahead(observed: Observed, history: History) -> Iterator[str]:
    """Below a cursor everything counts as seen; behind it nothing would be seen again."""
    odd = {
        (record.topic, record.subject)
        for place, record in _places(observed).items()
        if place in history.planted
    }
    for database in observed.databases.values():
        skipped = {event for _, event in database.skipped}
        last: dict[tuple[str, str, str], int] = defaultdict(int)
        done = [(e.topic, e.subject, e.source, e.sequence) for e in _entries(observed)
                if e.event_id in skipped]  # fmt: skip
        done += [(e.topic, e.subject, e.source, e.sequence) for e in database.applied]
        for topic, subject, source, sequence in done:
            last[topic, subject, source] = max(last[topic, subject, source], sequence)
        for (consumer, topic, subject, source), number in database.cursors.items():
            if (topic, subject) not in odd and number != last[topic, subject, source]:
                yield (
                    f"{consumer}: the cursor of {subject}, {source} stands at {number}, not at"
                    f" {last[topic, subject, source]}"
                )


def everything_is_drained(observed: Observed, history: History) -> Iterator[str]:
    """L: nothing is on its way any more: no event unread, no call open, no key that will be tried
    again by itself, and every application of which nothing waits has ended."""
    for database in observed.databases.values():
        for (consumer, topic, part), next_ in database.offsets.items():
            end = observed.ends.get((topic, part), 0)
            if next_ < end:
                yield f"{consumer}, {topic}/{part}: {end - next_} events unread"
        if database.open_calls:
            yield f"{database.stage}: {database.open_calls} calls are open"
        for one in database.waiting:
            if one.state == "retry":
                yield f"{database.stage}: {one.subject} is still being retried"
    stuck = {one.subject for d in observed.databases.values() for one in d.waiting}
    stuck |= {
        entry.subject
        for entry in _entries(observed)
        if entry.event_id in {event for d in observed.databases.values() for _, event in d.skipped}
    }
    handed_in = {command.application_id for command in history.commands.values()}
    for database in observed.databases.values():
        for application, (state, _) in database.states.items():
            if application in handed_in - stuck and state not in ENDS:
                yield f"{database.stage}: {application} stays in {state or 'no state'}"


def only_legal_moves(observed: Observed, history: History) -> Iterator[str]:
    """M: every application goes by the lifecycle, each transition said by who has the authority,
    and all services come to the same end."""
    moves: dict[str, list[Entry]] = defaultdict(list)
    for entry in _entries(observed):
        if _moves(entry.topic, entry.type):
            moves[entry.subject].append(entry)
    for subject, entries in moves.items():
        entries.sort(key=lambda entry: entry.version or 0)
        state = ""
        for number, entry in enumerate(entries, start=1):
            word = entry.type.split(".")[2]
            if entry.version != number:
                yield f"{subject}: {word} has version {entry.version}, not {number}"
            if entry.source != f"/banka/{AUTHORITY.get(state)}":
                yield f"{subject}: {entry.source} said {word} in state {state}"
            try:
                state = advance(state, word)
            except IllegalMove as problem:
                yield f"{subject}: {problem}"
    stuck = {one.subject for d in observed.databases.values() for one in d.waiting}
    skipped = {event for d in observed.databases.values() for _, event in d.skipped}
    stuck |= {entry.subject for entry in _entries(observed) if entry.event_id in skipped}
    for application in moves.keys() - stuck:
        ends = {
            database.states.get(application, ("", 0)) for database in observed.databases.values()
        }
        if len(ends) > 1:
            yield f"{application} ended as {sorted(ends)}"


def the_same_everywhere(observed: Observed, history: History) -> Iterator[str]:
    """N: one source, subject and number means the same bytes, headers and all, in the log, in every
    record, in every parking lot and among the dead letters."""
    known = {
        (entry.topic, entry.source, entry.subject, entry.sequence): (entry.body, entry.headers)
        for entry in _entries(observed)
    }
    for record in _records(observed, history):
        key = (record.topic, record.source, record.subject, record.sequence or 0)
        if key in known and known[key] != (record.body, record.headers):
            yield f"{key} is another event on {record.topic}/{record.part}/{record.offset}"
    places = _places(observed)
    for database in observed.databases.values():
        for one in database.waiting:
            there = places.get((one.topic, one.part, one.offset))
            if there and (there.body, there.headers) != (one.body or b"", one.headers):
                yield f"{one.event_id} is another event in the parking lot of {database.stage}"
    for letter in observed.dead:
        there = places.get(letter.place)
        own = tuple((name, said or b"") for name, said in there.headers) if there else ()
        if there and (there.body, own) != (letter.body, letter.headers):
            yield f"{letter.place} is another event among the dead letters of {letter.consumer}"


def one_relay_a_shard(observed: Observed, history: History) -> Iterator[str]:
    """O: every shard of every service's outbox is held by one relay."""
    for database in observed.databases.values():
        for shard in range(SHARDS):
            if database.holders.get(shard, 0) != 1:
                yield f"{database.stage}: {database.holders.get(shard, 0)} relays hold {shard}"


def _readings(observed: Observed) -> Iterator[tuple[Database, str]]:
    """Which service reads which topic of ours."""
    for database in observed.databases.values():
        for topic in sorted({topic for _, topic, _ in database.offsets}):
            if not topic.startswith("banka.inbound."):
                yield database, topic


PROMISES: dict[str, tuple[str, Check]] = {
    "A": ("an acknowledged command has exactly one entry", every_command_has_its_entry),
    "B": ("every entry reaches Kafka", every_entry_reached_kafka),
    "C": ("nothing on Kafka without an entry", nothing_without_an_entry),
    "D": ("numbers run from 1 without a hole", numbers_are_unbroken),
    "E": ("first records are in the order of versions", first_records_are_in_order),
    "F": ("effects happen exactly once", effects_happened_once),
    "G": ("events are applied in order", applied_in_order),
    "H": ("every event is applied, waits or was skipped", nothing_is_passed_over),
    "I": ("a blocked head blocks its application alone", nothing_goes_past_a_blocked_head),
    "J": ("aggregates are what the events come to", aggregates_add_up),
    "K": ("no offset is ahead of the work", offsets_are_not_ahead),
    "L": ("everything is drained", everything_is_drained),
    "M": ("only legal moves, one end everywhere", only_legal_moves),
    "N": ("the same event has the same bytes", the_same_everywhere),
    "O": ("one relay holds each shard", one_relay_a_shard),
}
"""{letter: (the promise in words, what looks for breaches of it)}"""


def letters(found: Iterable[Broken]) -> str:
    """The promises that were broken, for a table."""
    return " ".join(sorted({one.letter for one in found}))
