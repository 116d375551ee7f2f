"""Ends a process when the pipe on standard input closes: ``python -m kintsugi_sandbox.embedded.guard PID SIGNAL``.

For systems without a parent-death signal. The office holds the other end of the pipe and never writes to it, so it
closes when the office is gone, however it went.
"""

import os
import select
import signal
import sys

import psutil


def watch(pid: int, death_signal: int) -> None:
    """Return when ``pid`` has ended, or after sending it ``death_signal`` because standard input closed."""
    try:
        process = psutil.Process(pid)  # remembers the start time, so a reused pid is not hit
    except psutil.NoSuchProcess:
        return
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        readable, _, _ = select.select([sys.stdin], [], [], 1.0)
        if readable and not os.read(sys.stdin.fileno(), 1):
            if process.is_running():
                process.send_signal(death_signal)
            return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(int(sys.argv[1]), int(sys.argv[2]))
