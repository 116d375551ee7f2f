"""What a person sees while something is fetched: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kintsugi_office.progress import console, say
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


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
