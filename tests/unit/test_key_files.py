"""Keys of sealed purposes: made once, taken over with the same bytes, and given to who holds them and no other."""

from pathlib import Path
from typing import Any

import pytest
import structlog
from kintsugi.secrets import KeyFileError, make_key_file, read_key_file
from kintsugi.settings import Settings, SettingsError
from kintsugi_office import key_files
from kintsugi_office.project import Layout

HELD = {"intake": ("identity", "contact"), "housing": ("housing_address",)}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "office")


@pytest.fixture
def former(layout: Layout) -> Layout:
    """The data folder of an office of an earlier release, which ran intake."""
    for purpose in ("identity", "contact", "narrative"):
        make_key_file(layout.secrets / f"kek-{purpose}.key")
    make_key_file(layout.kafka_password("intake"))
    return layout


def settings(**given: Any) -> Settings:
    return Settings.model_construct(**given)


def test_a_service_is_given_the_keys_of_its_own_purposes_and_no_others(layout: Layout) -> None:
    key_files.hand_out(layout, HELD)
    given = {file.name for file in layout.keys_of("housing").iterdir()}
    assert given == {"housing_address.key"}
    own = settings(keys=layout.keys_of("housing")).key_files("housing", HELD["housing"])
    assert read_key_file(own["housing_address"]) == read_key_file(layout.key("housing_address"))


def test_a_key_stays_the_same_at_every_later_start(layout: Layout) -> None:
    key_files.hand_out(layout, HELD)
    before = layout.key("contact").read_bytes()
    key_files.hand_out(layout, HELD)
    assert layout.key("contact").read_bytes() == before


def test_a_purpose_that_a_service_gives_up_is_taken_from_it_and_its_key_stays(layout: Layout) -> None:
    key_files.hand_out(layout, HELD)
    key_files.hand_out(layout, {"intake": ("contact",)})
    assert [file.name for file in layout.keys_of("intake").iterdir()] == ["contact.key"]
    assert layout.key("identity").exists()


def test_keys_of_an_earlier_release_are_taken_over_with_their_bytes_and_never_kept_twice(former: Layout) -> None:
    before = {p: (former.secrets / f"kek-{p}.key").read_bytes() for p in ("identity", "contact", "narrative")}
    key_files.hand_out(former, HELD)
    assert {purpose: former.key(purpose).read_bytes() for purpose in before} == before
    assert not list(former.secrets.glob("kek-*"))


def test_a_take_over_that_was_broken_off_is_finished_at_the_next_start(former: Layout) -> None:
    old = former.secrets / "kek-contact.key"
    before = old.read_bytes()
    former.keys.mkdir()
    former.key("contact").hardlink_to(old)
    key_files.hand_out(former, HELD)
    assert former.key("contact").read_bytes() == before
    assert not old.exists()


def test_two_different_keys_of_one_purpose_stop_the_start_and_neither_is_touched(former: Layout) -> None:
    make_key_file(former.key("contact"))
    before = former.key("contact").read_bytes(), (former.secrets / "kek-contact.key").read_bytes()
    with pytest.raises(KeyFileError, match="differ"):
        key_files.hand_out(former, HELD)
    assert (former.key("contact").read_bytes(), (former.secrets / "kek-contact.key").read_bytes()) == before


def test_what_a_service_holds_for_the_first_time_is_named_once(layout: Layout) -> None:
    assert key_files.first_start(layout)
    assert key_files.new(layout, {"intake": ("contact",)}) == [("intake", "contact")]
    key_files.hand_out(layout, {"intake": ("contact",)})
    assert not key_files.first_start(layout)
    assert key_files.new(layout, HELD) == [("intake", "identity"), ("housing", "housing_address")]


def test_what_an_office_of_an_earlier_release_held_is_nothing_new(former: Layout) -> None:
    assert not key_files.first_start(former)
    assert key_files.new(former, {**HELD, "share": ("identity",)}) == [
        ("housing", "housing_address"),
        ("share", "identity"),
    ]


def test_the_variables_of_earlier_releases_are_read_until_a_folder_is_named_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINTSUGI_KEK_CONTACT", str(tmp_path / "kek-contact.key"))
    with structlog.testing.capture_logs() as lines:
        assert settings().key_files("notify", ["contact"]) == {"contact": tmp_path / "kek-contact.key"}
    assert [(line["event"], line["purpose"]) for line in lines] == [("former_key_variable_read", "contact")]
    own = settings(keys=tmp_path / "keys").key_files("notify", ["contact"])
    assert own == {"contact": tmp_path / "keys" / "contact.key"}


def test_a_service_that_is_told_of_no_keys_is_told_which_it_needs() -> None:
    with pytest.raises(SettingsError, match=r"KINTSUGI_KEYS: the folder that holds housing_address\.key"):
        settings().key_files("housing", ["housing_address"])
