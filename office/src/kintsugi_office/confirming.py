"""Asks a person about new readers of a topic and new holders of keys: nothing else widens what a service sees."""

import sys
from collections.abc import Sequence

import typer

from kintsugi_office.progress import say


class NotConfirmed(RuntimeError):
    """New rights were not confirmed; nothing was changed."""


def ask(said: Sequence[str], *, yes: bool) -> None:
    """Show what is new and ask whether it may be. With ``yes`` it is shown only.

    Raises NotConfirmed when the answer is no, and when there is no terminal to ask on.
    """
    say("New rights:")
    for line in said:
        say(f"  {line}")
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed("these rights are new, and there is no terminal to ask on: look at them, then add --yes.")
    if not typer.confirm("Grant them?", err=True):
        raise NotConfirmed("nothing was changed.")
