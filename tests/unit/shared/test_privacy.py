"""Sealed values, masks, the bank key, and JWE from partners."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.privacy import masking
from shared.privacy.bank_key import BankKey, BankKeyError
from shared.privacy.jwe import JweError, OfficeKeys, encrypt, looks_like_jwe, new_key_set
from shared.privacy.passing import PassingKey
from shared.privacy.sealing import Sealed
from shared.privacy.vault import SealBrokenError

SEALED = "bk1.01890a5d-ac96-774b-bcce-b302099a8057." + "A" * 40


class Carrier(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    name: Sealed


def test_a_payload_carries_only_sealed_values() -> None:
    carrier = Carrier.model_validate_json(json.dumps({"name": SEALED}))
    assert isinstance(carrier.name, Sealed)
    assert carrier.name.parts.data_key_id == "01890a5d-ac96-774b-bcce-b302099a8057"
    assert json.loads(carrier.model_dump_json()) == {"name": SEALED}
    assert Carrier.model_json_schema()["properties"]["name"]["pattern"].startswith("^bk1")


@pytest.mark.parametrize(
    "clear", ["张三", "13800001234", "", "bk1.x.y", SEALED + "\n", SEALED + "="]
)
def test_clear_text_is_refused_and_not_repeated(clear: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Carrier.model_validate({"name": clear})
    if len(clear) > 2:
        assert clear not in str(refused.value)
    with pytest.raises(ValueError, match="not a sealed value"):
        Sealed(clear)


def test_masks() -> None:
    assert masking.mask_mobile("13800001234") == "138****1234"
    assert masking.mask_id_number("110101199001010012") == "110***********0012"
    assert masking.mask_id_number("USA110085030412") == "USA********0412"
    assert masking.mask_id_number("TR1234567") == "******567"
    assert masking.mask_id_number("123456") == masking.HIDDEN
    assert masking.mask_card("6200000000001234") == "**** 1234"
    assert masking.mask_name("张三") == "张*"
    assert masking.mask_email("lisi@example.cn") == "l***@example.cn"
    assert masking.mask_address("广东省深圳市南山区示例路一号").startswith("广东省深圳市****")


@given(st.text(max_size=60))
def test_a_mask_never_shows_more_than_part_of_a_value(text: str) -> None:
    for mask in (
        masking.mask_mobile,
        masking.mask_id_number,
        masking.mask_card,
        masking.mask_name,
        masking.mask_email,
        masking.mask_address,
    ):
        shown = mask(text)
        assert "*" in shown
        assert len(text) < 4 or text not in shown


def test_a_bank_key_is_read_in_base64_and_hex() -> None:
    raw = bytes(range(32))
    written = [
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
    ]
    assert len({BankKey.from_secret(text).current_id for text in written}) == 1
    for wrong in ("", "short", base64.b64encode(raw[:16]).decode(), "!" * 44):
        with pytest.raises(BankKeyError):
            BankKey.from_secret(wrong)


def test_a_wrapped_key_belongs_to_its_person_and_bank_key() -> None:
    bank, other = BankKey([b"1" * 32]), BankKey([b"2" * 32])
    wrapped = bank.wrap(b"k" * 32, "person")
    assert bank.unwrap(wrapped, "person", bank.current_id) == b"k" * 32
    with pytest.raises(BankKeyError):
        bank.unwrap(wrapped, "somebody else", bank.current_id)
    with pytest.raises(BankKeyError):
        other.unwrap(wrapped, "person", bank.current_id)
    assert bank.blind("mobile", "1") != bank.blind("id_number", "1")


def test_a_partner_s_field_opens_under_the_old_and_the_new_office_key() -> None:
    old = new_key_set()
    token = encrypt("张三", OfficeKeys.from_secret(old).public_jwks())
    rotated = OfficeKeys.from_secret(new_key_set(old))
    assert rotated.decrypt(token) == "张三"
    assert rotated.decrypt(encrypt("李四", rotated.public_jwks())) == "李四"
    assert looks_like_jwe(token)
    with pytest.raises(JweError, match="unknown_key"):
        OfficeKeys.from_secret(new_key_set()).decrypt(token)


def test_a_paper_travels_as_jwe_too() -> None:
    keys = OfficeKeys.from_secret(new_key_set())
    paper = bytes(range(256)) * 1500
    assert keys.decrypt_bytes(encrypt(paper, keys.public_jwks())) == paper


def test_published_keys_have_no_private_part() -> None:
    assert '"d"' not in json.dumps(OfficeKeys.from_secret(new_key_set()).public_jwks())


@pytest.mark.parametrize("clear", ["张三", "13800001234", "a.b.c.d.e", "....", "", "e30.b.c.d"])
def test_a_clear_field_is_told_apart(clear: str) -> None:
    with pytest.raises(JweError) as refused:
        OfficeKeys.from_secret(new_key_set()).decrypt(clear)
    assert refused.value.code == "clear"


def test_other_algorithms_and_altered_tokens_are_refused() -> None:
    secret = new_key_set()
    keys = OfficeKeys.from_secret(secret)
    public = keys.public_jwks()
    token = encrypt("张三", public)
    head, rest = token.rsplit(".", 1)
    with pytest.raises(JweError, match="broken"):
        keys.decrypt(f"{head}.{'A' * len(rest)}")
    weaker = joserfc_jwe.encrypt_compact(
        {"alg": "ECDH-ES", "enc": "A128GCM", "kid": public["keys"][0]["kid"]},
        b"x",
        ECKey.import_key(public["keys"][0]),
        algorithms=["ECDH-ES", "A128GCM"],
    )
    with pytest.raises(JweError, match="algorithm"):
        keys.decrypt(weaker)


def test_a_key_file_that_is_none_is_refused() -> None:
    for wrong in ("", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AA"}]}'):
        with pytest.raises(ValueError, match=r"office"):
            OfficeKeys.from_secret(wrong)


def test_a_passing_key_opens_each_part_where_it_belongs_and_by_the_bank_key_alone() -> None:
    bank = BankKey([b"k" * 32])
    key = PassingKey.make(bank, "table-1")
    sealed = key.seal("2", "司徒望月")
    assert "司徒".encode() not in sealed
    assert key.seal("2", "司徒望月") != sealed
    again = PassingKey.unwrap(bank, "table-1", key.bank_key_id, key.wrapped)
    assert again.open("2", sealed) == "司徒望月"
    for wrong in (("3", sealed), ("2", sealed[:-1] + bytes([sealed[-1] ^ 1]))):
        with pytest.raises(SealBrokenError):
            again.open(*wrong)
    for subject, other in (("table-2", bank), ("table-1", BankKey([b"x" * 32]))):
        with pytest.raises(BankKeyError):
            PassingKey.unwrap(other, subject, key.bank_key_id, key.wrapped)
    assert "_cipher" not in repr(key)
