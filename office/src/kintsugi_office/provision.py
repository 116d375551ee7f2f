"""Makes a broker what the contracts say: topics, users and rights; shows what differs first, and can be run again.

Ours is what belongs to this country: its topics, and rights and logins of users called ``xa.<name>``. Of those, what no
file declares is taken away, except topics. Everything else on the broker is left alone and named.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kintsugi.kafka import Cluster, make_password_file

from kintsugi_office import access, key_files, rights, topics
from kintsugi_office.broker import BrokerRefused, broker, check_login, takes_login
from kintsugi_office.project import Layout
from kintsugi_office.rights import Right
from kintsugi_office.topics import Drift, TopicPlan

SETTLED_SECONDS = 15.0
Ask = Callable[[Sequence[str]], None]
"""Asks a person whether what these lines say may be; raises when it may not."""


@dataclass(frozen=True)
class Declared:
    """What the contracts say of one country. ``users`` are short names, as :mod:`kintsugi_office.access` has them."""

    country: str
    topics: list[TopicPlan]
    users: list[str]
    rights: set[Right]
    held: key_files.Held = field(default_factory=dict)
    """Installed service to the sealed purposes whose keys its topic file lets it hold."""


@dataclass(frozen=True)
class Difference:
    """What would have to be done for a broker to be as declared."""

    topics: Drift
    new_users: list[str] = field(default_factory=list)
    locked_out: list[str] = field(default_factory=list)
    """Users whose password is not the one the broker knows."""
    old_users: list[str] = field(default_factory=list)
    """Names on the broker that were ours and are declared no more."""
    new_rights: list[Right] = field(default_factory=list)
    old_rights: list[Right] = field(default_factory=list)
    first: bool = False
    """Whether the broker has no right of this country at all yet."""
    foreign: list[Right] = field(default_factory=list)
    """Rights of others on what is ours or on everything, and of ours on what the client does not know."""

    @property
    def none(self) -> bool:
        """Whether there is nothing to do."""
        drift = self.topics
        return not any(
            (drift.absent, drift.changed, drift.refused, self.new_users, self.locked_out, self.old_users)
        ) and not (self.new_rights or self.old_rights)


def declared(contracts: Path, country: str, *, also: Iterable[str] = ()) -> Declared:
    """Topics, users and rights by the files of a contracts folder. ``also`` names the installed services.

    Raises TopicRefused naming a file that cannot be used.
    """
    plans = [*topics.planned(contracts, country), *topics.streams(contracts, country)]
    names = set(also)
    users = {access.OFFICE, *names, *rights.users_of(plans)}
    held = {plan.service: plan.purposes for plan in plans if plan.service in names}
    return Declared(country, plans, sorted(users), rights.wanted(country, plans), held)


async def compare(admin: Cluster, layout: Layout, wanted: Declared) -> Difference:
    """How a broker differs, asked as its administrator. Passwords are those that the data folder keeps.

    Raises BrokerRefused when it does not let the administrator in, and BrokerAway when no broker answers.
    """
    await asyncio.to_thread(check_login, admin)
    drift, (users, there) = await asyncio.gather(
        topics.drift(admin, wanted.topics), asyncio.to_thread(broker(admin).users_and_rights)
    )
    names = {access.username(wanted.country, user): user for user in wanted.users}
    known = [user for name, user in names.items() if name in users]
    taken = await asyncio.gather(*(_logs_in(admin, layout, wanted.country, user) for user in known))
    mine = {right for right in there if right.known and rights.ours(wanted.country, right.principal)}
    return Difference(
        drift,
        new_users=[user for name, user in names.items() if name not in users],
        locked_out=[user for user, fine in zip(known, taken, strict=True) if not fine],
        old_users=sorted(each for each in users - names.keys() if rights.ours(wanted.country, f"User:{each}")),
        new_rights=sorted(wanted.rights - mine),
        old_rights=sorted(mine - wanted.rights),
        first=not mine,
        foreign=sorted(right for right in there - mine if rights.concerns(wanted.country, right)),
    )


def new_reads(wanted: Declared, difference: Difference) -> list[str]:
    """Who may read what it may not read now, a line each; a writer that reads its own topic is no reader of it."""
    topics = {plan.name: plan for plan in wanted.topics}
    said = []
    for right in difference.new_rights:
        plan = topics.get(right.name)
        user = right.user.removeprefix(f"{wanted.country}.")
        if plan is None or (right.resource, right.operation) != ("topic", "read") or user == plan.producer:
            continue
        events = [
            f"{event} ({', '.join(fields)})" if fields else event for event, fields in plan.reads.get(user, {}).items()
        ]
        said.append(f"{user} may read {plan.name}: {', '.join(events) or 'every event, as its topic file says'}")
    return said


def new_purposes(layout: Layout, held: key_files.Held) -> list[str]:
    """Which service will hold keys for which sealed purposes for the first time, a line each.

    None where no key was made in this data folder yet: its office starts for the first time, or is kept elsewhere.
    """
    if key_files.first_start(layout):
        return []
    found: dict[str, list[str]] = {}
    for service, purpose in key_files.new(layout, held):
        found.setdefault(service, []).append(purpose)
    return [f"{service} will hold keys for {', '.join(purposes)}" for service, purposes in found.items()]


async def confirm(admin: Cluster, layout: Layout, wanted: Declared, ask: Ask) -> None:
    """Ask a person about readers and holders of keys that were not there before; of a first start nothing is asked."""
    difference = await compare(admin, layout, wanted)
    said = [*([] if difference.first else new_reads(wanted, difference)), *new_purposes(layout, wanted.held)]
    if said:
        await asyncio.to_thread(ask, said)


async def apply(
    admin: Cluster, layout: Layout, wanted: Declared, *, replication: int = 1, new_passwords: bool = True
) -> Difference:
    """Make the broker as declared and return what was done: first what is added, then what is taken away.

    Without ``new_passwords`` a user there is keeps its password, also where the data folder keeps none or another.
    Raises TopicRefused, with nothing changed, where a topic must not become what its file says.
    """
    difference = await compare(admin, layout, wanted)
    if not new_passwords:
        difference = replace(difference, locked_out=[])
    await topics.change(admin, wanted.topics, difference.topics, replication=replication)
    await asyncio.to_thread(_change, admin, layout, wanted.country, difference)
    if not difference.none:
        await _settled(admin, layout, wanted, new_passwords)
    return difference


async def _settled(admin: Cluster, layout: Layout, wanted: Declared, new_passwords: bool) -> None:
    """Return when the broker shows what was done: it acknowledges changes a moment before it follows them."""
    end = time.monotonic() + SETTLED_SECONDS
    while True:
        left = await compare(admin, layout, wanted)
        if (left if new_passwords else replace(left, locked_out=[])).none:
            return
        if time.monotonic() > end:
            raise BrokerRefused(
                f"Kafka at {admin.bootstrap} took every change and is still not as declared after "
                f"{SETTLED_SECONDS:.0f} s. See what is left: kintsugi topics plan"
            )
        await asyncio.sleep(0.05)


def counted(wanted: Declared) -> str:
    """How much is declared, in words."""
    return f"{len(wanted.topics)} topics, {len(wanted.users)} users, {len(wanted.rights)} rights"


def taken_away(difference: Difference) -> list[str]:
    """What was ours on the broker and no file declares any more, a line each, for the person who starts an office."""
    return [f"Kafka: {name} has no login any more; no file names it" for name in difference.old_users] + [
        f"Kafka: taken away: {right.user} {right}" for right in difference.old_rights
    ]


def _change(admin: Cluster, layout: Layout, country: str, difference: Difference) -> None:
    passwords = {}
    for user in (*difference.new_users, *difference.locked_out):
        make_password_file(layout.kafka_password(user))
        password = access.login(layout, admin.bootstrap, country, user).password
        assert password is not None
        passwords[access.username(country, user)] = password
    there = broker(admin)
    there.set_passwords(passwords)
    there.allow(difference.new_rights)
    there.withdraw(difference.old_rights)
    there.remove_users(difference.old_users)
    for name in difference.old_users:
        # Who is let in again later gets another: this one may be why they were put out.
        layout.kafka_password(name.removeprefix(f"{country}.")).unlink(missing_ok=True)


async def _logs_in(admin: Cluster, layout: Layout, country: str, user: str) -> bool:
    """Whether the broker takes the password that the data folder keeps."""
    if not layout.kafka_password(user).exists():
        return False
    login = access.login(layout, admin.bootstrap, country, user)
    return await asyncio.to_thread(takes_login, replace(admin, username=login.username, password=login.password))
