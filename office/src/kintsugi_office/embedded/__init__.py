"""Real servers without Docker, Java or a database installed: PostgreSQL and Kafka from Python wheels and jars."""

from kintsugi_office.embedded.cluster import KafkaCluster
from kintsugi_office.embedded.kafka import EmbeddedKafka
from kintsugi_office.embedded.postgres import EmbeddedPostgres
from kintsugi_office.embedded.servers import ServerDidNotStart

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "KafkaCluster", "ServerDidNotStart"]
