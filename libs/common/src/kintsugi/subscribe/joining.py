"""A consumer of a subscriber's group, once the broker answers, and what the broker's refusals mean."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import create_conn
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from kintsugi.kafka import Cluster

log = structlog.get_logger("kintsugi.subscribe")

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
REFUSED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError)
"""What the broker answers to a user who lacks a right."""


class SubscribeError(Exception):
    """The subscriber cannot work as it was set up; the text says what to mend."""


def refused(error: KafkaError, cluster: Cluster, group: str) -> SubscribeError:
    """A refusal as a text that says what to mend."""
    return SubscribeError(
        f"Kafka refuses {_user(cluster)}: {type(error).__name__}. It may read only topics whose file names it under "
        f"'readers', and only as a group of its own prefix; this group is {group}"
    )


async def login_refused(cluster: Cluster) -> bool:
    """Whether a broker answers and refuses this user's login: to a consumer that looks like a broker that is away."""
    options = cluster.client()
    for address in options.pop("bootstrap_servers").split(","):
        host, _, port = address.rpartition(":")
        try:
            connection = await create_conn(host, int(port), request_timeout_ms=5_000, **options)
        except SaslAuthenticationFailed:
            return True
        except (KafkaError, OSError, TimeoutError):
            continue
        connection.close()
        return False
    return False


async def join(
    cluster: Cluster,
    group: str,
    topics: Sequence[str],
    *,
    session_ms: int,
    poll_ms: int,
    stop: asyncio.Event,
    away: Callable[[BaseException, float], None],
) -> AIOKafkaConsumer | None:
    """A started consumer that commits nothing by itself and is subscribed to nothing yet; None when told to stop.

    A broker that is away is waited for, and each attempt is told to ``away`` with the wait in seconds. Raises
    SubscribeError where the broker refuses the user, or shows it no such topics.
    """
    wait = FIRST_WAIT
    while not stop.is_set():
        consumer = AIOKafkaConsumer(
            **cluster.client(),
            client_id=group,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # All topics' partitions of one number go to one member, so that a subject is in one hand.
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(500, session_ms // 5),
            max_poll_interval_ms=600_000,
            fetch_max_wait_ms=poll_ms,
        )
        try:
            await consumer.start()
            _check(set(topics) - await consumer.topics(), cluster)
            return consumer
        except REFUSED as error:
            await consumer.stop()
            raise refused(error, cluster, group) from error
        except (KafkaError, OSError) as error:
            await consumer.stop()
            if await login_refused(cluster):
                raise SubscribeError(
                    f"Kafka at {cluster.bootstrap} refuses the login of {_user(cluster)}: has the password changed?"
                ) from error
            away(error, wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            wait = min(wait * 2, LONGEST_WAIT)
        except BaseException:
            await consumer.stop()
            raise
    return None


def _check(absent: set[str], cluster: Cluster) -> None:
    if absent:
        raise SubscribeError(
            f"the broker shows no topic {', '.join(sorted(absent))} to {_user(cluster)}. Is it the right broker and "
            "country? The topic's file must name that user under 'readers'"
        )


def _user(cluster: Cluster) -> str:
    return f"the user {cluster.username}" if cluster.username else "a client without a login"
