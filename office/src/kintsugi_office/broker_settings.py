"""What a broker of ours is told: its settings, who may speak with it, and where it writes its log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kintsugi.kafka import MECHANISM, Protocol

from kintsugi_office.access import ADMIN

_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    # Fault tests let members die and come back faster than the default minimum of six seconds.
    "group.min.session.timeout.ms": "1000",
    "auto.create.topics.enable": "false",
    "log.message.timestamp.type": "LogAppendTime",
    "log.retention.ms": "-1",
    "offsets.retention.minutes": "525600",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # A killed broker comes back as itself only when its old session is over.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
_LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <RollingFile name="file" fileName="{log}" filePattern="{log}.%i">
      <PatternLayout pattern="%d{{ISO8601}} %p %c{{1}} %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="20 MB"/></Policies>
      <DefaultRolloverStrategy max="2"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Logger name="kafka" level="INFO"/>
    <Root level="INFO"><AppenderRef ref="file"/></Root>
  </Loggers>
</Configuration>
"""


@dataclass(frozen=True)
class Seat:
    """The place of one node in its cluster: its id and the ports it listens on."""

    node: int
    port: int
    controller_port: int


def properties(mine: Seat, seats: Sequence[Seat], storage: Path) -> dict[str, str]:
    """The settings of one node, without those that say who may speak with it."""
    copies, enough = str(len(seats)), str(min(2, len(seats)))
    # Voters by address, not a dynamic quorum: the log of a dynamic quorum remembers ports, and ours may change.
    voters = ",".join(f"{seat.node}@127.0.0.1:{seat.controller_port}" for seat in seats)
    return {
        "process.roles": "broker,controller",
        "node.id": str(mine.node),
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CLIENT://127.0.0.1:{mine.port},CONTROLLER://127.0.0.1:{mine.controller_port}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{mine.port}",
        "inter.broker.listener.name": "CLIENT",
        "log.dirs": str(storage),
        "default.replication.factor": copies,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "share.coordinator.state.topic.replication.factor": copies,
        "min.insync.replicas": enough,
        "transaction.state.log.min.isr": enough,
        "share.coordinator.state.topic.min.isr": enough,
    } | _SETTINGS


def security(password: str, *, clients: str = MECHANISM) -> dict[str, str]:
    """Nobody without a login, and nothing without a right. ``password`` is the administrator's.

    Controllers read no users from the log they have yet to open, so they know the administrator from here. With
    ``clients="PLAIN"`` the administrator alone can log in, also where the log has no users yet.
    """
    plain = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{ADMIN}" password="{password}" user_{ADMIN}="{password}";'
    )
    return {
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "listener.name.client.sasl.enabled.mechanisms": clients,
        f"listener.name.client.{clients.lower()}.sasl.jaas.config": plain if clients == "PLAIN" else _scram(password),
        "sasl.mechanism.inter.broker.protocol": clients,
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": plain,
        "sasl.mechanism.controller.protocol": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{ADMIN}",
    }


def first_login(password: str) -> str:
    """The arguments of formatting that make the administrator, one a line, for a file only the broker reads."""
    return f"--add-scram\n{MECHANISM}=[name={ADMIN},password={password}]\n"


def client(password: str) -> dict[str, str]:
    """The administrator's login for Kafka's own command-line tools."""
    return {
        "security.protocol": Protocol.sasl_plaintext.value,
        "sasl.mechanism": MECHANISM,
        "sasl.jaas.config": _scram(password),
    }


def lines(settings: Mapping[str, str]) -> str:
    """Settings as a file of Kafka has them."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _scram(password: str) -> str:
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return f'{module} required username="{ADMIN}" password="{password}";'


def log4j(log: Path) -> str:
    """The logging configuration: one file that turns over at 20 MB."""
    return _LOG4J.format(log=log)
