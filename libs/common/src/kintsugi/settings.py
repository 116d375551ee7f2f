"""What a process is told from outside: environment variables, read once, checked, with clear errors."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kintsugi.kafka import Cluster, Protocol, read_password

log = structlog.get_logger("kintsugi.settings")


class Profile(StrEnum):
    """How strict a start is. ``production`` refuses weak settings; ``demo`` alone lets the clock be moved."""

    development = "development"
    demo = "demo"
    production = "production"


class SettingsError(Exception):
    """A setting is missing or wrong; the text names the variable and the mend."""


class KafkaSettings(BaseSettings):
    """What every program that reads the topics is told: the country, the contracts, where Kafka is and as whom."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    country: Annotated[str, Field(pattern=r"^[a-z]{2}$")]
    contracts: Path
    bootstrap: str
    kafka_username: str | None = None
    kafka_password_file: Path | None = None
    kafka_protocol: Protocol = Protocol.plaintext
    kafka_ca_file: Path | None = None

    def cluster(self) -> Cluster:
        """Kafka, as this program's own user. Raises SettingsError where the password cannot be read or a part lacks."""
        login = (self.kafka_username, self.kafka_password_file, self.kafka_protocol.logs_in or None)
        if any(part is not None for part in login) and None in login:
            raise SettingsError(
                "KINTSUGI_KAFKA_USERNAME, KINTSUGI_KAFKA_PASSWORD_FILE and KINTSUGI_KAFKA_PROTOCOL (SASL_SSL; inside "
                "one machine SASL_PLAINTEXT) belong together: set all three"
            )
        try:
            password = read_password(self.kafka_password_file) if self.kafka_password_file else None
        except (OSError, ValueError) as error:
            raise SettingsError(f"KINTSUGI_KAFKA_PASSWORD_FILE: {error}") from None
        return Cluster(self.bootstrap, self.kafka_username, password, self.kafka_protocol, self.kafka_ca_file)


class Settings(KafkaSettings):
    """The settings of one service process. Every name is an environment variable with the prefix ``KINTSUGI_``.

    A variable ``KINTSUGI_<SERVICE>_<NAME>`` wins over ``KINTSUGI_<NAME>``, so that several services can share a
    process.
    """

    countries: Path
    database_url: SecretStr
    keyring_url: SecretStr
    keys: Path | None = None
    """The folder of the key-encryption keys that this service was given: ``<purpose>.key`` for each purpose."""
    http_host: str = "127.0.0.1"
    http_port: int
    liveness_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Where a thread of its own answers ``/livez``, also while the event loop is blocked. One for the process."""
    jwt_public_key: Path
    profile: Profile = Profile.development
    log_file: Path | None = None
    span_file: Path | None = None
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    smtp_url: str | None = None
    mail_from: str = "no-reply@office.example"
    public_url: str | None = None
    link_key: Path | None = None
    share_key: Path | None = None
    replication_factor: int = 1
    min_insync_replicas: int = 1
    batch_size: Annotated[int, Field(ge=1, le=500)] = 200
    session_timeout_ms: int = 30_000

    def key_files(self, service: str, purposes: Iterable[str]) -> dict[str, Path]:
        """The file of the key-encryption key of each purpose that this service may open or seal.

        Without ``KINTSUGI_KEYS`` the variables of earlier releases, ``KINTSUGI_KEK_<PURPOSE>``, are read instead.
        Raises SettingsError naming what is missing.
        """
        if self.keys is not None:
            return {purpose: self.keys / f"{purpose}.key" for purpose in purposes}
        found = {purpose: _former_key_file(service, purpose) for purpose in purposes}
        if missing := [purpose for purpose, file in found.items() if file is None]:
            raise SettingsError(
                f"service '{service}' cannot start; set in its environment:\n"
                f"  KINTSUGI_KEYS: the folder that holds {', '.join(f'{name}.key' for name in missing)}"
            )
        for purpose in found:
            log.warning("former_key_variable_read", service=service, purpose=purpose)
        return {purpose: file for purpose, file in found.items() if file is not None}


def _former_key_file(service: str, purpose: str) -> Path | None:
    """What releases before the folder of keys were told: a variable for each purpose."""
    for variable in (f"KINTSUGI_{service.upper()}_KEK_{purpose.upper()}", f"KINTSUGI_KEK_{purpose.upper()}"):
        if variable in os.environ:
            return Path(os.environ[variable])
    return None


_S = TypeVar("_S", bound=KafkaSettings)


def load(service: str) -> Settings:
    """The settings of one service from the environment. Raises SettingsError naming every variable to mend."""
    return read(Settings, f"service '{service}'", own=f"KINTSUGI_{service.upper()}_")


def read(model: type[_S], who: str, *, own: str = "KINTSUGI_") -> _S:
    """These settings from the environment, a variable that begins with ``own`` first.

    Raises SettingsError naming ``who`` and every variable to mend.
    """
    values: dict[str, str] = {}
    for name in model.model_fields:
        for variable in (f"{own}{name.upper()}", f"KINTSUGI_{name.upper()}"):
            if variable in os.environ:
                values[name] = os.environ[variable]
                break
    try:
        return model(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"  KINTSUGI_{str(each['loc'][0]).upper()}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError(f"{who} cannot start; set in its environment:\n" + "\n".join(lines)) from None
