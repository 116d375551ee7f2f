"""What an office hands a partner, as the environment of the partner's program."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from kintsugi.kafka import Cluster


def environment(
    kafka: Cluster, topic: str, *, contract: Path, key: Path, share_url: str, share_token: str
) -> dict[str, str]:
    """The variables that the subscribers in ``examples`` read. ``share_url`` ends with the partner's name."""
    if kafka.username is None or kafka.password is None:
        raise ValueError("A partner logs in: this cluster has no user.")
    return {
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "KAFKA_SECURITY": kafka.protocol.value,
        "KAFKA_USERNAME": kafka.username,
        "KAFKA_PASSWORD": kafka.password.reveal(),
        "KAFKA_GROUP": f"{kafka.username}.example",
        "TOPIC": topic,
        "CONTRACT": str(contract),
        "PARTNER_KEY": str(key),
        "SHARE_URL": share_url,
        "SHARE_TOKEN": share_token,
    }


def as_shell(variables: Mapping[str, str]) -> str:
    """The text of a file for a shell to read: ``set -a; . ./partner.env; set +a``."""
    return "".join(f"{name}={shlex.quote(text)}\n" for name, text in variables.items())
