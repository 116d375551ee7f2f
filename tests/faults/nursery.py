"""Service processes in a blink: the kit and the services are imported once, and each process is a fork of that.

A fork is as real a process as any: it has its own memory, connections and exit code, and dies by the same signals.
What is not forked is anything that reads the environment: a child reads its own.

``python -m tests.faults.nursery`` takes one JSON order per line (``names``, ``told``, ``log``), answers each with
``{"pid": …}``, and says ``{"ended": pid, "code": …}`` when a child has ended. It ends, with all children, when its
input does.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


class Nursery:
    """The other end of that conversation. One per test session, since it holds every import."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._born = threading.Condition()
        self._pids: list[int] = []
        self.ended: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True, name="nursery").start()

    def fork(self, names: Sequence[str], told: Mapping[str, str], log: Path) -> int:
        """Starts a process of these services; returns its pid."""
        with self._asking:
            assert self._process.stdin is not None
            order = {"names": list(names), "told": dict(told), "log": str(log)}
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            with self._born:
                assert self._born.wait_for(lambda: self._pids, 90), "the nursery does not answer"
                return self._pids.pop()

    def close(self) -> None:
        """Ends it and everything it started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._born:
                if "pid" in said:
                    # An end of the same pid is of an earlier process: numbers are used again.
                    self.ended.pop(said["pid"], None)
                    self._pids.append(said["pid"])
                    self._born.notify_all()
                else:
                    self.ended[said["ended"]] = said["code"]


def main() -> None:
    """Serves orders until the input ends."""
    from importlib.metadata import entry_points

    start: Any = importlib.import_module("kintsugi.runtime.start")
    for point in entry_points(group="kintsugi.services"):
        point.load()
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    rest = b""
    while True:
        readable, _, _ = select.select([0], [], [], 0.02)
        _bury(children)
        if not readable:
            continue
        came = os.read(0, 1 << 20)
        if not came:
            break
        *lines, rest = (rest + came).split(b"\n")
        for line in lines:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _live(start, order)
            children.add(pid)
            print(json.dumps({"pid": pid}), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _bury(children: set[int]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.discard(pid)
            print(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}), flush=True)


def _live(start: Any, order: Mapping[str, Any]) -> None:
    """The child's life. Does not return."""
    code = 1
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for here, there in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(here, there)
        os.environ.update(order["told"])
        importlib.reload(importlib.import_module("kintsugi.failpoints"))
        bug = os.environ.get("KINTSUGI_TEST_SEED")
        if bug:
            importlib.import_module("tests.faults.seeded.bugs").BUGS[bug]()
        start.main(*order["names"])
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:  # whatever it is, a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
