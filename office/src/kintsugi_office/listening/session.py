"""One session of listening: from what was asked to the last line, which says how much was heard."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from kintsugi_office import access, state
from kintsugi_office.progress import say
from kintsugi_office.project import Layout, contracts_folder

if TYPE_CHECKING:  # these import the whole kit, which takes a second: the help of every command would wait for it
    from kintsugi.kafka import Cluster

    from kintsugi_office.listening.choosing import Wanted
    from kintsugi_office.listening.heard import Heard
    from kintsugi_office.listening.pretty import Pretty
    from kintsugi_office.listening.reading import Tail, Unread

_QUIET_SECONDS = 2.0
_TELL_SECONDS = 5.0


class Format(StrEnum):
    """How records are shown."""

    pretty = "pretty"
    json = "json"
    cloudevents = "cloudevents"


@dataclass(frozen=True)
class Asked:
    """The options of the command, as given."""

    country: str | None
    types: tuple[str, ...]
    case: str | None
    since: str
    form: Format
    until_end: bool
    limit: int | None


def run(layout: Layout, asked: Asked, now: datetime) -> None:
    """Listens until the end, the limit, or Ctrl-C. Raises what ``kintsugi listen`` ends with."""
    # The client's own lines would stand between the records; what matters of them is said in ours.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_run(layout, asked, now))
    except BrokenPipeError:
        # Whoever read us has enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _run(layout: Layout, asked: Asked, now: datetime) -> None:
    from kintsugi_office.listening.finding import subject_of

    cluster = access.cluster(layout)
    current = state.running(layout.state)
    country = asked.country or current.country

    async def find(ref: str, openings: Mapping[str, int]) -> str:
        return await subject_of(layout, ref, cluster, openings, foreign=country != current.country)

    await listen(cluster, contracts_folder(Path(current.project)), country, asked, now, find, _stopping())


async def listen(
    cluster: "Cluster",
    contracts: Path,
    country: str,
    asked: Asked,
    now: datetime,
    find: Callable[[str, Mapping[str, int]], Awaitable[str]],
    stop: asyncio.Event,
) -> None:
    """Shows what is asked for of a country's topics, until the end, the limit, or ``stop``.

    ``find`` gives the subject that a reference means, and may read the topics that carry openings of cases.
    """
    from kintsugi_contracts.catalog import Catalog
    from kintsugi_contracts.topic_file import topic_files

    from kintsugi_office.listening.choosing import Wanted, beginning, patterns
    from kintsugi_office.listening.reading import Tail

    start = beginning(asked.since, now)
    catalog = Catalog.installed()
    files = {**catalog.topics, **topic_files(contracts)}.values()
    known = {model.type for model in catalog.event_types()} | {type_ for file in files for type_ in file.types()}
    chosen = patterns(asked.types, known)
    subject = None
    if asked.case is not None:
        subject = await find(
            asked.case, {file.name(country): file.partitions for file in files if "case.opened" in file.events}
        )
    topics = {file.name(country): file.partitions for file in files}
    voice = Voice(asked, Wanted(chosen, subject))
    async with Tail(cluster, topics, start, subject, away=voice.away) as tail:
        await voice.follow(tail, stop, country)


def _stopping() -> asyncio.Event:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


@dataclass
class Voice:
    """Says what is heard: records on standard output, everything about them on standard error."""

    asked: Asked
    wanted: "Wanted"
    heard: int = 0
    shown: int = 0
    wrong: int = 0
    _pretty: "Pretty | None" = None
    _said_at: float = field(default_factory=time.monotonic)
    _line: bool = False

    async def follow(self, tail: "Tail", stop: asyncio.Event, country: str) -> None:
        """Shows what is wanted of a tail, and at the end how much that was."""
        if self.asked.form is Format.pretty:
            from kintsugi_office.listening.pretty import Pretty
            from kintsugi_office.operators import paper

            self._pretty = Pretty(paper())
        until = "to the end" if self.asked.until_end else "Ctrl-C ends it"
        absent = f" (not there: {', '.join(tail.absent)})" if tail.absent else ""
        there = len(tail.topics) - len(tail.absent)
        say(f"Listening to {country}, {there} topics{absent}, from {self.asked.since}; {until}.")
        finished = "The end of the topics"
        async with contextlib.aclosing(tail.read(stop, until_end=self.asked.until_end)) as batches:
            async for batch in batches:
                if not self._take(batch):
                    finished = f"--limit {self.asked.limit}"
                    break
                self._progress(tail)
        self._clear()
        if stop.is_set():
            finished = "Ctrl-C"
        wrong = f", {self.wrong} of them not as the contract says" if self.wrong else ""
        say(f"{finished}: {self.shown} shown{wrong}, of {self.heard} heard.")

    def away(self, gone: bool) -> None:
        """Kafka stopped answering, or answers again."""
        say("Kafka does not answer; waiting. See: kintsugi status" if gone else "Kafka answers again.")

    def _take(self, batch: Iterable["Heard | Unread"]) -> bool:
        """Whether more is wanted after these."""
        from kintsugi_office.listening.heard import Heard

        for each in batch:
            if not isinstance(each, Heard):
                self._passed_over(each)
                continue
            self.heard += 1
            if self._pretty is not None:
                self._pretty.learn(each)
            if not self.wanted.matches(each):
                continue
            self._clear()
            self._show(each)
            self._said_at = time.monotonic()
            self.shown += 1
            self.wrong += each.problem is not None
            if self.shown == self.asked.limit:
                return False
        if self._pretty is None:
            sys.stdout.flush()
        return True

    def _show(self, heard: "Heard") -> None:
        from kintsugi_office.listening import formats

        if self._pretty is not None:
            self._pretty.show(heard)
        elif self.asked.form is Format.json:
            print(formats.as_json(heard))
        elif (event := formats.as_cloudevent(heard)) is not None:
            print(event)
        else:
            code = heard.problem.code if heard.problem else "unreadable"
            say(f"{heard.place} is no CloudEvent: {code}")

    def _passed_over(self, unread: "Unread") -> None:
        self._clear()
        count = unread.last - unread.first + 1
        self.heard += count
        self.shown += count
        self.wrong += count
        if self._pretty is not None:
            self._pretty.unread(unread.topic, unread.partition, unread.first, unread.last)
        else:
            say(f"{unread.topic}/{unread.partition} at {unread.first} to {unread.last} cannot be read; passed over")

    def _progress(self, tail: "Tail") -> None:
        """While history is read and nothing of it is shown: how far it is."""
        now = time.monotonic()
        if tail.done >= tail.total:
            self._clear()
        elif sys.stderr.isatty() and now - self._said_at > _QUIET_SECONDS:
            text = f"  reading: {tail.done:,} of {tail.total:,} records, {100 * tail.done // tail.total} %"
            print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
            self._line = True
        elif now - self._said_at > _TELL_SECONDS:
            say(f"  reading: {tail.done:,} of {tail.total:,} records")
            self._said_at = now

    def _clear(self) -> None:
        if self._line:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
            self._line = False
