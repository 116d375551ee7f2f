"""As whom somebody speaks with the running office's Kafka: the users there are, and how each logs in."""

from kintsugi.kafka import Cluster, Protocol, read_password

from kintsugi_office import state
from kintsugi_office.project import Layout

ADMIN = "admin"
"""Makes topics, users and rights, and is the only user above the rights. No service is ever given it."""
OFFICE = "office"
"""The user of the office's own tools. It reads the topics whose files name it a reader, and writes nothing."""


class NoLogin(RuntimeError):
    """There is no password for this user of Kafka in this data folder."""


def username(country: str, user: str) -> str:
    """The name on the broker: ``xa.intake``; a country's own, since several may share a cluster."""
    return user if user == ADMIN else f"{country}.{user}"


def integrator(name: str) -> str:
    """The user of a partner: ``integrator.labour-registry``, on the broker ``xa.integrator.labour-registry``."""
    return f"integrator.{name}"


def cluster(layout: Layout, user: str = OFFICE) -> Cluster:
    """Kafka of the office that runs in this data folder, as one of its users.

    ``user`` is a service's name, ``office``, ``integrator(name)`` or ``admin``. Raises OfficeNotRunning when none
    runs there and NoLogin when it has no such user; both say what to do.
    """
    current = state.running(layout.state)
    return login(layout, current.bootstrap, current.country, user)


def login(layout: Layout, bootstrap: str, country: str, user: str) -> Cluster:
    """A broker at an address, as a user whose password this data folder keeps. Raises NoLogin when it keeps none."""
    file = layout.kafka_password(user)
    try:
        password = read_password(file)
    except FileNotFoundError:
        raise NoLogin(
            f"Kafka's user {username(country, user)} has no password in {file.parent}. Does a file in contracts/ name "
            "that user? Its password is made when the office starts, or by: kintsugi topics apply"
        ) from None
    except (OSError, ValueError) as error:
        raise NoLogin(f"The password of Kafka's user {username(country, user)} cannot be read: {error}") from error
    return Cluster(bootstrap, username(country, user), password, Protocol.sasl_plaintext)
