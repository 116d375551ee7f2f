"""Secrets and personal values do not show wherever they are printed."""

import copy
import errno
import logging
import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kintsugi.sealing import DataKey, seal, unseal
from kintsugi.secrets import KeyFileError, Personal, PersonalModel, Secret, make_key_file, read_key_file
from pydantic import BaseModel, ValidationError

NAME, PHONE = "Canary Vale", "+999555010042"


class Contact(PersonalModel):
    name: Personal
    phone: str
    note: Personal | None = None


CONTACT = Contact(name=Personal(NAME), phone=PHONE)


def forms(value: object) -> list[str]:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "%s %r", (value, value), None)
    return [repr(value), str(value), f"{value}", f"{value!s:>40}", repr([value]), record.getMessage()]


@pytest.mark.parametrize("value", [Secret(NAME), Personal(NAME), CONTACT, [CONTACT], {"contact": CONTACT}], ids=repr)
def test_no_text_form_shows_the_value(value: object) -> None:
    for form in forms(value):
        assert NAME not in form
        assert PHONE not in form


def test_dumps_hide_what_is_typed_as_personal() -> None:
    assert NAME not in CONTACT.model_dump_json()
    assert NAME not in str(CONTACT.model_dump())
    assert NAME not in CONTACT.model_dump_json(context={"reveal": "yes"})


def test_sealing_writes_the_value_and_reading_it_hides_it_again() -> None:
    key = DataKey("k1", bytes(32))
    origin = {"source": "/xa/intake", "id": "i", "type": "t"}
    wire = seal(CONTACT, key=key, subject="case/s", purpose="contact", **origin)

    class Value(BaseModel):
        kid: str
        ct: str
        source: str
        id: str
        type: str

    opened = unseal(Value(**wire, **origin), key, "case/s", "contact")
    assert opened.decode() == f'{{"name":"{NAME}","phone":"{PHONE}"}}'
    read = Contact.model_validate_json(opened)
    assert read.name.reveal() == NAME
    assert NAME not in repr(read)


def test_a_refused_personal_value_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Contact.model_validate({"name": [NAME], "phone": {"number": PHONE}})
    assert NAME not in str(refused.value)
    assert PHONE not in str(refused.value)


def test_a_secret_is_not_pickled_or_copied() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret("x"))
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.copy(Secret("x"))


def test_whoever_makes_a_secret_file_at_the_same_time_finds_it_whole(tmp_path: Path) -> None:
    def make(number: int) -> bytes:
        path = tmp_path / str(number // 4)
        make_key_file(path)
        return path.read_bytes()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(make, range(400)))
    assert {len(each) for each in found} == {45}
    assert len(set(found)) == 100
    assert len(list(tmp_path.iterdir())) == 100, "no draft is left behind"


def test_a_disk_that_is_full_leaves_no_half_of_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        make_key_file(tmp_path / "kek.key")
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_is_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "contact.key"
    make_key_file(path)
    first = read_key_file(path)
    make_key_file(path)
    assert (len(first), read_key_file(path)) == (32, first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (b"AAAA", 0o600, "holds 3 bytes, not 32"),
        (b"canary secret!", 0o600, "is not base64"),
        (b"AAAA", 0o640, "chmod 600"),
        (None, 0, "cannot be read"),
    ],
)
def test_an_unusable_key_file_is_named_with_its_mend(
    tmp_path: Path, content: bytes | None, mode: int, says: str
) -> None:
    path = tmp_path / "contact.key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(KeyFileError, match=says) as refused:
        read_key_file(path)
    assert "canary" not in str(refused.value)
