"""Who may do what on Kafka: rights as the topic files give them. Pure; the broker is elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kintsugi_office.access import username
from kintsugi_office.topics import TopicPlan


@dataclass(frozen=True, order=True)
class Right:
    """One entry of the broker's list: a principal, what it may do, and on what.

    ``principal`` is ``User:`` and a name, or anything else somebody has put on the broker by hand.
    """

    principal: str
    resource: str
    name: str
    operation: str
    pattern: Literal["literal", "prefixed"] | str = "literal"
    permission: str = "allow"
    host: str = "*"

    @property
    def known(self) -> bool:
        """Whether the client knows what it is about. It can name nothing else, so it cannot take it away either."""
        return "unknown" not in (self.resource, self.operation, self.pattern, self.permission)

    @property
    def user(self) -> str:
        """The principal without its kind."""
        return self.principal.removeprefix("User:")

    @property
    def on(self) -> str:
        """The name it is about, with a star where it is the beginning of names."""
        return self.name + ("*" if self.pattern == "prefixed" else "")

    def __str__(self) -> str:
        verb = "may" if self.permission == "allow" else "may not"
        what = "join" if (self.resource, self.operation) == ("group", "read") else self.operation
        where = "" if self.host == "*" else f" from {self.host}"
        target = "on the cluster" if self.resource == "broker" else f"{self.resource} {self.on}"
        return f"{verb} {what} {target}{where}"


def users_of(plans: Iterable[TopicPlan]) -> set[str]:
    """Every user that some topic file names, by its short name, such as ``intake`` or ``office``."""
    return {user for plan in plans for user in (plan.producer, *plan.readers)}


def wanted(country: str, plans: Iterable[TopicPlan]) -> set[Right]:
    """What the topic files allow, and no more: one writer per topic, its declared readers, groups by own name.

    A writer also reads its topic, to see whether its database is older. No name is a pattern except that of groups:
    ``xa.notify`` and what begins with ``xa.notify.``. Nobody may make, alter or delete anything.
    """
    rights: set[Right] = set()
    for plan in plans:
        for user in {plan.producer, *plan.readers}:
            rights.add(_right(country, user, "topic", plan.name, "read"))
            name = username(country, user)
            rights.add(_right(country, user, "group", name, "read"))
            rights.add(_right(country, user, "group", f"{name}.", "read", "prefixed"))
        rights.add(_right(country, plan.producer, "topic", plan.name, "write"))
    return rights


def ours(country: str, principal: str) -> bool:
    """Whether a principal is one that the topic files of this country would name, now or once."""
    return principal.startswith(f"User:{country}.")


def concerns(country: str, right: Right) -> bool:
    """Whether a right reaches what belongs to this country, by its name, by a pattern, or by being on everything.

    One on the cluster is: who may alter it can give themselves any other.
    """
    if right.user == "*" or right.resource == "broker" or ours(country, right.principal):
        return True
    if right.pattern == "prefixed":
        return f"{country}.".startswith(right.name) or right.name.startswith(f"{country}.")
    return right.name == "*" or right.name.startswith(f"{country}.")


def _right(country: str, user: str, resource: str, name: str, operation: str, pattern: str = "literal") -> Right:
    return Right(f"User:{username(country, user)}", resource, name, operation, pattern)
