"""What several commands share: their options, and how an error for a person ends a command."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from kintsugi_office.progress import say

Data = Annotated[
    Path | None, typer.Option("--data", help="The office's data folder (else $KINTSUGI_DATA, else .kintsugi).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]

P = ParamSpec("P")
R = TypeVar("R")


def explained(*expected: type[Exception]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let these errors end a command with their text and exit code 1 instead of a traceback."""

    def wrap(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except expected as error:
                say(f"kintsugi: {error}")
                sys.exit(1)

        return run

    return wrap
