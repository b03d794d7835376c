"""Review's tables of what core banking stated about accounts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from services.review.accounts import (
    AccountMonth,
    Accounts,
    DormancyFigure,
    Holding,
    reached_by,
)
from shared.messaging import Connection
from shared.parameters import Dormancy

CARD_STATES: Final = ("approved", "card_producing", "posted", "delivered", "activated", "in_use")
"""States in which an approval's card lives, or is being made."""

_SAVE_MONTHS = """
INSERT INTO account_month (application_id, month, revision, opened_on, closed_on, days_past_due,
    balance, last_transaction, policy_card, known_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::date[], $5::date[], $6::int[],
    $7::text[], $8::date[], $9::boolean[], $10::timestamptz[])
ON CONFLICT DO NOTHING
"""

_SAVE_STANDINGS = """
INSERT INTO account_standing (card, application_id, person, as_of, revision, opened_on, closed_on,
    idle_since, policy_card)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::int[], $6::date[],
    $7::date[], $8::date[], $9::boolean[])
ON CONFLICT (card) DO UPDATE SET
    person = excluded.person, as_of = excluded.as_of, revision = excluded.revision,
    opened_on = excluded.opened_on, closed_on = excluded.closed_on,
    idle_since = excluded.idle_since, policy_card = excluded.policy_card
WHERE (excluded.as_of, excluded.revision) > (account_standing.as_of, account_standing.revision)
"""

# Told under two cards of one person, the same day counts once, whichever comes first.
_SAVE_HOLDINGS = """
INSERT INTO account_holding (person, as_of, revision, application_id, cards)
SELECT * FROM unnest($1::text[], $2::date[], $3::int[], $4::text[], $5::jsonb[])
ON CONFLICT (person) DO UPDATE SET
    as_of = excluded.as_of, revision = excluded.revision,
    application_id = excluded.application_id, cards = excluded.cards
WHERE (excluded.as_of, excluded.revision, excluded.application_id)
    > (account_holding.as_of, account_holding.revision, account_holding.application_id)
"""

_HELD = """
jsonb_to_recordset(h.cards)
    AS c (card text, application_id text, "limit" bigint, dormant boolean, policy_card boolean)
"""

# Of some persons, from behind $2 to $3. A card is open unless its latest month closed it, or the
# latest holding of its person, of that month's end or later, does not have it. Which of the two is
# later says whether it is dormant.
_FIGURE = f"""
WITH holdings AS MATERIALIZED (
    SELECT person, as_of, cards FROM account_holding WHERE person > $2 AND person <= $3
), held AS (
    SELECT h.person, c.card, c.dormant, c.policy_card, h.as_of
    FROM holdings h CROSS JOIN {_HELD}
), months AS (
    SELECT * FROM account_standing WHERE person > $2 AND person <= $3
), known AS (
    SELECT coalesce(held.card IS NULL OR s.as_of >= held.as_of, false) AS by_month,
        s.as_of AS month_end, s.closed_on, s.idle_since, s.policy_card AS month_policy,
        held.card IS NOT NULL AS listed, held.as_of AS held_on, held.dormant, held.policy_card,
        h.as_of AS person_held_on
    FROM held FULL JOIN months s USING (person, card)
    LEFT JOIN holdings h ON h.person = s.person
), open AS (
    SELECT greatest(month_end, held_on) AS newest,
        CASE WHEN by_month THEN month_policy ELSE policy_card END AS policy,
        CASE WHEN by_month
            THEN coalesce(idle_since < month_end - make_interval(months => $1), false)
            ELSE dormant END AS dormant
    FROM known
    WHERE CASE
        WHEN by_month AND closed_on IS NOT NULL THEN false
        WHEN listed THEN true
        ELSE person_held_on IS NULL OR person_held_on < month_end END
)
SELECT newest, count(*) AS issued, count(*) FILTER (WHERE dormant) AS dormant
FROM open WHERE NOT policy GROUP BY newest
"""  # noqa: S608 - our own text

_NEXT_PERSON = """
SELECT max(person) FROM (
    SELECT person FROM (
        (SELECT person FROM account_holding WHERE person > $1 ORDER BY person LIMIT $2)
        UNION ALL
        (SELECT person FROM account_standing WHERE person > $1 ORDER BY person LIMIT $2)
    ) AS both_tables ORDER BY person LIMIT $2
) AS first
"""
_AT_ONCE = 20_000  # persons whose cards are counted by one statement: a fraction of a second

# What core banking lists counts as listed, or as it was raised since. An approval that it does not
# list counts as granted, or as it was changed since, unless its account was known by then and is
# gone, or was closed since.
_CHANGED = """
LEFT JOIN LATERAL (
    SELECT granted, (decided_at AT TIME ZONE 'Asia/Shanghai')::date AS since FROM limit_change
    WHERE application_id = {of}.application_id AND state IN ('in_force', 'granted')
    ORDER BY (state = 'in_force') DESC, decided_at DESC LIMIT 1
) changed ON true
"""
_OWN = f"""
SELECT one.application_id AS of, found.limits, found.cards
FROM unnest($1::text[], $2::text[]) AS one (person, application_id) CROSS JOIN LATERAL (
WITH held AS (
    SELECT c.card, c.application_id, c."limit", h.as_of
    FROM account_holding h CROSS JOIN {_HELD} WHERE h.person = one.person
), own AS (
    SELECT CASE WHEN changed.since >= held.as_of THEN greatest(held."limit", changed.granted)
        ELSE held."limit" END AS "limit"
    FROM held LEFT JOIN account_standing s USING (card) {_CHANGED.format(of="held")}
    WHERE held.application_id IS DISTINCT FROM one.application_id
        AND NOT coalesce(s.closed_on IS NOT NULL AND s.as_of >= held.as_of, false)
    UNION ALL
    SELECT CASE WHEN r.applicant_type = 'supplementary' THEN NULL
        ELSE coalesce(changed.granted, r.granted_limit) END
    FROM review_case r LEFT JOIN account_standing s USING (application_id)
    LEFT JOIN account_holding h ON h.person = r.person {_CHANGED.format(of="r")}
    WHERE r.person = one.person AND r.application_id <> one.application_id
        AND r.granted_limit IS NOT NULL
        AND r.state = ANY ($3)
        AND NOT EXISTS (SELECT FROM held WHERE held.application_id = r.application_id)
        AND s.closed_on IS NULL AND NOT coalesce(s.as_of <= h.as_of, false)
)
SELECT coalesce(sum("limit"), 0)::bigint AS limits, count(*) AS cards FROM own
) AS found
"""  # noqa: S608 - our own text


LAST_FIGURE: Final = (
    "SELECT day, at, issued, dormant, newest FROM dormancy_figure ORDER BY day DESC LIMIT 1"
)


class AccountStore:
    """Statements for the kernel. Each is added as it comes, and the latest counts in whatever order
    they do: nothing is loaded. Never commits."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Accounts]:  # noqa: ARG002
        return {subject: Accounts(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Accounts]) -> None:
        """Add what was stated; rows locked in order of cards and of persons."""
        months = [one for state in states for one in state.months]
        holdings = [one for state in states for one in state.holdings]
        if months:
            await conn.execute(_SAVE_MONTHS, *_columns(map(_month_row, months)))
            latest = {one.card: one for one in sorted(months, key=_place_of_month)}
            rows = (_standing_row(latest[card]) for card in sorted(latest))
            await conn.execute(_SAVE_STANDINGS, *_columns(rows))
        if holdings:
            newest = {one.person: one for one in sorted(holdings, key=_place_of_holding)}
            rows = (_holding_row(newest[person]) for person in sorted(newest))
            await conn.execute(_SAVE_HOLDINGS, *_columns(rows))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _place_of_month(one: AccountMonth) -> tuple[Any, ...]:
    return one.as_of, one.revision


def _place_of_holding(one: Holding) -> tuple[Any, ...]:
    return one.as_of, one.revision, one.application_id


def _month_row(one: AccountMonth) -> tuple[Any, ...]:
    return (
        *(one.application_id, one.month, one.revision, one.opened_on, one.closed_on),
        *(one.days_past_due, str(one.balance), one.last_transaction, one.policy_card),
        one.known_at,
    )


def _standing_row(one: AccountMonth) -> tuple[Any, ...]:
    return (
        *(one.card, one.application_id, one.person, one.as_of, one.revision, one.opened_on),
        *(one.closed_on, one.idle_since, one.policy_card),
    )


def _holding_row(one: Holding) -> tuple[Any, ...]:
    cards = [
        {**card.model_dump(), "limit": card.limit.minor if card.limit else None}
        for card in one.cards
    ]
    return one.person, one.as_of, one.revision, one.application_id, json.dumps(cards)


# --- reading -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Own:
    """What a person has of the bank's cards, one application aside. `limits` in fen."""

    limits: int
    cards: int


async def own_cards(conn: Any, person: str, application_id: str) -> Own:
    """What core banking says that the person holds, and what was granted and is not told of yet. A
    supplementary card shares another one's limit and adds none, but is a card as well."""
    return (await own_cards_of(conn, {application_id: person}))[application_id]


async def own_cards_of(conn: Any, persons: Mapping[str, str]) -> dict[str, Own]:
    """The same of several at once: {application id: what its person has besides}; persons:
    {application id: person}."""
    rows = await conn.fetch(_OWN, list(persons.values()), list(persons), list(CARD_STATES))
    return {row["of"]: Own(row["limits"], row["cards"]) for row in rows}


async def count_dormant(
    conn: Any, terms: Dormancy, day: date, at: datetime, *, at_once: int = _AT_ONCE
) -> DormancyFigure:
    """The share of dormant cards as core banking's statements have it now; each card by its latest
    one, dormant after so many months, and how far the facts of all reach. Counted some persons at a
    time: no statement takes long, however many cards there are."""
    dormant = 0
    facts: Counter[date] = Counter()
    behind = ""
    while (upto := await conn.fetchval(_NEXT_PERSON, behind, at_once)) is not None:
        for row in await conn.fetch(_FIGURE, terms.months, behind, upto):
            facts[row["newest"]] += row["issued"]
            dormant += row["dormant"]
        behind = upto
    return DormancyFigure(day, at, facts.total(), dormant, reached_by(facts, terms))


async def keep_figure(conn: Any, figure: DormancyFigure) -> None:
    """From now on this is the figure of its day."""
    await conn.execute(
        "INSERT INTO dormancy_figure (day, at, issued, dormant, newest)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (day) DO UPDATE SET at = excluded.at,"
        " issued = excluded.issued, dormant = excluded.dormant, newest = excluded.newest"
        " WHERE excluded.at >= dormancy_figure.at",
        *(figure.day, figure.at, figure.issued, figure.dormant, figure.as_of),
    )


async def last_figure(conn: Any) -> DormancyFigure | None:
    """The newest figure; None where none was worked out yet."""
    row = await conn.fetchrow(LAST_FIGURE)
    return figure_of(row) if row is not None else None


def figure_of(row: Any) -> DormancyFigure | None:
    """The figure in the columns of `LAST_FIGURE`; None where these are empty."""
    if row["day"] is None:
        return None
    return DormancyFigure(row["day"], row["at"], row["issued"], row["dormant"], row["newest"])
