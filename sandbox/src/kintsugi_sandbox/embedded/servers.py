"""Starting a server process so that it dies with the office, and waiting until it answers."""

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from kintsugi_sandbox.embedded.places import Account

_PR_SET_PDEATHSIG = 1
_LOWEST_PORT, _HIGHEST_PORT = 20_000, 32_000


class ServerDidNotStart(RuntimeError):
    """A server ended or stayed silent while it was expected to become ready; the text holds its last log lines."""


def free_port(*, taken: Sequence[int] = ()) -> int:
    """A port of 127.0.0.1 nobody listens on, below the ephemeral range so that no client can take it by chance."""
    for _ in range(500):
        port = random.randint(_LOWEST_PORT, _HIGHEST_PORT)  # noqa: S311 (not a secret)
        if port not in taken and port_is_free(port):
            return port
    raise RuntimeError(f"No free port between {_LOWEST_PORT} and {_HIGHEST_PORT} on 127.0.0.1 after 500 tries.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own that gets ``death_signal`` when this process dies.

    On Linux the kernel sends the signal when the *thread* that started it ends: call this from a thread that lives
    as long as the server. Elsewhere a small guard process watches a pipe. Output goes to ``log`` (appended).
    """
    output: IO[bytes] | int = subprocess.DEVNULL
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    linux = sys.platform == "linux"
    try:
        process = subprocess.Popen(  # noqa: S603 (our own command lines)
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if env is None else env),
            cwd=cwd,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_die_with(os.getpid(), death_signal) if linux else None,
        )
    finally:
        if not isinstance(output, int):
            output.close()
    if not linux:
        _guard(process, death_signal)
    return process


def _die_with(parent: int, death_signal: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return before_exec


_guard_pipes: dict[int, int] = {}


def _guard(process: subprocess.Popen[bytes], death_signal: int) -> None:
    """Start the process that ends ``process`` when our end of a pipe closes, that is: when we are gone."""
    reading, writing = os.pipe()
    subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "kintsugi_sandbox.embedded.guard", str(process.pid), str(int(death_signal))],
        stdin=reading,
        start_new_session=True,
    )
    os.close(reading)
    _guard_pipes[process.pid] = writing


async def wait_until(
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    *,
    what: str,
    log: Path,
    seconds: float,
) -> None:
    """Poll ``ready`` until it holds. Raises ServerDidNotStart if the process ends first or the time is over."""
    end = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise ServerDidNotStart(
                f"{what} ended with code {process.returncode} while starting.\n{tail(log)}\nFull log: {log}"
            )
        if time.monotonic() > end:
            raise ServerDidNotStart(f"{what} was not ready after {seconds:.0f} s.\n{tail(log)}\nFull log: {log}")
        await asyncio.sleep(0.02)


async def stop_process(process: subprocess.Popen[bytes], *, first: signal.Signals, seconds: float) -> None:
    """Ask a process to stop with ``first``; kill it and its children when it has not after ``seconds``."""
    if process.poll() is None:
        process.send_signal(first)
        end = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < end:  # noqa: ASYNC110 (another process ends)
            await asyncio.sleep(0.02)
    await kill_process(process)


async def kill_process(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children at once, and wait until they are gone."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    while process.poll() is None or any(_alive(member) for member in family):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    pipe = _guard_pipes.pop(process.pid, None)
    if pipe is not None:
        os.close(pipe)


def _alive(member: psutil.Process) -> bool:
    try:
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, for an error message; empty when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
