"""What a person sees while something takes time: a console for people, and one line at once."""

import os
import sys

from rich.console import Console


def console() -> Console:
    """The console for people: standard error, 80 columns when it is not a terminal, no colour under NO_COLOR."""
    terminal = sys.stderr.isatty()
    return Console(stderr=True, width=None if terminal else 80, no_color="NO_COLOR" in os.environ, highlight=False)


def say(line: str) -> None:
    """One line for the person who waits, at once."""
    print(line, file=sys.stderr, flush=True)
