"""The users and rights of a Kafka cluster, asked and changed as its administrator.

The one place that uses confluent-kafka: aiokafka has neither call. Its own log is silenced, since it writes a line
every few milliseconds while a broker is away; what went wrong is in the exception.
"""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kintsugi.kafka import MECHANISM, Cluster
from kintsugi.secrets import Secret

from kintsugi_office.rights import Right

SECONDS = 15.0
ITERATIONS = 8192
_SILENT = logging.Logger("confluent_kafka", logging.CRITICAL + 1)


class BrokerRefused(RuntimeError):
    """The broker did not do or answer what its administrator asked; the text says what it said."""


class BrokerAway(BrokerRefused):
    """No broker answers at that address."""


class Broker:
    """Users and rights of one cluster. Every function waits for the broker, at most so many seconds."""

    def __init__(self, client: AdminClient, cluster: Cluster) -> None:
        self._client = client
        self._at = f"Kafka at {cluster.bootstrap}"
        self._as = cluster.username or "nobody"

    def users_and_rights(self) -> tuple[set[str], set[Right]]:
        """Who has a login, and every right on the cluster, whoever put it there."""
        # librdkafka 2.16 takes a refusal to list rights for an empty list, and ends the process at one to list users.
        cluster = self._client.describe_cluster(include_authorized_operations=True, request_timeout=SECONDS)
        allowed = set(self._answer(cluster, "say what may be done").authorized_operations or ())
        if not {AclOperation.DESCRIBE, AclOperation.ALTER} <= allowed:
            raise BrokerRefused(f"{self._at} lists users and rights for its administrator only, not for {self._as}.")
        rights = self._rights()
        asked = self._client.describe_user_scram_credentials(request_timeout=SECONDS)
        assert isinstance(asked, Future)
        return set(self._answer(asked, "list its users")), rights

    def set_passwords(self, passwords: Mapping[str, Secret]) -> None:
        """Make these users, or give them these passwords."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        self._alter(
            UserScramCredentialUpsertion(user, info, password.reveal().encode()) for user, password in passwords.items()
        )

    def remove_users(self, users: Iterable[str]) -> None:
        """Take these users' logins away. What they may do stays until it is withdrawn."""
        self._alter(UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512) for user in users)

    def _rights(self) -> set[Right]:
        everything = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type] # as documented; the annotations lack it
            ResourcePatternType.ANY,
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        asked = self._client.describe_acls(everything, request_timeout=SECONDS)
        return {_right(binding) for binding in self._answer(asked, "list its rights")}

    def allow(self, rights: Iterable[Right]) -> None:
        """Add rights."""
        bindings = [_binding(AclBinding, right) for right in rights]
        if bindings:
            for answer in self._client.create_acls(bindings, request_timeout=SECONDS).values():
                self._answer(answer, "add a right")

    def withdraw(self, rights: Iterable[Right]) -> None:
        """Take rights away. It holds for connections that are open, too: the broker looks at every request."""
        filters = [_binding(AclBindingFilter, right) for right in rights]
        if filters:
            for answer in self._client.delete_acls(filters, request_timeout=SECONDS).values():
                self._answer(answer, "take a right away")

    def _alter(self, alterations: Iterable[UserScramCredentialAlteration]) -> None:
        listed = list(alterations)
        if listed:
            answers = self._client.alter_user_scram_credentials(listed, request_timeout=SECONDS)
            for user, answer in answers.items():
                self._answer(answer, f"change the login of {user}")

    def _answer(self, asked: "Future[Any]", what: str) -> Any:
        try:
            return asked.result(SECONDS + 5)
        except KafkaException as error:
            said = error.args[0]
            forbidden = said.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED
            why = "it does that for its administrator only" if forbidden else said.str()
            raise BrokerRefused(f"{self._at} did not {what} for {self._as}: {why}") from error
        except TimeoutError as error:
            raise BrokerAway(f"{self._at} gave no answer when asked to {what}.") from error


def broker(cluster: Cluster, *, mechanism: str = MECHANISM) -> Broker:
    """The users and rights of a cluster, as the user it is given with."""
    return Broker(AdminClient(_settings(cluster, mechanism), logger=_SILENT), cluster)


def takes_login(cluster: Cluster) -> bool:
    """Whether a broker takes a user's password. Raises BrokerAway when none answers in time."""
    refused = Event()

    def heard(error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:
            refused.set()

    client = AdminClient(_settings(cluster) | {"error_cb": heard}, logger=_SILENT)
    answer = client.describe_cluster(request_timeout=SECONDS)
    while not answer.done():
        client.poll(0.02)
        if refused.is_set():
            return False
    if answer.exception() is not None:
        raise BrokerAway(f"Kafka at {cluster.bootstrap} does not answer by {cluster.protocol} within {SECONDS:.0f} s.")
    return True


def check_login(cluster: Cluster) -> None:
    """Raises BrokerRefused when a broker does not take a user's password, and BrokerAway when none answers."""
    if not takes_login(cluster):
        raise BrokerRefused(f"Kafka at {cluster.bootstrap} does not take the password of {cluster.username}.")


def _settings(cluster: Cluster, mechanism: str = MECHANISM) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap.servers": cluster.bootstrap,
        "security.protocol": cluster.protocol.value,
        "log_level": 0,
    }
    if cluster.username is not None and cluster.password is not None:
        settings |= {
            "sasl.mechanism": mechanism,
            "sasl.username": cluster.username,
            "sasl.password": cluster.password.reveal(),
        }
    if cluster.ca_file is not None:
        settings["ssl.ca.location"] = str(cluster.ca_file)
    return settings


def _binding(kind: type[Any], right: Right) -> Any:
    return kind(
        ResourceType[right.resource.upper()],
        right.name,
        ResourcePatternType[right.pattern.upper()],
        right.principal,
        right.host,
        AclOperation[right.operation.upper()],
        AclPermissionType[right.permission.upper()],
    )


def _right(binding: AclBinding) -> Right:
    return Right(
        binding.principal,
        ResourceType(binding.restype).name.lower(),
        binding.name,
        AclOperation(binding.operation).name.lower(),
        ResourcePatternType(binding.resource_pattern_type).name.lower(),
        AclPermissionType(binding.permission_type).name.lower(),
        binding.host,
    )
