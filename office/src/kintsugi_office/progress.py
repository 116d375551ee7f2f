"""What a person sees while something takes time: live bars on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


def console() -> Console:
    """The console for people: standard error, 80 columns when it is not a terminal, no colour under NO_COLOR."""
    terminal = sys.stderr.isatty()
    return Console(stderr=True, width=None if terminal else 80, no_color="NO_COLOR" in os.environ, highlight=False)


def say(line: str) -> None:
    """One line for the person who waits, at once."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def transfer(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show the fetching of ``total`` bytes; the size is said before the first byte. Yields ``advance(bytes)``."""
    say(f"Fetching {what} ({total / 1e6:.0f} MB), kept for next time")
    if console().is_terminal:
        with Progress(
            TextColumn("  "), BarColumn(40), DownloadColumn(), TimeRemainingColumn(), console=console(), transient=True
        ) as bar:
            task = bar.add_task("", total=total)
            yield lambda arrived: bar.advance(task, arrived)
        return
    seen, shown = 0, 0

    def advance(arrived: int) -> None:
        nonlocal seen, shown
        seen += arrived
        if seen * 4 // max(total, 1) > shown:
            shown = seen * 4 // max(total, 1)
            say(f"  {seen / 1e6:.0f} of {total / 1e6:.0f} MB")

    yield advance
