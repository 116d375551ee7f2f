"""Where Kafka is and as whom: the one way in which a client of it is given an address and a login."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from kintsugi.secrets import Secret, make_secret_file

MECHANISM = "SCRAM-SHA-512"


class Protocol(StrEnum):
    """How a client speaks with the broker. Only ``SASL_SSL`` is fit for a network that others share."""

    plaintext = "PLAINTEXT"
    sasl_plaintext = "SASL_PLAINTEXT"
    sasl_ssl = "SASL_SSL"

    @property
    def logs_in(self) -> bool:
        """Whether a client says who it is."""
        return self is not Protocol.plaintext


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka cluster as one user of it. ``bootstrap`` is ``host:port``, several separated by commas.

    Without a ``username`` the client does not log in, which only a broker without an authorizer accepts.
    ``ca_file`` holds the certificates to trust; without it those of the system are.
    """

    bootstrap: str
    username: str | None = None
    password: Secret | None = None
    protocol: Protocol = Protocol.plaintext
    ca_file: Path | None = None

    def client(self) -> dict[str, Any]:
        """What every aiokafka client takes: ``AIOKafkaProducer(**cluster.client())``."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.protocol.value}
        if self.protocol is Protocol.sasl_ssl:
            options["ssl_context"] = self.tls()
        if self.username is not None and self.password is not None:
            options |= {
                "sasl_mechanism": MECHANISM,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.reveal(),
            }
        return options

    @property
    def on_this_machine(self) -> bool:
        """Whether every address is the loopback."""
        hosts = [address.rpartition(":")[0] for address in self.bootstrap.split(",")]
        return all(host in ("localhost", "[::1]") or host.startswith("127.") for host in hosts)

    def tls(self) -> ssl.SSLContext:
        """Verifies the broker's certificate and name."""
        return ssl.create_default_context(cafile=self.ca_file)


def make_password_file(path: Path) -> None:
    """Write a new password of 32 letters, digits, ``-`` and ``_``. A file that is there already is kept."""
    make_secret_file(path, secrets.token_urlsafe(24).encode("ascii") + b"\n")


def read_password(path: Path) -> Secret:
    """The password in a file that only its owner may read, without the line's end.

    Raises OSError where it cannot be read and ValueError, which names the file and the mend, where others can read it
    or it is empty.
    """
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others than its owner: run chmod 600 {path}")
    password = path.read_text(encoding="utf-8").strip()
    if not password:
        raise ValueError(f"{path} is empty: put the password there, or remove the file to have a new one made")
    return Secret(password)
