"""The scripted providers: they have no account, know nobody's case, and act on what stands in their mail."""

import asyncio
import os
import re
import time
from collections import defaultdict
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from kintsugi_sandbox.demo.desk import Desk

_LINK = re.compile(r"https?://[^\s<>\"]+/provider/[A-Za-z0-9_-]+")
_LOOK_EVERY = 0.05


class NoMail(RuntimeError):
    """A mail that a provider should have got did not come."""


class Inbox:
    """Reads the folder of the capturing mail server; links that came to an address, in the order of arrival."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()
        self._links: dict[str, list[str]] = defaultdict(list)

    def links(self, address: str) -> list[str]:
        """Every link that came to this address so far, the same one once."""
        arrived = {name for name in os.listdir(self._folder) if name.endswith(".eml") and not name.startswith(".")}
        for name in sorted(arrived - self._known):
            self._known.add(name)
            mail = BytesParser(policy=policy.default).parsebytes((self._folder / name).read_bytes())
            body = mail.get_body(("plain",))
            for link in _LINK.findall(body.get_content() if body else ""):
                to = str(mail["X-Envelope-To"])
                if link not in self._links[to]:
                    self._links[to].append(link)
        return list(self._links[address])


class Provider:
    """One agency's desk: opens the links it was sent, one after the other."""

    def __init__(self, address: str, agency: str, inbox: Inbox, desk: Desk) -> None:
        self.agency = agency
        self.turn = asyncio.Lock()
        """Held from a request until its mail is opened: two requests at once could not be told apart by their mail."""
        self._address = address
        self._inbox = inbox
        self._desk = desk
        self._opened: dict[str, str] = {}
        self._requests: list[tuple[str, str | None]] = []

    async def next_request(self, need: str, *, within: float) -> str:
        """The link of a request about this need that nobody dealt with yet. Raises NoMail after ``within`` seconds."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            await self._read_mail()
            for link, about in self._requests:
                if about in (need, None):
                    self._requests.remove((link, about))
                    return link
            await asyncio.sleep(_LOOK_EVERY)
        raise NoMail(f"No mail about {need} came to the agency {self.agency} within {within:.0f} s.")

    async def all_purges(self) -> list[str]:
        """The links of all wishes to delete that came so far."""
        await self._read_mail()
        return [link for link, kind in self._opened.items() if kind == "purge"]

    async def answer(self, link: str, referral_id: str, status: str, **more: Any) -> None:
        """Answer a request: accept, reject with a reason, report."""
        body = {"status": status, **more}
        about = {"referral_id": referral_id, "agency": self.agency, **body}
        await self._desk.change(
            "referral", "/provider/{token}/answer", "provider_answer", about, json=body, url=f"{link}/answer"
        )

    async def acknowledge_purge(self, link: str) -> None:
        """Say that what was received is deleted."""
        about = {"agency": self.agency}
        await self._desk.change("referral", "/provider/{token}/purge", "purge_ack", about, url=f"{link}/purge")

    async def _read_mail(self) -> None:
        for link in self._inbox.links(self._address):
            if link in self._opened:
                continue
            path = "/provider/" + link.rsplit("/", 1)[1]
            shown = (await self._desk.read("referral", path)).json()
            self._opened[link] = shown["kind"]
            if shown["kind"] == "answer":
                self._requests.append((link, shown["facts"]["need"] if shown["facts"] else None))
