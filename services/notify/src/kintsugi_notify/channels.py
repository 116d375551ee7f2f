"""The way out by mail: one SMTP conversation per message, and an exact word on how it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import SMTPUTF8
from email.utils import format_datetime, parseaddr
from urllib.parse import urlsplit

import aiosmtplib
from kintsugi.agenda import Message
from kintsugi.channels import Channel, DeliveryFailed
from kintsugi.settings import Settings, SettingsError

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0

_ATOM = r"[^\s@,;:<>()\[\]\"\\\x00-\x1f]+"
_ONE_ADDRESS = re.compile(f"{_ATOM}@{_ATOM}")


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where mail is handed over. ``starttls`` demands encryption; without it none is attempted."""

    host: str
    port: int
    starttls: bool = False

    @classmethod
    def parse(cls, url: str) -> Gateway:
        """Reads ``smtp://host:port[?starttls]``. Raises SettingsError, which names the variable and the form."""
        form = "KINTSUGI_SMTP_URL is not of the form smtp://host:port or smtp://host:port?starttls"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise SettingsError(f"{form}: write the mail server's name and port.") from None
        if parts.scheme != "smtp" or not host or not port or parts.path not in ("", "/") or parts.username:
            raise SettingsError(f"{form}: write the mail server's name and port.")
        if parts.query not in ("", "starttls"):
            raise SettingsError(f"{form}: 'starttls' is the only option.")
        return cls(host, port, starttls=bool(parts.query))


class Mail:
    """Carries messages over SMTP.

    The Message-ID follows from the send's key, so that a repeated attempt can be recognised as one. A refusal by
    the server (4xx, 5xx) and a server that was never reached are certain: nothing was taken. A connection that
    breaks once the text is on its way is not, and is raised as OSError or TimeoutError.
    """

    def __init__(self, gateway: Gateway, sender: str) -> None:
        self._gateway = gateway
        self._sender = sender

    async def send(self, message: Message, key: str) -> None:
        """Returns when the server has taken the message. Raises DeliveryFailed, OSError or TimeoutError."""
        mail, sender, recipient = self._written(message, key)
        client = aiosmtplib.SMTP(
            hostname=self._gateway.host,
            port=self._gateway.port,
            start_tls=self._gateway.starttls,
            timeout=CONNECT_SECONDS,
        )
        try:
            await self._addressed(client, sender, recipient)
            await self._handed_over(client, mail)
            await _leave(client)
        finally:
            client.close()

    async def _addressed(self, client: aiosmtplib.SMTP, sender: str, recipient: str) -> None:
        options, encoding = [], "ascii"
        try:
            await client.connect()
            if not recipient.isascii():
                await client.ehlo(timeout=COMMAND_SECONDS)
                if not client.supports_extension("smtputf8"):
                    raise DeliveryFailed("address_refused", permanent=True)
                options, encoding = ["SMTPUTF8"], "utf-8"
            await client.mail(sender, options=options, encoding=encoding, timeout=COMMAND_SECONDS)
        except aiosmtplib.SMTPResponseException as refusal:
            raise DeliveryFailed("gateway_refused", permanent=_permanent(refusal)) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as fault:
            raise DeliveryFailed(_unreached(fault), permanent=False) from None
        try:
            await client.rcpt(recipient, encoding=encoding, timeout=COMMAND_SECONDS)
        except aiosmtplib.SMTPResponseException as refusal:
            raise DeliveryFailed("address_refused", permanent=_permanent(refusal)) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as fault:
            raise DeliveryFailed(_unreached(fault), permanent=False) from None

    async def _handed_over(self, client: aiosmtplib.SMTP, mail: EmailMessage) -> None:
        try:
            await client.data(mail.as_bytes(), timeout=COMMAND_SECONDS)
        except aiosmtplib.SMTPResponseException as refusal:
            raise DeliveryFailed("gateway_refused", permanent=_permanent(refusal)) from None
        except TimeoutError:
            raise TimeoutError("the mail server did not say whether it took the message") from None
        except (aiosmtplib.SMTPException, OSError):
            raise ConnectionError("the connection broke while the message was on its way") from None

    def _written(self, message: Message, key: str) -> tuple[EmailMessage, str, str]:
        to = message.to.get_secret_value()
        # One address, not a list of them: whoever is not meant must not read it.
        if not _ONE_ADDRESS.fullmatch(to):
            raise DeliveryFailed("address_refused", permanent=True)
        origin = message.headers.get("From", self._sender)
        mail = EmailMessage(policy=SMTP_POLICY if to.isascii() else SMTPUTF8)
        mail["To"] = to
        mail["From"] = origin
        mail["Subject"] = message.subject.get_secret_value()
        sender = parseaddr(origin)[1]
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{key}@{sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.body.get_secret_value())
        return mail, sender, to


def channels(settings: Settings) -> Mapping[str, Channel]:
    """The ways out that are configured. Without a mail server every message ends as failed, and staff see it."""
    if settings.smtp_url is None:
        return {}
    return {"email": Mail(Gateway.parse(settings.smtp_url), settings.mail_from)}


async def _leave(client: aiosmtplib.SMTP) -> None:
    # The message was taken: a server that is rude at parting must not cause a second one.
    try:
        await client.quit(timeout=1)
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        return


def _permanent(refusal: aiosmtplib.SMTPResponseException) -> bool:
    return refusal.code >= 500


def _unreached(fault: Exception) -> str:
    return "timed_out" if isinstance(fault, TimeoutError) else "connection_failed"
