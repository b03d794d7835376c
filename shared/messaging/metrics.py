"""Every metric of the kernel: name, type and meaning in one place."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "banka_events_total",
    "Events that a consumer dealt with; outcome: applied, ignored (type without a handler),"
    " duplicate, gap, parked, skipped",
    ["consumer", "outcome"],
)
POLL_SECONDS = Histogram(
    "banka_poll_seconds",
    "Time of one poll's transaction, commit included",
    ["consumer"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
EVENT_AGE = Gauge(
    "banka_event_age_seconds",
    "Age of the newest event applied (this machine's clock minus recordedtime), per consumer",
    ["consumer"],
)
LAG = Gauge(
    "banka_consumer_lag_events", "Events behind the end of the assigned partitions", ["consumer"]
)
BACKOFF = Counter(
    "banka_backoff_total", "Pauses because the machinery (not an event) failed", ["what"]
)
RELAYED = Counter("banka_relayed_total", "Facts acknowledged by the broker", ["topic"])
RELAY_SECONDS = Histogram(
    "banka_relay_seconds",
    "Time of one relay round: read, send, acknowledgement, delete",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
CALENDAR_DAYS = Gauge(
    "banka_calendar_days_left",
    "Days until the known working days end (the parameters take a further year)",
)
WAITING = Gauge(
    "banka_waiting_for_operator",
    "What does not go on by itself (`banka parked`); kind: event (applications whose events wait),"
    " call (results that could not be applied), deadline, consumer (stopped: too many failures)",
    ["kind"],
)
CALLS = Counter(
    "banka_calls_total",
    "Outside calls; outcome: succeeded, refused, unknown, exhausted, retried",
    ["kind", "outcome"],
)
CALL_SECONDS = Histogram(
    "banka_call_seconds",
    "Time of one outside call",
    ["kind"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DEADLINES = Counter(
    "banka_deadlines_total", "Deadlines handled; outcome: handled, failed", ["name", "outcome"]
)
