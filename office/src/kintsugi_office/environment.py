"""What each service process is told: its own settings and keys, and no other service's."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kintsugi.kafka import Protocol

from kintsugi_office.access import username
from kintsugi_office.databases import Databases
from kintsugi_office.project import Layout, contracts_folder

REFERRAL, SHARE = "referral", "share"
_PUBLIC = (REFERRAL, SHARE)
"""Services whose address stands in what they send out."""


@dataclass(frozen=True)
class Addresses:
    """Where things listen: the broker, the mail server, and the HTTP port of each service."""

    bootstrap: str
    smtp_url: str
    ports: Mapping[str, int]

    def url(self, service: str) -> str:
        """The base of a service's HTTP API."""
        return f"http://127.0.0.1:{self.ports[service]}"


@dataclass(frozen=True)
class Surroundings:
    """Everything the environments are made of."""

    country: str
    profile: str
    project: Path
    layout: Layout
    databases: Databases
    addresses: Addresses
    purposes: Mapping[str, tuple[str, ...]]


def of_process(around: Surroundings, *names: str) -> dict[str, str]:
    """The environment of a process that runs these services: one, or all of them in one process.

    With several, what differs between them carries the service in the variable's name.
    """
    others = ("KINTSUGI_KEYS", "KINTSUGI_KEK_", "KINTSUGI_KAFKA_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    environment |= {
        "KINTSUGI_COUNTRY": around.country,
        "KINTSUGI_COUNTRIES": str(around.project / "countries"),
        "KINTSUGI_CONTRACTS": str(contracts_folder(around.project)),
        "KINTSUGI_BOOTSTRAP": around.addresses.bootstrap,
        "KINTSUGI_KAFKA_PROTOCOL": Protocol.sasl_plaintext.value,
        "KINTSUGI_HTTP_HOST": "127.0.0.1",
        "KINTSUGI_JWT_PUBLIC_KEY": str(around.layout.jwt_public_key),
        "KINTSUGI_PROFILE": around.profile,
        "PYTHONUNBUFFERED": "1",
    }
    for name in names:
        prefix = "KINTSUGI_" if len(names) == 1 else f"KINTSUGI_{name.upper()}_"
        environment |= {prefix + key: value for key, value in _of_service(around, name).items()}
    return environment


def keys(layout: Layout, name: str) -> dict[str, Path]:
    """The key files that one service alone is given, by the end of their variable's name."""
    if name == REFERRAL:
        return {"LINK_KEY": layout.link_key}
    return {"SHARE_KEY": layout.share_key} if name == SHARE else {}


def _of_service(around: Surroundings, name: str) -> dict[str, str]:
    settings = {
        "DATABASE_URL": around.databases.own[name],
        "KEYRING_URL": around.databases.keyring[name],
        "KAFKA_USERNAME": username(around.country, name),
        "KAFKA_PASSWORD_FILE": str(around.layout.kafka_password(name)),
        "KEYS": str(around.layout.keys_of(name)),
        "HTTP_PORT": str(around.addresses.ports[name]),
        "LOG_FILE": str(around.layout.logs / f"{name}.log"),
        "SPAN_FILE": str(around.layout.logs / f"{name}.spans.jsonl"),
    }
    if name == "notify":
        settings["SMTP_URL"] = around.addresses.smtp_url
    if name in _PUBLIC:
        settings |= {"PUBLIC_URL": around.addresses.url(name)}
    settings |= {key: str(path) for key, path in keys(around.layout, name).items()}
    return settings
