"""Puts the bug named in KINTSUGI_SEEDED_BUG into every service process that starts with this folder on its path."""

import os
import runpy
import sys
from pathlib import Path

_BUGS = Path(__file__).parents[2] / "faults" / "seeded" / "bugs.py"


def _mail_twice() -> None:
    """A mail is handed over twice, as by a channel that repeats what it was told to do once."""
    from kintsugi_notify import channels

    once = channels.Mail.send
    sent = iter(range(1_000_000))

    async def twice(self: object, message: object, key: str) -> None:
        await once(self, message, key)  # type: ignore[arg-type]
        if next(sent) == 20:
            await once(self, message, key)  # type: ignore[arg-type]

    channels.Mail.send = twice  # type: ignore[method-assign]


def _seed(name: str) -> None:
    if name == "mail_twice":
        if "kintsugi_notify" in sys.orig_argv:
            _mail_twice()
        return
    runpy.run_path(str(_BUGS))["BUGS"][name]()


_bug = os.environ.get("KINTSUGI_SEEDED_BUG")
_OURS_BUT_NO_SERVICE = ("kintsugi_office", "kintsugi_sandbox")
_service = any(
    word.startswith("kintsugi_") and word.partition(".")[0] not in _OURS_BUT_NO_SERVICE for word in sys.orig_argv[1:]
)
if _bug and _service:
    try:
        _seed(_bug)
    except (
        BaseException
    ) as error:  # Python goes on after a failing sitecustomize: a test without its bug proves nothing
        print(f"the bug {_bug} could not be put in: {error!r}", file=sys.stderr, flush=True)
        os._exit(3)
