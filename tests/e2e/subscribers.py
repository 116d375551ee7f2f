"""Runs the subscribers of ``examples`` as a partner would: each a process of its own, told by its environment."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from kintsugi_contracts import node

from tests.e2e import subscriber_java

EXAMPLES = Path(__file__).parents[2] / "examples"
LANGUAGES = ("python", "node", "java")
SECONDS = 60.0
IDLE_SECONDS = 4


def run_example(
    language: str, told: Mapping[str, str], *, idle_seconds: int = IDLE_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Runs a subscriber until nothing came for ``idle_seconds``, and returns what it said, whatever its exit code.

    Raises TimeoutExpired after a minute.
    """
    with start_example(language, told, idle_seconds=idle_seconds) as process:
        try:
            said, complained = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, said, complained)


def start_example(language: str, told: Mapping[str, str], *, idle_seconds: int = IDLE_SECONDS) -> subprocess.Popen[str]:
    """Starts a subscriber, which goes on until nothing came for ``idle_seconds``.

    ``told`` is what an office hands a partner (``kintsugi_office.integrators.environment``); of this process's
    environment it gets nothing but the path.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.Popen(
        command(language),
        cwd=EXAMPLES / f"subscribe-{language}",
        env={**kept, **told, "UNTIL_IDLE_SECONDS": str(idle_seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@cache
def command(language: str) -> list[str]:
    """How a subscriber is started, with its packages fetched and its code compiled first where that is needed."""
    if language == "python":
        # Its requirements are a part of requirements.lock: tests/unit/test_examples.py.
        return [sys.executable, "subscribe.py"]
    if language == "node":
        node.install(EXAMPLES / "subscribe-node")
        return [str(node.program()), "subscribe.ts"]
    return subscriber_java.compiled(Path(tempfile.mkdtemp(prefix="kintsugi-subscribe-java-")))


def in_order(said: str) -> list[str]:
    """The lines of a run, sorted by case: Kafka keeps the order of each, and none among partitions."""
    *lines, total = said.splitlines()
    return [*sorted(lines, key=lambda line: line.split(" ", 1)[0]), total]
