"""Two partners who put together what they received find no case in common, and nobody comes back from an id."""

import base64
import hashlib
import hmac
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from joserfc import jwe
from joserfc.errors import JoseError
from kintsugi.agenda import Message
from kintsugi.secrets import make_key_file
from kintsugi.settings import Profile, Settings, SettingsError
from kintsugi.testing import Given, Scenario
from kintsugi_share import partners as module
from kintsugi_share.handlers import service
from kintsugi_share.partners import RecordUnfit
from kintsugi_share.state import CaseFile

from services.share.tests.share_examples import (
    AWARDS,
    COMPENSATION,
    FUND,
    NOW,
    REGISTRY,
    ROOT,
    WAGES,
    agreed,
    assessed,
    left,
    message_of,
    opened,
    opened_by,
    pack,
    partners,
    private_key,
    record_of,
    scenario,
    stream,
    withdrawn,
)

CASE = "case/00000000-0000-4000-8000-000000000001"
CASES = [f"case/00000000-0000-4000-8000-{number:012d}" for number in range(2_000)]
SHARED_BY_ALL = {"ce_specversion", "ce_source", "ce_time", "ce_dataclassification", "content-type"}
"""Headers that say nothing of a case; the time is that of a minute."""


def both() -> Given[CaseFile]:
    return scenario().given(opened(), assessed("legal_aid"), agreed(), agreed(FUND, id_="consent-2"))


def tombstones(given: Given[CaseFile]) -> list[Message]:
    found = [given.prepared(purge.entry) for purge in given.state.purges.values()]
    assert all(isinstance(each, Message) for each in found)
    return found  # type: ignore[return-value]


def test_no_id_key_header_or_ciphertext_of_one_partner_is_found_at_the_other() -> None:
    given = both()
    ended = left(left(given), AWARDS).when(withdrawn(None, id_="all")).given
    ours = [message_of(given, WAGES), *(m for m in tombstones(ended) if REGISTRY in m.to.get_secret_value())]
    theirs = [message_of(given, AWARDS), *(m for m in tombstones(ended) if COMPENSATION in m.to.get_secret_value())]
    assert len(ours) == len(theirs) == 2
    assert not tokens(ours) & tokens(theirs)


def tokens(messages: list[Message]) -> set[str]:
    """Every value of a partner's records that could be an identifier: long words, wherever they stand."""
    found: set[str] = set()
    for message in messages:
        said = {name: value for name, value in message.headers.items() if name not in SHARED_BY_ALL | {"ce_purgedue"}}
        text = " ".join([message.subject.get_secret_value(), message.body.get_secret_value(), *said.values()])
        found |= set(re.findall(r"[A-Za-z0-9_=-]{12,}", text))
    return found - {"casework_type", "opened_month", "from_25_to_39", "trafficking", "dataclassification"}


def test_the_test_of_joining_finds_an_id_that_two_partners_share() -> None:
    one = message_of(both(), WAGES)
    other = one.model_copy(
        update={"headers": {**one.headers, "ce_causationid": "0197a3f2-7c1e-7b3a-9a44-000000000001"}}
    )
    again = one.model_copy(update={"headers": {"ce_causationid": "0197a3f2-7c1e-7b3a-9a44-000000000001"}})
    assert tokens([other]) & tokens([again])


def test_neither_order_nor_distance_nor_common_bits_tie_the_ids_of_two_partners() -> None:
    made = partners()
    one, other = ([made.ref(name, case) for case in CASES] for name in (REGISTRY, COMPENSATION))
    assert len(set(one) | set(other)) == 2 * len(CASES)
    assert all(re.fullmatch(r"[a-z2-7]{26}", ref) for ref in one)
    rank = {ref: number for number, ref in enumerate(sorted(other))}
    by_order = [rank[second] for _, second in sorted(zip(one, other, strict=True))]
    rising = sum(1 for a, b in pairwise(by_order) if a < b) / (len(by_order) - 1)
    assert 0.45 < rising < 0.55, "the order of one partner's ids says something about the other's"
    equal = sum(a == b for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))
    assert 0.02 < equal / (26 * len(CASES)) < 0.045, "more letters in common than chance gives (one in 32)"


def test_an_id_is_the_same_for_ever_and_only_with_the_office_s_secret() -> None:
    assert partners().ref(REGISTRY, CASE) == partners().ref(REGISTRY, CASE)
    assert partners().ref(REGISTRY, CASE) != partners(b"t" * 32).ref(REGISTRY, CASE)


def test_who_knows_every_case_and_the_rule_but_not_the_secret_finds_no_id() -> None:
    wanted = partners().ref(REGISTRY, CASE)
    guesses = [b"", b"kintsugi", REGISTRY.encode(), b"xa", b"\0" * 32, os.urandom(32)]
    tried = {
        base64.b32encode(digest[:16]).decode().rstrip("=").lower()
        for key in guesses
        for said in (CASE, CASE.removeprefix("case/"), f"{REGISTRY}|{CASE}", f"xa|{REGISTRY}|{CASE}")
        for digest in (
            hmac.digest(key, said.encode(), "sha256"),
            hashlib.sha256(key + said.encode()).digest(),
            hashlib.blake2b(said.encode(), key=key[:64]).digest(),
        )
    }
    assert wanted not in tried
    assert wanted not in {partners(guess.ljust(32, b"\0")).ref(REGISTRY, CASE) for guess in guesses}


def test_the_digest_of_a_few_coarse_codes_cannot_be_tried_without_the_secret_either() -> None:
    case = opened(sealed={})
    digests = [
        stream(Scenario(service, pack(), now=NOW, resources=partners(secret)).given(case, agreed())).digest
        for secret in (b"s" * 32, b"s" * 32, b"t" * 32)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_the_secret_never_shows() -> None:
    assert "ssss" not in repr(partners())


class TestWhatIsSealed:
    def test_only_the_partner_s_own_key_opens_it(self) -> None:
        sealed = {key: record_of(both(), key)["sealed"]["identity"] for key in (WAGES, AWARDS)}
        assert opened_by(REGISTRY, sealed[WAGES])["preferred_name"] == "Amara"
        for text, other in ((sealed[WAGES], COMPENSATION), (sealed[AWARDS], REGISTRY)):
            with pytest.raises(JoseError):
                jwe.decrypt_compact(text, private_key(other))

    def test_it_names_its_algorithms_and_the_key_and_nothing_else(self) -> None:
        text = record_of(both())["sealed"]["identity"]
        header = jwe.decrypt_compact(text, private_key(REGISTRY)).headers()
        assert header.keys() == {"alg", "enc", "kid", "epk"}
        assert (header["alg"], header["enc"]) == ("ECDH-ES", "A256GCM")
        assert header["kid"] == private_key(REGISTRY).thumbprint()

    def test_it_says_whose_it_is_so_that_it_cannot_be_moved_to_another_record(self) -> None:
        given = both()
        for key, name in ((WAGES, REGISTRY), (AWARDS, COMPENSATION)):
            assert (
                opened_by(name, record_of(given, key)["sealed"]["identity"])["case"] == stream(given, key).recipient_ref
            )

    def test_a_changed_byte_does_not_open(self) -> None:
        head, key, iv, text, tag = record_of(both())["sealed"]["identity"].split(".")
        spoiled = ".".join([head, key, iv, ("B" if text[0] != "B" else "C") + text[1:], tag])
        with pytest.raises(JoseError):
            jwe.decrypt_compact(spoiled, private_key(REGISTRY))

    def test_its_length_says_nothing_of_a_name(self) -> None:
        made, ref = partners(), partners().ref(REGISTRY, CASE)
        lengths = {
            len(made.seal(WAGES, {"case": ref, "preferred_name": name}).split(".")[3]) for name in ("Ay", "Ñ" * 40)
        }
        assert lengths == {342}


class TestARecordThatBreaksTheContract:
    def test_it_is_a_fault_that_names_the_place_and_not_the_value(self) -> None:
        with pytest.raises(RecordUnfit) as refused:
            partners().check(WAGES, {"case": "XA-7F3K2M9Q", "revision": 1, "status": "open", "real_name": "Amara"})
        assert "case: pattern" in str(refused.value)
        assert "additionalProperties" in str(refused.value)
        assert "Amara" not in str(refused.value)

    def test_nor_is_an_unfit_plaintext_sealed(self) -> None:
        with pytest.raises(RecordUnfit):
            partners().seal(WAGES, {"case": partners().ref(REGISTRY, CASE), "phone": "+999 70 100 000"})


class TestStarting:
    def settings(self, folder: Path, **changes: object) -> Settings:
        key = folder / "share.key"
        make_key_file(key)
        plain = {
            "country": "xa", "countries": ROOT / "countries", "contracts": ROOT / "contracts", "bootstrap": "b:1",
            "database_url": "postgresql://x", "keyring_url": "postgresql://x", "http_port": 1,
            "jwt_public_key": folder / "jwt", "share_key": key,
        }  # fmt: skip
        return Settings(**{**plain, **changes})  # type: ignore[arg-type]

    def sample(self) -> object:
        from dataclasses import replace

        return replace(pack(), integrators=pack().integrators[:1])

    def test_it_starts_with_the_published_contracts(self, tmp_path: Path) -> None:
        made = module.partners(self.settings(tmp_path), self.sample())  # type: ignore[arg-type]
        assert list(made.contracts) == [WAGES]

    def test_it_does_not_start_without_its_secret(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="KINTSUGI_SHARE_KEY"):
            module.partners(self.settings(tmp_path, share_key=None), self.sample())  # type: ignore[arg-type]

    def test_in_production_it_does_not_start_with_a_sample_partner(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="labour-registry, a sample"):
            module.partners(self.settings(tmp_path, profile=Profile.production), self.sample())  # type: ignore[arg-type]

    def test_it_does_not_start_where_a_partner_reads_by_another_contract(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"compensation-fund/awards/v1\.schema\.json is not what"):
            module.partners(self.settings(tmp_path), pack())


def test_a_partner_who_had_nothing_is_told_nothing() -> None:
    given = scenario().given(opened(), agreed())
    given = left(given).when(withdrawn(None, id_="all")).given
    assert {purge.integrator for purge in given.state.purges.values()} == {REGISTRY}
