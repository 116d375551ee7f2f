"""The one block a spectator watches: figures from consumed events, redrawn in place; plain lines without a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kintsugi_office.progress import console, say
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kintsugi_sandbox.demo.watch import Watch

_REDRAW_SECONDS = 0.1


class View:
    """What is shown while the days pass. ``day`` is told by the script, every figure by the topics."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        self._day = ""
        self._live: Live | None = None
        self._drawn = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs."""
        if not sys.stderr.isatty():
            yield
            self._line()
            return
        with Live(self._block(), console=console(), auto_refresh=False, transient=True) as self._live:
            yield
            self._live.update(self._block(), refresh=True)
        self._live = None

    def day(self, text: str) -> None:
        """A new day, or a new hour of it."""
        if self._live is None and self._day:
            self._line()
        self._day = text
        if self._live is None:
            say(text)
        self.changed()

    def changed(self) -> None:
        """New events were read."""
        if self._live is not None and time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._block(), refresh=True)

    def _line(self) -> None:
        if self.watch is not None:
            count = self.watch.counts
            told = ", ".join(f"{count[name]} {words}" for name, words in _LINES if count[name])
            say(f"  {told or 'no events yet'}")

    def _block(self) -> Group:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        if self.watch is not None:
            for name, words in _LINES:
                table.add_row(str(self.watch.counts[name]), words)
        return Group(Text(self._day or "starting", style="bold"), table)


_LINES = (
    ("case.opened", "cases"),
    ("risk.raised", "people in danger"),
    ("assessment.completed", "assessments completed"),
    ("assessment.overdue", "assessments overdue"),
    ("referral.proposed", "needs with options"),
    ("referral.chosen", "choices"),
    ("referral.requested", "requests to services"),
    ("referral.overdue", "answers overdue"),
    ("disclosure.made", "disclosures, to services and a partner"),
    ("consent.withdrawn", "consents withdrawn"),
    ("purge.acknowledged", "deletions confirmed"),
    ("notification.sent", "messages sent"),
    ("notification.withheld", "messages kept back"),
    ("staff_task.created", "tasks for staff"),
)
