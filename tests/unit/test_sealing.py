"""Sealed values open where they belong, and nowhere else."""

import json
import pickle
import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kintsugi.sealing import BLOCK, ERASED, DataKey, Erased, SealError, seal, unseal
from kintsugi_contracts.base import Plaintext, Purpose, Sealed

FOLDER = Path(__file__).parents[2] / "contracts" / "sealing"
VECTORS: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))

SUBJECT = "case/0b6f3e0a-58b1-4c58-9d0e-6f5a2f0a9c11"
ORIGIN = {
    "source": "/xa/intake",
    "id": "0190a3f2-7c1e-7b3a-9a44-000000000001",
    "type": "kintsugi.case.opened.v1",
}
KEY = DataKey("k1", bytes(range(32)))


class Names(Plaintext):
    preferred_name: str
    surname: str | None = None


def sealed_with(key: DataKey = KEY, plaintext: Plaintext | bytes = b'{"a":1}', purpose: str = "contact") -> Sealed:
    return Sealed(**ORIGIN, **seal(plaintext, key=key, subject=SUBJECT, purpose=purpose, **ORIGIN), purpose=purpose)


def value_of(vector: dict[str, Any]) -> Sealed:
    return Sealed(**{field: vector[field] for field in ("kid", "ct", "source", "id", "type")})


def key_of(vector: dict[str, Any]) -> DataKey:
    return DataKey(vector["kid"], bytes.fromhex(vector["key_hex"]))


@pytest.mark.parametrize("vector", VECTORS["opens"], ids=lambda vector: vector["name"])
def test_every_published_vector_opens(vector: dict[str, Any]) -> None:
    opened = unseal(value_of(vector), key_of(vector), vector["subject"], vector["purpose"])
    assert opened.decode() == vector["plaintext"]


@pytest.mark.parametrize("vector", VECTORS["opens"], ids=lambda vector: vector["name"])
def test_sealing_again_with_the_published_nonce_gives_the_published_text(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kintsugi.sealing.os.urandom", lambda _: bytes.fromhex(vector["nonce_hex"]))
    origin = {field: vector[field] for field in ("source", "id", "type", "subject", "purpose")}
    assert seal(vector["plaintext"].encode(), key=key_of(vector), **origin)["ct"] == vector["ct"]


@pytest.mark.parametrize("vector", VECTORS["fails"], ids=lambda vector: vector["name"])
def test_no_altered_or_moved_vector_opens(vector: dict[str, Any]) -> None:
    with pytest.raises(SealError):
        unseal(value_of(vector), key_of(vector), vector["subject"], vector["purpose"])


def test_the_committed_vectors_are_what_the_generator_writes() -> None:
    assert runpy.run_path(str(FOLDER / "generate.py"))["vectors"]() == VECTORS


def test_a_model_is_sealed_as_json_without_absent_fields() -> None:
    opened = unseal(sealed_with(plaintext=Names(preferred_name="Şirin"), purpose="identity"), KEY, SUBJECT, "identity")
    assert opened.decode() == '{"preferred_name":"Şirin"}'


def test_a_purpose_may_be_given_as_the_contract_enum() -> None:
    assert unseal(sealed_with(purpose=Purpose.contact), KEY, SUBJECT, "contact") == b'{"a":1}'


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=600), max_size=4))
def test_any_object_comes_back_and_its_length_shows_blocks_only(value: dict[str, str]) -> None:
    text = json.dumps(value, ensure_ascii=True).encode()
    sealed = sealed_with(plaintext=text)
    assert unseal(sealed, KEY, SUBJECT, "contact") == text
    blocks = -(-len(text) // BLOCK)
    assert len(sealed.ct) == -(-(12 + blocks * BLOCK + 16) * 4 // 3)


def test_the_same_value_sealed_twice_looks_different() -> None:
    assert sealed_with().ct != sealed_with().ct


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_single_altered_byte_opens(position: int, change: int) -> None:
    import base64

    sealed = sealed_with()
    raw = bytearray(base64.urlsafe_b64decode(sealed.ct + "=" * (-len(sealed.ct) % 4)))
    raw[position % len(raw)] ^= change
    altered = sealed.model_copy(update={"ct": base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()})
    with pytest.raises(SealError) as refused:
        unseal(altered, KEY, SUBJECT, "contact")
    assert refused.value.code == "not_authentic"


@pytest.mark.parametrize(
    "moved",
    [
        {"source": "/xa/referral"},
        {"id": "0190a3f2-7c1e-7b3a-9a44-000000000002"},
        {"type": "kintsugi.case.closed.v1"},
    ],
    ids=lambda moved: next(iter(moved)),
)
def test_a_value_moved_to_another_event_does_not_open(moved: dict[str, str]) -> None:
    with pytest.raises(SealError, match="not_authentic"):
        unseal(sealed_with().model_copy(update=moved), KEY, SUBJECT, "contact")


def test_a_value_moved_to_another_subject_or_purpose_does_not_open() -> None:
    with pytest.raises(SealError, match="not_authentic"):
        unseal(sealed_with(), KEY, SUBJECT[:-1] + "2", "contact")
    with pytest.raises(SealError, match="not_authentic"):
        unseal(sealed_with(), KEY, SUBJECT, "identity")


def test_another_key_is_named_as_such_before_anything_is_opened() -> None:
    with pytest.raises(SealError) as refused:
        unseal(sealed_with(), DataKey("k2", bytes(range(32))), SUBJECT, "contact")
    assert refused.value.code == "kid_mismatch"


@pytest.mark.parametrize("subject", ["", "case/a|contact", "case/ş", "case/a b", "case/\x00", "c" * 201])
def test_a_field_that_could_be_mistaken_in_the_associated_data_is_refused(subject: str) -> None:
    with pytest.raises(SealError) as refused:
        seal(b"{}", key=KEY, subject=subject, purpose="contact", **ORIGIN)
    assert refused.value.code == "field_refused"


@pytest.mark.parametrize("plaintext", [b"", b'{"a":1} ', b"null", b"\x00"])
def test_only_a_json_object_is_sealed(plaintext: bytes) -> None:
    with pytest.raises(SealError) as refused:
        sealed_with(plaintext=plaintext)
    assert refused.value.code == "malformed"


@pytest.mark.parametrize("ct", ["", "A", "AAAA", "é" * 400, "A" * 379 + "\n", "====", "A" * 376])
def test_what_is_not_the_format_is_malformed(ct: str) -> None:
    with pytest.raises(SealError) as refused:
        unseal(sealed_with().model_copy(update={"ct": ct}), KEY, SUBJECT, "contact")
    assert refused.value.code == "malformed"


def test_errors_and_keys_show_no_value() -> None:
    secret = b'{"name":"Canary Vale"}'
    sealed = sealed_with(plaintext=secret)
    with pytest.raises(SealError) as refused:
        unseal(sealed, KEY, SUBJECT, "identity")
    assert "Canary" not in str(refused.value)
    assert sealed.ct not in str(refused.value)
    assert repr(KEY) == "DataKey(kid='k1')"
    with pytest.raises(TypeError, match="stays in the memory"):
        pickle.dumps(KEY)


def test_a_data_key_has_32_bytes() -> None:
    with pytest.raises(SealError, match="32 bytes, not 16"):
        DataKey("k1", bytes(16))


def test_erased_is_a_falsy_value_equal_to_itself() -> None:
    assert not ERASED
    assert Erased() == ERASED
    assert len({Erased(), ERASED}) == 1
    with pytest.raises(AttributeError):
        ERASED.value = "x"  # type: ignore[attr-defined]
