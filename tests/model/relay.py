"""From a database's outbox to its topic. Every process has a relay, and they overlap: nothing locks them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.settings import TYPES
from tests.model.storage import Event

if TYPE_CHECKING:
    from tests.model.shell import Shell
    from tests.model.world import World

MOST = 6


class Relay:
    """One process's relay. A pass reads the oldest rows, sends them in order, and then marks all of them at once."""

    def __init__(self, shell: Shell, world: World) -> None:
        self.shell = shell
        self.world = world
        self.rows: list[tuple[int, Event]] = []
        self.sent = 0

    def forget(self) -> None:
        """The process died: what was sent and not marked will be sent again."""
        self.rows = []
        self.sent = 0

    def step(self, faults: bool) -> bool:
        """Reads, sends some, fails, or marks. False where there is nothing to send."""
        random = self.world.rng.random
        if not self.rows:
            self.rows = self.read()
            self.sent = 0
            return bool(self.rows)
        if self.sent == len(self.rows):
            self.mark()
            self.rows = []
            return True
        most = 1 + int(random() * (len(self.rows) - self.sent)) if faults else len(self.rows)
        for id_, event in self.rows[self.sent : self.sent + most]:
            if faults and random() < 0.04:
                self.failed(id_)
                break
            self.send(event, faults)
            self.sent += 1
        return True

    def read(self) -> list[tuple[int, Event]]:
        """The oldest unsent rows, by id."""
        outbox = self.shell.database.outbox
        return [(id_, outbox[id_]) for id_ in sorted(outbox)[:MOST]]

    def send(self, event: Event, faults: bool) -> None:
        """One record; rarely, a broker that says it kept it and did not."""
        setting = self.world.setting
        if (
            faults
            and setting.swallowing
            and event.envelope.type in TYPES
            and not self.world.on_log(event.number)
            and self.world.rng.random() < setting.swallowing
        ):
            self.world.topics.lost.add(event.number)
            self.world.seen["swallowed"] += 1
            return
        self.world.append(event)

    def failed(self, _id: int) -> None:
        """Any failure ends the pass: the next one starts again at the oldest unsent row."""
        self.forget()
        self.world.seen["relay failed"] += 1

    def mark(self) -> None:
        """Acknowledged rows move from the outbox to what was published."""
        database = self.shell.database
        for id_, event in self.rows:
            if database.outbox.pop(id_, None) is not None:
                database.published.append(event)
