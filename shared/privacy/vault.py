"""The vault: seals personal fields, opens them for those who may, and forgets a person for good.

Keys form a chain: bank key → person's key → a data key per party, application and class. Destroying
the person's key makes every sealed value unreadable wherever it lies: on topics, in logs
of events, in dead letters. Row-level security in the database decides which classes a service sees.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.formats import normalise_name, normalise_resident_id
from shared.identifiers import new_id
from shared.privacy.bank_key import KEY_BYTES, NONCE_BYTES, BankKey
from shared.privacy.sealing import DataClass, Sealed

if TYPE_CHECKING:
    from asyncpg import Pool, Record
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[Record] | asyncpg.Connection[Record]

VAULT_MIGRATIONS: Final = Path(__file__).with_name("vault_migrations")
VAULT_DATABASE: Final = "banka_vault"
CACHE_SECONDS: Final = 60.0  # how long an unwrapped key may outlive its destruction
_CACHE_KEYS: Final = 20_000
_MOST_SHARING: Final = 1_000  # parties with one mobile; more than a thousand tell nothing more
MOST_FOUND: Final = 2_000  # parties of one search: the commonest names have more in a large bank

NameKind = Literal["name", "chinese_name"]
IndexKind = Literal["mobile", "id_number", NameKind]
INDEXED: tuple[IndexKind, ...] = get_args(IndexKind)
"""Fields by which a party is found."""


class KeyUnavailableError(LookupError):
    """A sealed value cannot be opened: its key was destroyed, its person is restricted, or this
    role may not see its class. Which of these it is does not show, on purpose.
    """

    def __init__(self, data_key_ids: Iterable[str]) -> None:
        super().__init__(f"no key to open: {', '.join(sorted(data_key_ids))}")


class SealBrokenError(ValueError):
    """A sealed value was altered, or stands in a party or field that it was not sealed for."""


class Erasure(StrEnum):
    """What became of a request to delete a person's data."""

    DESTROYED = "destroyed"  # keys are gone; after the vault's backups (30 days) for good
    RESTRICTED = "restricted"  # a legal retention term runs: kept, but nobody opens it
    UNKNOWN = "unknown"  # no such person


@dataclass(frozen=True, slots=True)
class IndexedParty:
    """A party found by a phone number, an ID number or a name."""

    person: str
    party_id: str
    application_id: str


@dataclass(frozen=True, slots=True)
class DataKey:
    """An unwrapped key of one party, application and class; lives in memory for a minute."""

    data_key_id: str
    party_id: str
    application_id: str
    data_class: DataClass
    cipher: AESGCM = field(repr=False)

    def seal(self, field_name: str, text: str) -> Sealed:
        """Encrypt one field of the party; the result opens only for this party and field."""
        nonce = os.urandom(NONCE_BYTES)
        body = nonce + self.cipher.encrypt(
            nonce, text.encode(), _associated(self.party_id, field_name)
        )
        encoded = base64.urlsafe_b64encode(body).rstrip(b"=").decode("ascii")
        return Sealed(f"bk1.{self.data_key_id}.{encoded}")

    def open(self, field_name: str, sealed: Sealed) -> str:
        """Decrypt one field; raises SealBrokenError."""
        encoded = sealed.parts.body
        body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        try:
            clear = self.cipher.decrypt(
                body[:NONCE_BYTES], body[NONCE_BYTES:], _associated(self.party_id, field_name)
            )
        except InvalidTag:
            raise SealBrokenError(f"field {field_name} of party {self.party_id}") from None
        return clear.decode()


@dataclass(frozen=True, slots=True)
class PartyKeys:
    """The keys of one party in one application; they are committed before anything is sealed."""

    person: str
    party_id: str
    application_id: str
    known_person: bool  # whether the person had applied before (same ID number)
    by_class: Mapping[DataClass, DataKey] = field(repr=False)

    def seal(self, data_class: DataClass | str, field_name: str, text: str) -> Sealed:
        """Encrypt one field of this party under the key of its class."""
        return self.by_class[DataClass(data_class)].seal(field_name, text)

    def seal_fields(
        self, fields: Mapping[str, str], classes: Mapping[str, str]
    ) -> dict[str, Sealed]:
        """Encrypt `{field: text}`; `classes` says which class each field belongs to.

        Raises KeyError for a field without a class: no field is sealed by guess.
        """
        return {name: self.seal(classes[name], name, text) for name, text in fields.items()}


@dataclass(frozen=True, slots=True)
class NewParty:
    """Somebody who is to become a party of an application; see `Vault.new_party`."""

    application_id: str
    id_number: str | None = field(default=None, repr=False)
    mobile: str | None = field(default=None, repr=False)
    person: str | None = None
    name: str | None = field(default=None, repr=False)
    chinese_name: str | None = field(default=None, repr=False)


class Vault:
    """A service's way to the vault; its pool logs in with the service's own role."""

    def __init__(
        self,
        pool: Pool[Record],
        bank_key: BankKey,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._bank_key = bank_key
        self._monotonic = monotonic  # seconds; ages the cache
        self._cache: dict[str, tuple[float, str, DataKey]] = {}  # id: (until, person, key)
        self._sweep: asyncio.TimerHandle | None = None

    async def new_party(
        self,
        application_id: str,
        *,
        person: str | None = None,
        id_number: str | None = None,
        mobile: str | None = None,
        name: str | None = None,
        chinese_name: str | None = None,
    ) -> PartyKeys:
        """Give a person in an application a random party id and keys of every class.

        The person is the one given, else the one already known by that ID number, else a new
        one. ID number, mobile and names, where given, are entered for search. Committed when this
        returns, in the vault's own transaction: if the caller's then fails, an unused key remains
        and does no harm. Only intake may do this.
        """
        wanted = NewParty(application_id, id_number, mobile, person, name, chinese_name)
        (made,) = await self.new_parties([wanted])
        for key in made.by_class.values():
            self._remember(made.person, key)
        return made

    async def new_parties(self, wanted: Sequence[NewParty]) -> list[PartyKeys]:
        """`new_party` of many in one transaction, in their order; two of them with one ID number
        are one person. Their keys are not cached: nobody opens so many at once.
        """
        values = [
            _index_values(one.id_number, one.mobile, one.name, one.chinese_name) for one in wanted
        ]
        digests = [
            self._bank_key.blind("id_number", value["id_number"])
            if one.person is None and "id_number" in value
            else None
            for one, value in zip(wanted, values, strict=True)
        ]
        async with self._pool.acquire() as conn, conn.transaction():
            known = await self._persons_of(conn, {one for one in digests if one is not None})
            found = [
                one.person if digest is None else known.get(digest)
                for one, digest in zip(wanted, digests, strict=True)
            ]
            ciphers = await self._person_ciphers(conn, {one for one in found if one is not None})
            made, rows, index = [], [], []
            newcomers: list[tuple[str, bytes]] = []
            for one, value, digest, old in zip(wanted, values, digests, found, strict=True):
                person = old or (known.get(digest) if digest is not None else None)
                if person is None:
                    person, key = new_id(), os.urandom(KEY_BYTES)
                    newcomers.append((person, key))
                    ciphers[person] = AESGCM(key)
                    if digest is not None:
                        known[digest] = person
                    met_before = False
                else:
                    met_before = True
                party_id = new_id()
                keys = {}
                for data_class in DataClass:
                    raw, data_key_id = os.urandom(KEY_BYTES), new_id()
                    keys[data_class] = DataKey(
                        data_key_id, party_id, one.application_id, data_class, AESGCM(raw)
                    )
                    wrapped = _wrap(ciphers[person], raw, data_key_id)
                    rows.append(
                        (data_key_id, person, party_id, one.application_id, data_class, wrapped)
                    )
                index += [
                    (kind, self._blind(kind, text), party_id, one.application_id, person)
                    for kind, text in value.items()
                ]
                made.append(PartyKeys(person, party_id, one.application_id, met_before, keys))
            if newcomers:
                await self._enter(conn, newcomers)
            await conn.execute(
                "INSERT INTO vault.data_key"
                " (data_key_id, person_id, party_id, application_id, class, wrapped)"
                " SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[],"
                " $6::bytea[])",
                *zip(*rows, strict=True),
            )
            if index:
                await conn.execute(
                    "INSERT INTO vault.blind_index"
                    " (kind, digest, party_id, application_id, person_id)"
                    " SELECT * FROM unnest($1::text[], $2::bytea[], $3::uuid[], $4::uuid[],"
                    " $5::uuid[])",
                    *zip(*index, strict=True),
                )
        return made

    async def persons(self, id_numbers: Collection[str]) -> dict[str, str]:
        """{ID number, normalised: person} of those who are known, and not restricted."""
        digests = {
            self._bank_key.blind("id_number", number): number
            for number in map(normalise_resident_id, id_numbers)
        }
        rows = await self._pool.fetch(_PERSONS, list(digests))
        return {digests[row["digest"]]: row["person_id"] for row in rows}

    async def party_keys(self, party_id: str, application_id: str) -> PartyKeys:
        """The keys of an existing party that this role may see, to seal a further field.

        Raises KeyUnavailableError if there are none.
        """
        rows = await self._pool.fetch(
            _SELECT_KEYS + " WHERE d.party_id = $1 AND d.application_id = $2",
            party_id,
            application_id,
        )
        if not rows:
            raise KeyUnavailableError([f"party {party_id}"])
        keys = {key.data_class: key for key in map(self._unwrap, rows)}
        return PartyKeys(rows[0]["person_id"], party_id, application_id, True, keys)

    async def open(self, party_id: str, fields: Mapping[str, str]) -> dict[str, str]:
        """The clear text of a party's sealed fields: `{field: text}`.

        Raises KeyUnavailableError, and SealBrokenError for a value of another party or field.
        """
        return (await self.open_parties({party_id: fields}))[party_id]

    async def open_parties(
        self, parties: Mapping[str, Mapping[str, str]], *, leave_out_unavailable: bool = False
    ) -> dict[str, dict[str, str]]:
        """Open `{party_id: {field: sealed}}` with one question to the vault.

        With `leave_out_unavailable`, fields without a key are missing from the result, for pages
        that show a person's data as erased; otherwise they raise KeyUnavailableError.
        """
        sealed = {
            party_id: {name: Sealed(value) for name, value in fields.items()}
            for party_id, fields in parties.items()
        }
        keys = await self.data_keys(
            {value.parts.data_key_id for fields in sealed.values() for value in fields.values()},
            leave_out_unavailable=leave_out_unavailable,
        )
        opened: dict[str, dict[str, str]] = {}
        for party_id, fields in sealed.items():
            opened[party_id] = {}
            for name, value in fields.items():
                key = keys.get(value.parts.data_key_id)
                if key is None:
                    continue
                if key.party_id != party_id:
                    raise SealBrokenError(f"field {name} of party {party_id}")
                opened[party_id][name] = key.open(name, value)
        return opened

    async def data_keys(
        self, data_key_ids: Iterable[str], *, leave_out_unavailable: bool = False
    ) -> dict[str, DataKey]:
        """Unwrapped keys by id, from the cache where they are younger than a minute."""
        wanted = set(data_key_ids)
        now = self._monotonic()
        found = {}
        for data_key_id in wanted:
            entry = self._cache.get(data_key_id)
            if entry is not None and entry[0] > now:
                found[data_key_id] = entry[2]
        missing = wanted - found.keys()
        if missing:
            rows = await self._pool.fetch(
                _SELECT_KEYS + " WHERE d.data_key_id = ANY($1::uuid[])", list(missing)
            )
            for row in rows:
                found[row["data_key_id"]] = self._unwrap(row)
            missing -= found.keys()
        if missing and not leave_out_unavailable:
            raise KeyUnavailableError(missing)
        return found

    async def find(
        self,
        *,
        id_number: str | None = None,
        mobile: str | None = None,
        name: str | None = None,
    ) -> list[IndexedParty]:
        """Parties with exactly this ID number, mobile or name, be it their Chinese one, the latest
        first, at most MOST_FOUND of them; nothing about restricted persons."""
        values = _index_values(id_number, mobile, name, name)
        rows = await self._pool.fetch(
            "SELECT DISTINCT b.person_id::text AS person_id, b.party_id::text AS party_id,"
            " b.application_id::text AS application_id"
            " FROM unnest($1::text[], $2::bytea[]) AS w (kind, digest)"
            " JOIN vault.blind_index b USING (kind, digest)"
            " ORDER BY party_id DESC, application_id LIMIT $3",
            list(values),
            [self._blind(kind, value) for kind, value in values.items()],
            MOST_FOUND,
        )
        return [IndexedParty(r["person_id"], r["party_id"], r["application_id"]) for r in rows]

    async def sharing_mobile(self, party_id: str, application_id: str) -> list[IndexedParty]:
        """Parties with the mobile of this one, itself included; the latest of them where there are
        very many. Compares digests: nobody opens the number for it."""
        rows = await self._pool.fetch(
            "SELECT other.person_id::text AS person_id, other.party_id::text AS party_id,"
            " other.application_id::text AS application_id"
            " FROM vault.blind_index own JOIN vault.blind_index other USING (kind, digest)"
            " WHERE own.party_id = $1 AND own.application_id = $2 AND own.kind = 'mobile'"
            " ORDER BY other.party_id DESC LIMIT $3",
            party_id,
            application_id,
            _MOST_SHARING,
        )
        return [IndexedParty(r["person_id"], r["party_id"], r["application_id"]) for r in rows]

    async def reindex(
        self,
        keys: PartyKeys,
        *,
        id_number: str | None = None,
        mobile: str | None = None,
        name: str | None = None,
        chinese_name: str | None = None,
    ) -> None:
        """Enter a corrected ID number, mobile or name for search in place of the old one."""
        values = _index_values(id_number, mobile, name, chinese_name)
        async with self._pool.acquire() as conn, conn.transaction():
            await self._index(conn, keys.person, keys.party_id, keys.application_id, values)

    async def unindex(self, party_id: str, application_id: str, *kinds: IndexKind) -> None:
        """Let nobody find this party by its ID number or mobile any more."""
        await self._pool.execute(
            "UPDATE vault.blind_index SET digest = w.digest"
            " FROM unnest($3::text[], $4::bytea[]) AS w (gone, digest)"
            " WHERE party_id = $1 AND application_id = $2 AND kind = w.gone",
            party_id,
            application_id,
            list(kinds),
            # a digest of nothing: what was made at random is found by no value
            [os.urandom(32) for _ in kinds],
        )

    async def unnamed(self, parties: Collection[str], kind: NameKind = "name") -> set[str]:
        """Which of these parties, of whom there are keys, cannot be found by that name yet."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT d.party_id::text AS party_id FROM vault.data_key d"
            " WHERE d.party_id = ANY ($1::uuid[]) AND d.class = 'contact' AND NOT EXISTS ("
            "SELECT FROM vault.blind_index b WHERE b.party_id = d.party_id"
            " AND b.application_id = d.application_id AND b.kind = $2)",
            list(parties),
            kind,
        )
        return {row["party_id"] for row in rows}

    async def enter_names(self, names: Mapping[str, str], kind: NameKind = "name") -> int:
        """Enter `{party id: name}` of that kind for search, of parties who were made before such
        were entered; how many are new. Who was entered or restricted meanwhile is left as they
        are."""
        found = {party_id: normalise_name(name) for party_id, name in names.items()}
        rows = await self._pool.fetch(
            "INSERT INTO vault.blind_index (kind, digest, party_id, application_id, person_id)"
            " SELECT $3, w.digest, d.party_id, d.application_id, d.person_id"
            " FROM unnest($1::uuid[], $2::bytea[]) AS w (party_id, digest)"
            " JOIN vault.data_key d ON d.party_id = w.party_id AND d.class = 'contact'"
            " ON CONFLICT DO NOTHING RETURNING party_id",
            list(found),
            [self._blind(kind, name) for name in found.values()],
            kind,
        )
        return len(rows)

    async def relink(self, party_id: str, person: str) -> None:
        """Say that a party is another person than was thought; values sealed before stay readable.

        Raises KeyUnavailableError if party or person is unknown, restricted or destroyed.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await self._rows_of(conn, party_id)
            await self._move(conn, rows, party_id, person)

    async def part(self, party_id: str) -> str:
        """Make a party somebody of their own; returns their pseudonym. What was sealed stays
        readable, whatever becomes of the person as whom they were known, and by no number are they
        found to be that person again.

        Raises KeyUnavailableError if the party is unknown, restricted or destroyed.
        """
        person = new_id()
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await self._rows_of(conn, party_id)
            await self._enter(conn, [(person, os.urandom(KEY_BYTES))])
            await self._move(conn, rows, party_id, person)
            await conn.execute(
                "UPDATE vault.blind_index SET digest = $2"
                " WHERE party_id = $1 AND kind = 'id_number'",
                party_id,
                os.urandom(32),  # a digest of nothing, as `unindex` leaves it
            )
        return person

    async def _rows_of(self, conn: Connection, party_id: str) -> list[Record]:
        """A party's data keys, locked. Raises KeyUnavailableError where there are none."""
        rows: list[Record] = await conn.fetch(
            _SELECT_KEYS + " WHERE d.party_id = $1 ORDER BY d.data_key_id FOR UPDATE OF d",
            party_id,
        )
        if not rows:
            raise KeyUnavailableError([f"party {party_id}"])
        return rows

    async def _move(
        self, conn: Connection, rows: Sequence[Record], party_id: str, person: str
    ) -> None:
        """Put a party's data keys under another person's. Raises KeyUnavailableError."""
        target = await self._person_cipher(conn, person)
        for row in rows:
            raw = _unwrap(self._cipher_of(row), row["wrapped"], row["data_key_id"])
            await conn.execute(
                "UPDATE vault.data_key SET person_id = $2, wrapped = $3 WHERE data_key_id = $1",
                row["data_key_id"],
                person,
                _wrap(target, raw, row["data_key_id"]),
            )
            self._cache.pop(row["data_key_id"], None)
        await conn.execute(
            "UPDATE vault.blind_index SET person_id = $2 WHERE party_id = $1", party_id, person
        )

    async def hold(self, person: str, until: datetime) -> None:
        """Keep a person's data at least until then (反洗钱法 Art. 34: 10 years); never shortens."""
        await self._pool.execute(
            "UPDATE vault.person SET retain_until = greatest(retain_until, $2)"
            " WHERE person_id = $1 AND state <> 'destroyed'",
            person,
            until,
        )

    async def destroy(self, person: str, now: datetime, *, on_duty: bool = True) -> Erasure:
        """Delete a person's data by destroying the key, or restrict it while a retention hold runs,
        if the hold is the bank's duty (`on_duty`) and not its habit.

        Other processes may open values for up to CACHE_SECONDS more.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(
                "SELECT retain_until FROM vault.person WHERE person_id = $1 FOR UPDATE", person
            )
            if row is None:
                return Erasure.UNKNOWN
            until = row["retain_until"]
            held = on_duty and until is not None and until > now
            if held:
                await conn.execute(
                    "UPDATE vault.person SET state = 'restricted'"
                    " WHERE person_id = $1 AND state = 'active'",
                    person,
                )
            else:
                await _end_key(conn, person, now)
        self._forget(person)
        return Erasure.RESTRICTED if held else Erasure.DESTROYED

    async def released(
        self, now: datetime, *, after: str | None = None, limit: int = 500
    ) -> list[tuple[str, datetime]]:
        """Persons whose retention term has ended and whose key is still there, with that term, in
        the order of their pseudonyms behind `after`."""
        rows = await self._pool.fetch(
            "SELECT p.person_id::text AS person, p.retain_until FROM vault.person p"
            " JOIN vault.person_key USING (person_id)"
            " WHERE p.retain_until <= $1 AND ($2::uuid IS NULL OR p.person_id > $2::uuid)"
            " ORDER BY p.person_id LIMIT $3",
            now,
            after,
            limit,
        )
        return [(row["person"], row["retain_until"]) for row in rows]

    async def applications_of(self, person: str) -> list[str]:
        """The applications in which somebody has keys; none for who is restricted."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT application_id::text AS id FROM vault.data_key WHERE person_id = $1",
            person,
        )
        return [row["id"] for row in rows]

    async def destroy_ended(self, person: str, now: datetime, ended: Collection[str]) -> bool:
        """Destroy the key of somebody whose retention term is over and all of whose applications
        are among `ended`; whether it is gone, now or from before.

        Somebody who applies anew at the same moment is not destroyed, or is new to the vault.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(
                "SELECT state, retain_until FROM vault.person WHERE person_id = $1 FOR UPDATE",
                person,
            )
            if row is None or row["state"] == "destroyed":
                return True
            if row["retain_until"] is None or row["retain_until"] > now:
                return False
            further = await conn.fetchval(
                "SELECT EXISTS (SELECT FROM vault.data_key"
                " WHERE person_id = $1 AND application_id <> ALL ($2::uuid[]))",
                person,
                list(ended),
            )
            if further:
                return False
            await _end_key(conn, person, now)
        self._forget(person)
        return True

    async def rotate(self, limit: int = 500) -> int:
        """Wrap up to `limit` persons' keys anew under the current bank key; 0 when all are done."""
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await conn.fetch(
                "SELECT person_id::text AS person_id, bank_key_id, wrapped FROM vault.person_key"
                " WHERE bank_key_id <> $1 ORDER BY person_id LIMIT $2 FOR UPDATE SKIP LOCKED",
                self._bank_key.current_id,
                limit,
            )
            for row in rows:
                person = row["person_id"]
                key = self._bank_key.unwrap(row["wrapped"], person, row["bank_key_id"])
                await conn.execute(
                    "UPDATE vault.person_key SET bank_key_id = $2, wrapped = $3"
                    " WHERE person_id = $1",
                    person,
                    self._bank_key.current_id,
                    self._bank_key.wrap(key, person),
                )
        return len(rows)

    async def _persons_of(self, conn: Connection, digests: set[bytes]) -> dict[bytes, str]:
        """{digest of an ID number: person} of those who are known. Nobody else makes a person of
        these numbers until the transaction ends: two applications of one newcomer at the same
        moment must meet in one person."""
        if not digests:
            return {}
        locks = sorted({int.from_bytes(one[:8], "big", signed=True) for one in digests})
        await conn.execute(
            "SELECT pg_advisory_xact_lock(lock) FROM unnest($1::bigint[]) WITH ORDINALITY"
            " AS w (lock, nth) ORDER BY nth",
            locks,
        )
        rows = await conn.fetch(_PERSONS, list(digests))
        return {row["digest"]: row["person_id"] for row in rows}

    async def _person_cipher(self, conn: Connection, person: str) -> AESGCM:
        """The person's key, locked against destruction until the transaction ends."""
        return (await self._person_ciphers(conn, {person}))[person]

    async def _person_ciphers(self, conn: Connection, persons: set[str]) -> dict[str, AESGCM]:
        """{person: their key}, locked against destruction until the transaction ends.

        Raises KeyUnavailableError.
        """
        if not persons:
            return {}
        rows = await conn.fetch(
            "SELECT p.person_id::text AS person_id, k.bank_key_id, k.wrapped FROM vault.person p"
            " JOIN vault.person_key k USING (person_id)"
            " WHERE p.person_id = ANY ($1::uuid[]) AND p.state = 'active'"
            " ORDER BY p.person_id FOR UPDATE OF p",
            list(persons),
        )
        lost = persons - {row["person_id"] for row in rows}
        if lost:
            raise KeyUnavailableError([f"person {person}" for person in lost])
        return {
            row["person_id"]: AESGCM(
                self._bank_key.unwrap(row["wrapped"], row["person_id"], row["bank_key_id"])
            )
            for row in rows
        }

    async def _enter(self, conn: Connection, newcomers: Sequence[tuple[str, bytes]]) -> None:
        """New persons with their keys."""
        persons = [person for person, _ in newcomers]
        await conn.execute(
            "INSERT INTO vault.person (person_id) SELECT * FROM unnest($1::uuid[])", persons
        )
        await conn.execute(
            "INSERT INTO vault.person_key (person_id, bank_key_id, wrapped)"
            " SELECT w.person, $2, w.wrapped"
            " FROM unnest($1::uuid[], $3::bytea[]) AS w (person, wrapped)",
            persons,
            self._bank_key.current_id,
            [self._bank_key.wrap(key, person) for person, key in newcomers],
        )

    async def _index(
        self,
        conn: Connection,
        person: str,
        party_id: str,
        application_id: str,
        values: Mapping[IndexKind, str],
    ) -> None:
        for kind, value in values.items():
            await conn.execute(
                "INSERT INTO vault.blind_index (kind, digest, party_id, application_id, person_id)"
                " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (party_id, application_id, kind)"
                " DO UPDATE SET digest = excluded.digest",
                kind,
                self._blind(kind, value),
                party_id,
                application_id,
                person,
            )

    def _blind(self, kind: IndexKind, value: str) -> bytes:
        """By what a value is found; of a name, whichever of somebody's names it is."""
        return self._bank_key.blind("name" if kind == "chinese_name" else kind, value)

    def _unwrap(self, row: Record) -> DataKey:
        raw = _unwrap(self._cipher_of(row), row["wrapped"], row["data_key_id"])
        key = DataKey(
            row["data_key_id"],
            row["party_id"],
            row["application_id"],
            DataClass(row["class"]),
            AESGCM(raw),
        )
        self._remember(row["person_id"], key)
        return key

    def _cipher_of(self, row: Record) -> AESGCM:
        return AESGCM(
            self._bank_key.unwrap(row["person_wrapped"], row["person_id"], row["bank_key_id"])
        )

    def _remember(self, person: str, key: DataKey) -> None:
        self._cache.pop(key.data_key_id, None)  # the cache is in the order of ages
        if len(self._cache) >= _CACHE_KEYS:
            del self._cache[next(iter(self._cache))]
        self._cache[key.data_key_id] = (self._monotonic() + CACHE_SECONDS, person, key)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(CACHE_SECONDS, self._let_go)

    def _let_go(self) -> None:
        """Keep no key beyond its time, in a service that has nothing to do either."""
        now = self._monotonic()
        while self._cache:
            oldest = next(iter(self._cache))
            left = self._cache[oldest][0] - now
            if left > 0:
                self._sweep = asyncio.get_running_loop().call_later(left, self._let_go)
                return
            del self._cache[oldest]
        self._sweep = None

    def _forget(self, person: str) -> None:
        for data_key_id in [k for k, (_, owner, _) in self._cache.items() if owner == person]:
            del self._cache[data_key_id]


_PERSONS = (
    "SELECT DISTINCT ON (digest) digest, person_id::text AS person_id FROM vault.blind_index"
    " WHERE kind = 'id_number' AND digest = ANY ($1::bytea[]) ORDER BY digest, party_id"
)
_SELECT_KEYS = (
    "SELECT d.data_key_id::text AS data_key_id, d.person_id::text AS person_id,"
    " d.party_id::text AS party_id, d.application_id::text AS application_id, d.class, d.wrapped,"
    " k.bank_key_id, k.wrapped AS person_wrapped"
    " FROM vault.data_key d JOIN vault.person_key k USING (person_id)"
)


async def _end_key(conn: Connection, person: str, now: datetime) -> None:
    await conn.execute("DELETE FROM vault.person_key WHERE person_id = $1", person)
    await conn.execute(
        "UPDATE vault.person SET state = 'destroyed', ended_at = $2"
        " WHERE person_id = $1 AND state <> 'destroyed'",
        person,
        now,
    )


def _associated(party_id: str, field_name: str) -> bytes:
    return f"{party_id}|{field_name}".encode()


def _wrap(cipher: AESGCM, key: bytes, data_key_id: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, key, data_key_id.encode())


def _unwrap(cipher: AESGCM, wrapped: bytes, data_key_id: str) -> bytes:
    try:
        return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], data_key_id.encode())
    except InvalidTag:
        raise SealBrokenError(f"data key {data_key_id} was altered") from None


def _index_values(
    id_number: str | None, mobile: str | None, name: str | None, chinese_name: str | None
) -> dict[IndexKind, str]:
    values: dict[IndexKind, str] = {}
    if id_number:
        values["id_number"] = normalise_resident_id(id_number)
    if mobile:
        values["mobile"] = mobile.strip()
    if name and (plain := normalise_name(name)):
        values["name"] = plain
    if chinese_name and (plain := normalise_name(chinese_name)):
        values["chinese_name"] = plain
    return values
