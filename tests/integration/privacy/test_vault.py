"""Who can open what, what a destroyed key leaves behind, and that nothing lies in clear."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from shared.formats import make_synthetic_resident_id
from shared.identifiers import new_id
from shared.privacy import vault as vault_module
from shared.privacy.bank_key import BankKey
from shared.privacy.sealing import DataClass, Sealed
from shared.privacy.vault import (
    CACHE_SECONDS,
    Erasure,
    KeyUnavailableError,
    NewParty,
    PartyKeys,
    SealBrokenError,
    Vault,
)
from shared.privacy.vault_database import (
    migrate_vault,
    open_vault,
    read_bank_key,
    rotate_bank_key,
)
from shared.settings import SettingsError
from tests.eventually import eventually
from tests.integration.privacy.conftest import VaultWorld

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
ID_NUMBER = make_synthetic_resident_id("11", datetime(1990, 5, 6, tzinfo=UTC).date(), 17)
MOBILE = "13800001234"
CLASSES = {"name": "contact", "mobile": "contact", "id_number": "identity", "employer": "financial"}
CLEAR = {"name": "欧阳示例", "mobile": MOBILE, "id_number": ID_NUMBER, "employer": "示例科技"}


async def _applied(vault: Vault) -> tuple[PartyKeys, dict[str, Sealed]]:
    keys = await vault.new_party(new_id(), id_number=ID_NUMBER, mobile=MOBILE)
    return keys, keys.seal_fields(CLEAR, CLASSES)


async def test_intake_and_review_open_every_class(world: VaultWorld) -> None:
    keys, sealed = await _applied(await world.vault_of("intake"))
    for service in ("intake", "review"):
        vault = await world.vault_of(service)
        assert await vault.open(keys.party_id, sealed) == CLEAR


async def test_notify_opens_contact_and_nothing_else(world: VaultWorld) -> None:
    keys, sealed = await _applied(await world.vault_of("intake"))
    vault = await world.vault_of("notify")
    assert await vault.open(keys.party_id, {"name": sealed["name"]}) == {"name": CLEAR["name"]}
    for field in ("id_number", "employer"):
        with pytest.raises(KeyUnavailableError):
            await vault.open(keys.party_id, {field: sealed[field]})
    opened = await vault.open_parties({keys.party_id: sealed}, leave_out_unavailable=True)
    assert opened == {keys.party_id: {"name": CLEAR["name"], "mobile": MOBILE}}


async def test_reporting_cannot_even_connect(world: VaultWorld) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.vault_of("reporting")


@pytest.mark.parametrize("service", ["review", "notify"])
async def test_only_intake_makes_and_destroys_keys(world: VaultWorld, service: str) -> None:
    keys, _ = await _applied(await world.vault_of("intake"))
    vault = await world.vault_of(service)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await vault.new_party(new_id())
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await vault.destroy(keys.person, NOW)


async def test_review_seals_further_fields_with_the_same_keys(world: VaultWorld) -> None:
    keys, _ = await _applied(await world.vault_of("intake"))
    review = await world.vault_of("review")
    again = await review.party_keys(keys.party_id, keys.application_id)
    sealed = again.seal(DataClass.FINANCIAL, "other_bank_limits", "1200000")
    opened = await (await world.vault_of("intake")).open(
        keys.party_id, {"other_bank_limits": sealed}
    )
    assert opened == {"other_bank_limits": "1200000"}


async def test_a_value_opens_only_for_its_party_and_field(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    one, sealed = await _applied(vault)
    other, _ = await _applied(vault)
    with pytest.raises(SealBrokenError):
        await vault.open(one.party_id, {"mobile": sealed["name"]})
    with pytest.raises(SealBrokenError):
        await vault.open(other.party_id, {"name": sealed["name"]})
    at = len(sealed["name"]) - 4
    altered = (
        sealed["name"][:at] + ("A" if sealed["name"][at] != "A" else "B") + sealed["name"][at + 1 :]
    )
    with pytest.raises(SealBrokenError):
        await vault.open(one.party_id, {"name": altered})


async def test_equal_values_look_different_when_sealed(world: VaultWorld) -> None:
    keys, _ = await _applied(await world.vault_of("intake"))
    assert keys.seal("contact", "name", "李") != keys.seal("contact", "name", "李")


async def test_the_same_id_number_is_the_same_person(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    first, _ = await _applied(vault)
    second = await vault.new_party(new_id(), id_number=f" {ID_NUMBER.lower()} ")
    stranger = await vault.new_party(new_id(), mobile=MOBILE)
    assert (first.known_person, second.known_person) == (False, True)
    assert first.person == second.person
    assert first.party_id != second.party_id
    assert stranger.person != first.person  # a shared telephone does not make one person


async def test_two_first_applications_at_once_meet_in_one_person(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    made = await asyncio.gather(*(vault.new_party(new_id(), id_number=ID_NUMBER) for _ in range(6)))
    assert len({keys.person for keys in made}) == 1


async def test_many_new_parties_are_as_if_each_had_been_made_alone(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    known, _ = await _applied(vault)
    other = make_synthetic_resident_id("31", datetime(1988, 1, 2, tzinfo=UTC).date(), 201)
    wanted = [
        NewParty(new_id(), ID_NUMBER, MOBILE),
        NewParty(new_id(), other, "13900000001"),
        NewParty(new_id(), other.lower()),
        NewParty(new_id(), mobile=MOBILE),
    ]
    made = await vault.new_parties(wanted)
    assert [one.known_person for one in made] == [True, False, True, False]
    assert made[0].person == known.person
    assert made[1].person == made[2].person
    assert len({one.person for one in made}) == 3
    assert [one.application_id for one in made] == [one.application_id for one in wanted]
    for service in ("intake", "review"):
        reader = await world.vault_of(service)
        for one in made:
            sealed = one.seal_fields(CLEAR, CLASSES)
            assert await reader.open(one.party_id, sealed) == CLEAR
    found = {hit.application_id for hit in await vault.find(mobile=MOBILE)}
    assert found == {known.application_id, made[0].application_id, made[3].application_id}
    assert await vault.persons([ID_NUMBER.lower(), other, "110101199003070000"]) == {
        ID_NUMBER: known.person,
        other: made[1].person,
    }
    await vault.destroy(made[1].person, NOW)
    assert await vault.persons([other]) == {}


async def test_many_first_applications_at_once_meet_in_one_person_each(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    numbers = [
        make_synthetic_resident_id("31", datetime(1970, 1, 2, tzinfo=UTC).date(), 300 + n)
        for n in range(8)
    ]
    orders = [numbers, numbers[::-1], numbers[4:] + numbers[:4]]
    made = await asyncio.gather(
        *(vault.new_parties([NewParty(new_id(), one) for one in order]) for order in orders)
    )
    for number in numbers:
        persons = {
            keys.person
            for order, found in zip(orders, made, strict=True)
            for one, keys in zip(order, found, strict=True)
            if one == number
        }
        assert len(persons) == 1


async def test_search_finds_parties_by_phone_and_id_number(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    keys, _ = await _applied(vault)
    for found in (
        await vault.find(mobile=MOBILE),
        await vault.find(id_number=ID_NUMBER),
        await (await world.vault_of("review")).find(id_number=ID_NUMBER),
        await (await world.vault_of("notify")).find(mobile=MOBILE),
    ):
        assert [hit.application_id for hit in found] == [keys.application_id]
    assert await (await world.vault_of("notify")).find(id_number=ID_NUMBER) == []
    await vault.reindex(keys, mobile="13900005678")
    assert await vault.find(mobile=MOBILE) == []
    assert [hit.party_id for hit in await vault.find(mobile="13900005678")] == [keys.party_id]


async def test_a_name_is_found_whole_however_it_is_written(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    first = await vault.new_party(new_id(), name="阿卜杜拉·买买提", mobile=MOBILE)
    second = await vault.new_party(new_id(), name=" 阿卜杜拉•买买提 ")
    found = await vault.find(name="阿卜杜拉．买买提")
    # the latest first
    assert [hit.party_id for hit in found] == [second.party_id, first.party_id]
    assert await vault.find(name="阿卜杜拉") == []
    assert await vault.find(mobile="阿卜杜拉·买买提") == []
    assert await (await world.vault_of("notify")).find(name="阿卜杜拉·买买提") == []
    await vault.reindex(first, name="Anna Müller")
    assert [hit.party_id for hit in await vault.find(name="anna  müller")] == [first.party_id]
    await vault.destroy(second.person, NOW)
    assert await vault.find(name="阿卜杜拉·买买提") == []


async def test_names_are_entered_later_once_and_of_nobody_who_is_gone(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    named = await vault.new_party(new_id(), name="甲一")
    unnamed, gone, locked = [await vault.new_party(new_id()) for _ in range(3)]
    await vault.destroy(gone.person, NOW)
    await vault.hold(locked.person, NOW + timedelta(days=1))
    await vault.destroy(locked.person, NOW)
    everybody = [one.party_id for one in (named, unnamed, gone, locked)]
    assert await vault.unnamed(everybody) == {unnamed.party_id}
    names = dict.fromkeys(everybody, "乙二")
    assert await vault.enter_names(names) == 1
    assert await vault.enter_names(names) == 0
    assert [hit.party_id for hit in await vault.find(name="乙二")] == [unnamed.party_id]
    assert await vault.unnamed(everybody) == set()


async def test_of_a_common_name_the_latest_are_found(
    world: VaultWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = await world.vault_of("intake")
    monkeypatch.setattr(vault_module, "MOST_FOUND", 3)
    made = [await vault.new_party(new_id(), name="王伟") for _ in range(5)]
    found = [hit.party_id for hit in await vault.find(name="王伟")]
    assert found == [one.party_id for one in reversed(made[2:])]


async def test_who_shares_a_mobile_is_found_without_the_number(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    number = "13900007777"
    one, other = [await vault.new_party(new_id(), mobile=number) for _ in range(2)]
    alone = await vault.new_party(new_id(), mobile="13900008888")
    found = await vault.sharing_mobile(one.party_id, one.application_id)
    assert {hit.person for hit in found} == {one.person, other.person}
    [itself] = await vault.sharing_mobile(alone.party_id, alone.application_id)
    assert itself.person == alone.person
    assert await vault.sharing_mobile(one.party_id, alone.application_id) == []
    await vault.destroy(other.person, NOW)
    [left] = await vault.sharing_mobile(one.party_id, one.application_id)
    assert left.person == one.person


async def test_destroying_a_person_leaves_nothing_to_open_or_find(world: VaultWorld) -> None:
    intake = await world.vault_of("intake")
    keys, sealed = await _applied(intake)
    kept = await intake.new_party(new_id())
    kept_sealed = kept.seal("contact", "name", "他人")
    assert await intake.destroy(keys.person, NOW) is Erasure.DESTROYED
    for service in ("intake", "review", "notify"):
        vault = await world.vault_of(service)
        with pytest.raises(KeyUnavailableError):
            await vault.open(keys.party_id, {"name": sealed["name"]})
    with pytest.raises(KeyUnavailableError):  # not even from the cache of who destroyed it
        await intake.open(keys.party_id, {"name": sealed["name"]})
    assert await intake.find(id_number=ID_NUMBER) == []
    assert await intake.open(kept.party_id, {"name": kept_sealed}) == {"name": "他人"}
    assert await intake.destroy(new_id(), NOW) is Erasure.UNKNOWN


async def test_a_retention_hold_restricts_until_it_ends(world: VaultWorld) -> None:
    intake = await world.vault_of("intake")
    keys, sealed = await _applied(intake)
    until = NOW + timedelta(days=3653)
    await intake.hold(keys.person, until)
    await intake.hold(keys.person, NOW)  # never shortens
    assert await intake.destroy(keys.person, NOW) is Erasure.RESTRICTED
    with pytest.raises(KeyUnavailableError):
        await intake.open(keys.party_id, sealed)
    assert await intake.find(mobile=MOBILE) == []
    early = until - timedelta(seconds=1)
    assert await intake.released(early) == []
    assert not await intake.destroy_ended(keys.person, early, [])
    assert await intake.released(until) == [(keys.person, until)]
    assert await intake.destroy_ended(keys.person, until, [])
    assert await intake.released(until) == []
    conn = await asyncpg.connect(world.superuser_url)
    try:
        assert await conn.fetchval("SELECT count(*) FROM vault.person_key") == 0
        assert await conn.fetchval("SELECT count(*) FROM vault.data_key") == 0
        assert await conn.fetchval("SELECT count(*) FROM vault.blind_index") == 0
        assert await conn.fetchval("SELECT state FROM vault.person") == "destroyed"
    finally:
        await conn.close()


async def test_nobody_is_destroyed_while_an_application_of_theirs_goes_on(
    world: VaultWorld,
) -> None:
    intake = await world.vault_of("intake")
    first, sealed = await _applied(intake)
    await intake.hold(first.person, NOW)
    later = await intake.new_party(new_id(), person=first.person)
    assert set(await intake.applications_of(first.person)) == {
        first.application_id,
        later.application_id,
    }
    assert not await intake.destroy_ended(first.person, NOW, [first.application_id])
    assert await intake.open(first.party_id, sealed)
    both = [first.application_id, later.application_id]
    for _ in "twice":
        assert await intake.destroy_ended(first.person, NOW, both)
    with pytest.raises(KeyUnavailableError):
        await intake.open(first.party_id, sealed)


async def test_unwrapped_keys_are_forgotten_after_a_minute(world: VaultWorld) -> None:
    seconds = [0.0]
    intake = await world.vault_of("intake")
    pool = (await world.vault_of("review"))._pool
    review = Vault(pool, read_bank_key(world.settings), lambda: seconds[0])
    keys, sealed = await _applied(intake)
    await review.open(keys.party_id, sealed)
    await intake.destroy(keys.person, NOW)
    seconds[0] = CACHE_SECONDS - 1
    assert await review.open(keys.party_id, sealed) == CLEAR  # the price of the cache
    seconds[0] = CACHE_SECONDS + 1
    with pytest.raises(KeyUnavailableError):
        await review.open(keys.party_id, sealed)


async def test_a_key_does_not_stay_in_memory_beyond_its_time(
    world: VaultWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_module, "CACHE_SECONDS", 0.2)
    vault = await world.vault_of("intake")
    for _ in range(2):  # the sweep is armed again by the next key
        keys, sealed = await _applied(vault)
        assert await vault.open(keys.party_id, sealed) == CLEAR
        assert vault._cache

        async def empty(its: Vault = vault) -> bool:
            return not its._cache

        await eventually(empty)


async def test_the_cache_lets_go_of_the_oldest_when_it_is_full(
    world: VaultWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = await world.vault_of("intake")
    first, _ = await _applied(vault)
    monkeypatch.setattr(vault_module, "_CACHE_KEYS", len(vault._cache))
    second, sealed = await _applied(vault)
    held = {key.party_id for _, _, key in vault._cache.values()}
    assert second.party_id in held
    assert await vault.open(second.party_id, sealed) == CLEAR
    assert len(vault._cache) <= len(first.by_class)


async def test_a_party_linked_to_another_person_stays_readable(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    keys, sealed = await _applied(vault)
    right = await vault.new_party(new_id())
    await vault.relink(keys.party_id, right.person)
    assert await (await world.vault_of("review")).open(keys.party_id, sealed) == CLEAR
    assert (await vault.find(mobile=MOBILE))[0].person == right.person
    await vault.destroy(keys.person, NOW)
    assert await (await world.vault_of("intake")).open(keys.party_id, sealed) == CLEAR


async def test_the_bank_key_can_be_rotated(world: VaultWorld) -> None:
    vault = await world.vault_of("intake")
    keys, sealed = await _applied(vault)
    old = world.settings.secret("bank-key")
    both = BankKey.from_secret(f"{'ab' * 32}\n{old}\n")
    rotated = Vault(vault._pool, both)
    assert await rotated.rotate() == 1
    assert await rotated.rotate() == 0
    assert await rotated.open(keys.party_id, sealed) == CLEAR
    assert [hit.party_id for hit in await rotated.find(mobile=MOBILE)] == [keys.party_id]
    for service in ("intake", "review", "notify"):  # the old key alone no longer opens it
        with pytest.raises(SettingsError, match=f"bank-key: lacks the key {both.current_id}"):
            await world.vault_of(service)


async def test_the_operators_command_wraps_every_key_anew(
    world: VaultWorld, tmp_path: Path
) -> None:
    """The steps of deploy/README.md, while a service runs that has the old file alone."""
    vault = await world.vault_of("intake")
    keys, sealed = await _applied(vault)
    for secret in world.settings.secrets_dir.iterdir():
        (tmp_path / secret.name).write_bytes(secret.read_bytes())
    old = world.settings.secret("bank-key")
    (tmp_path / "bank-key").write_text(f"{'cd' * 32}\n{old}\n", encoding="ascii")
    settings = world.settings.model_copy(update={"secrets_dir": tmp_path})
    assert await rotate_bank_key(settings, database=world.database) == 1
    assert await rotate_bank_key(settings, database=world.database) == 0
    assert await vault.open(keys.party_id, sealed) == CLEAR  # it has the key in hand
    again, pool = await open_vault(settings, "review", database=world.database)
    assert await again.open(keys.party_id, sealed) == CLEAR
    assert [hit.party_id for hit in await again.find(mobile=MOBILE)] == [keys.party_id]
    await pool.close()


@pytest.mark.parametrize("somebody_is_known", [True, False])
async def test_a_key_that_is_added_last_is_refused_because_nobody_would_be_found(
    world: VaultWorld, tmp_path: Path, *, somebody_is_known: bool
) -> None:
    vault = await world.vault_of("intake")
    if somebody_is_known:
        await _applied(vault)
    for secret in world.settings.secrets_dir.iterdir():
        (tmp_path / secret.name).write_bytes(secret.read_bytes())
    old = world.settings.secret("bank-key")
    settings = world.settings.model_copy(update={"secrets_dir": tmp_path})
    began = BankKey.from_secret(old).index_id
    for lines in (f"{old}\n{'ef' * 32}\n", f"{'ef' * 32}\n{old}\n{'ab' * 32}\n"):
        (tmp_path / "bank-key").write_text(lines, encoding="ascii")
        for service in ("intake", "review", "notify"):
            with pytest.raises(SettingsError) as refused:
                await open_vault(settings, service, database=world.database)
            assert f"bank-key: its last line is not the key {began}" in str(refused.value)
            assert "\n" not in str(refused.value)
        with pytest.raises(SettingsError, match="its last line"):
            await rotate_bank_key(settings, database=world.database)
    for service in ("intake", "review", "notify"):  # refused, it has changed nothing
        await world.vault_of(service)


async def test_a_vault_without_the_key_of_its_search_takes_that_of_intake(
    world: VaultWorld,
) -> None:
    """One that was filled before the key was noted; whoever opens it before intake is let in."""
    await _applied(await world.vault_of("intake"))
    conn = await asyncpg.connect(world.superuser_url)
    try:
        await conn.execute("DELETE FROM vault.index_key")
        await world.vault_of("review")
        assert await conn.fetchval("SELECT count(*) FROM vault.index_key") == 0
        await world.vault_of("intake")
        noted = await conn.fetchval("SELECT bank_key_id FROM vault.index_key")
    finally:
        await conn.close()
    assert noted == read_bank_key(world.settings).index_id


async def test_nothing_personal_lies_in_the_vault(world: VaultWorld) -> None:
    await _applied(await world.vault_of("intake"))
    conn = await asyncpg.connect(world.superuser_url)
    try:
        rows: list[str] = []
        for table in ("person", "person_key", "data_key", "blind_index"):
            found = await conn.fetch(f"SELECT t::text FROM vault.{table} t")
            assert found
            rows += [row[0] for row in found]
    finally:
        await conn.close()
    for value in CLEAR.values():
        assert not any(value in row or value.encode().hex() in row for row in rows)


async def test_migrating_again_changes_nothing(world: VaultWorld) -> None:
    assert await migrate_vault(world.settings, database=world.database) == []
