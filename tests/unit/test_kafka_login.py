"""A service is told how to log in to Kafka in whole, and a production profile wants a login nobody can read."""

from pathlib import Path

import pytest
from kintsugi.kafka import Cluster, Protocol, make_password_file
from kintsugi.runtime.start import _refuse_weak
from kintsugi.secrets import Secret
from kintsugi.settings import Settings, SettingsError, load

from tests.unit.test_runtime_liveness import settings

STRONG = {
    "profile": "production",
    "replication_factor": "3",
    "min_insync_replicas": "2",
    "bootstrap": "kafka.office:9093",
}


@pytest.fixture
def password(tmp_path: Path) -> Path:
    make_password_file(tmp_path / "referral.password")
    return tmp_path / "referral.password"


def login(password: Path, protocol: str = "SASL_SSL") -> dict[str, str]:
    return {"kafka_username": "xa.referral", "kafka_password_file": str(password), "kafka_protocol": protocol}


def test_a_login_reaches_the_client_and_shows_nowhere(monkeypatch: pytest.MonkeyPatch, password: Path) -> None:
    cluster = settings(monkeypatch, **login(password)).cluster()
    told = cluster.client()
    assert told["security_protocol"] == "SASL_SSL"
    assert (told["sasl_mechanism"], told["sasl_plain_username"]) == ("SCRAM-SHA-512", "xa.referral")
    assert told["sasl_plain_password"] == password.read_text().strip()
    assert told["ssl_context"].check_hostname
    assert told["sasl_plain_password"] not in repr(cluster)


def test_a_service_s_own_user_wins_over_a_shared_one(monkeypatch: pytest.MonkeyPatch, password: Path) -> None:
    monkeypatch.setenv("KINTSUGI_REFERRAL_KAFKA_USERNAME", "xa.referral")
    given = settings(monkeypatch, **login(password) | {"kafka_username": "xa.office"})
    assert given.cluster().username == "xa.referral"


@pytest.mark.parametrize("lacking", ["kafka_username", "kafka_password_file", "kafka_protocol"])
def test_a_login_in_part_is_refused(monkeypatch: pytest.MonkeyPatch, password: Path, lacking: str) -> None:
    given = {name: value for name, value in login(password).items() if name != lacking}
    with pytest.raises(SettingsError, match=f"KINTSUGI_{lacking.upper()}"):
        settings(monkeypatch, **given).cluster()


def test_a_password_that_others_can_read_is_refused(monkeypatch: pytest.MonkeyPatch, password: Path) -> None:
    password.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        settings(monkeypatch, **login(password)).cluster()


def test_an_empty_password_is_refused(monkeypatch: pytest.MonkeyPatch, password: Path) -> None:
    password.write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        settings(monkeypatch, **login(password)).cluster()


def production(monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    return settings(monkeypatch, **STRONG | more)


def test_production_starts_with_a_login_over_tls(monkeypatch: pytest.MonkeyPatch, password: Path) -> None:
    _refuse_weak("referral", production(monkeypatch, **login(password)))


def test_production_refuses_to_be_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="PLAINTEXT and no user is named"):
        _refuse_weak("referral", production(monkeypatch))


def test_production_refuses_to_be_read_on_the_way(monkeypatch: pytest.MonkeyPatch, password: Path) -> None:
    with pytest.raises(SettingsError, match=r"SASL_PLAINTEXT and kafka\.office:9093 is another machine"):
        _refuse_weak("referral", production(monkeypatch, **login(password, "SASL_PLAINTEXT")))


@pytest.mark.parametrize(
    ("bootstrap", "here"),
    [
        ("127.0.0.1:9092", True),
        ("localhost:9092,127.0.0.2:9092", True),
        ("[::1]:9092", True),
        ("127.0.0.1:9092,10.0.0.5:9092", False),
        ("kafka:9092", False),
    ],
)
def test_the_loopback_is_known(bootstrap: str, here: bool) -> None:
    assert Cluster(bootstrap, "u", Secret("p"), Protocol.sasl_plaintext).on_this_machine is here


def test_outside_production_no_login_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings(monkeypatch)
    _refuse_weak("referral", load("referral"))
