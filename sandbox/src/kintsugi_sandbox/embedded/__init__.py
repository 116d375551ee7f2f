"""Real servers without Docker, Java or a database installed: PostgreSQL and Kafka from Python wheels and jars."""

from kintsugi_sandbox.embedded.cluster import KafkaCluster
from kintsugi_sandbox.embedded.kafka import EmbeddedKafka
from kintsugi_sandbox.embedded.postgres import EmbeddedPostgres
from kintsugi_sandbox.embedded.servers import ServerDidNotStart

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "KafkaCluster", "ServerDidNotStart"]
