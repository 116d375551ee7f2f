"""A mail server that keeps every message it is given as an ``.eml`` file, and removes no duplicates.

``python -m kintsugi_sandbox.mailbox --port 20025 --folder mail``. The envelope's addresses are added as the headers
``X-Envelope-From`` and ``X-Envelope-To``; the rest of the file is the message byte for byte.
"""

import argparse
import asyncio
import itertools
import os
import signal
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

LARGEST_MESSAGE = 1 << 20


class Keeper:
    """Writes one file per DATA command; a message is acknowledged when its file is on the disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._count = itertools.count(1)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        """Called by aiosmtpd for each message; returns the SMTP answer."""
        content = envelope.content or b""
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogateescape")
        name = f"{time.time_ns():020d}-{next(self._count):06d}.eml"
        addresses = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n"
        draft = self.folder / f".{name}"
        with draft.open("xb") as file:
            file.write(addresses.encode("utf-8") + content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.folder / name)
        return f"250 2.0.0 kept as {name}"


async def serve(folder: Path, port: int, *, host: str = "127.0.0.1") -> asyncio.Server:
    """Listen on ``host:port`` and keep messages in ``folder``. The caller closes the server."""
    keeper = Keeper(folder)
    return await asyncio.get_running_loop().create_server(
        lambda: SMTP(keeper, hostname="mailbox.example", enable_SMTPUTF8=True, data_size_limit=LARGEST_MESSAGE),
        host,
        port,
    )


async def _run(folder: Path, port: int, host: str) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    server = await serve(folder, port, host=host)
    print(f"Keeping mail for {host}:{port} in {folder}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; it asks nobody for a password")
    chosen = parser.parse_args()
    asyncio.run(_run(chosen.folder, chosen.port, chosen.host))
