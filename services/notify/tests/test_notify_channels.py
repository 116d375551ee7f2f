"""Mail over SMTP, against a real server on this machine: what is taken, refused, and never known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from kintsugi.agenda import Message
from kintsugi.channels import DeliveryFailed
from kintsugi.settings import Settings, SettingsError
from kintsugi_notify.channels import Gateway, Mail, channels
from pydantic import SecretStr

Serve = Callable[["Box"], Awaitable[Mail]]


class Box:
    """Takes mail, or answers as told at one step."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.senders: list[str] = []

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if "mail" in self.answers:
            return self.answers["mail"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        if "rcpt" in self.answers:
            return self.answers["rcpt"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.append(list(envelope.rcpt_tos))
        self.senders.append(envelope.mail_from)
        return self.answers.get("data", "250 OK")


@pytest.fixture
async def served() -> AsyncIterator[Callable[[Box], Awaitable[Mail]]]:
    """Starts a mail server before a box, and gives the way to it."""
    started: list[asyncio.Server] = []

    async def serve(box: Box) -> Mail:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(box, enable_SMTPUTF8=True, loop=loop), "127.0.0.1", 0)
        started.append(server)
        return Mail(Gateway("127.0.0.1", server.sockets[0].getsockname()[1]), "no-reply@office.example")

    yield serve
    for server in started:
        server.close()


def message(to: str = "desk@door.example", body: str = "Please answer.\n", **headers: str) -> Message:
    return Message(
        to=SecretStr(to),
        subject=SecretStr("A request is waiting"),
        body=SecretStr(body),
        template="provider_request",
        locale="en",
        headers=headers,
    )


@asynccontextmanager
async def rude_server(last_words: bytes | None) -> AsyncIterator[int]:
    """Speaks SMTP up to the text, then says this and closes; or, for None, says nothing more."""
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while (line := await reader.readline()) and not line.upper().startswith(b"DATA"):
            writer.write(b"250 OK\r\n")
        writer.write(b"354 go on\r\n")
        while (line := await reader.readline()) and line != b".\r\n":
            pass
        if last_words is None:
            await done.wait()
        else:
            writer.write(last_words)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        done.set()
        server.close()
        await server.wait_closed()


async def test_a_message_arrives_with_its_words_and_a_neutral_sender(served: Serve) -> None:
    box = Box()
    long_link = "https://office.example/answer/" + "a" * 300
    await (await served(box)).send(
        message(body=f"مرحبًا\n{long_link}\n", From="Updates <updates@office.example>"), "0f3a"
    )
    [mail] = box.mails
    assert mail["From"] == "Updates <updates@office.example>"
    assert mail["To"] == "desk@door.example"
    assert mail["Subject"] == "A request is waiting"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] is not None
    assert mail.get_content().replace("\r\n", "\n") == f"مرحبًا\n{long_link}\n"
    assert (box.recipients, box.senders) == ([["desk@door.example"]], ["updates@office.example"])


async def test_every_attempt_at_one_send_has_the_same_message_id(served: Serve) -> None:
    box = Box()
    mail = await served(box)
    for key in ("0f3a", "0f3a", "77bc"):
        await mail.send(message(), key)
    ids = [mail["Message-ID"] for mail in box.mails]
    assert ids == ["<0f3a@office.example>", "<0f3a@office.example>", "<77bc@office.example>"]


@pytest.mark.parametrize(
    ("answers", "reason", "permanent"),
    [
        ({"rcpt": "550 no such mailbox"}, "address_refused", True),
        ({"rcpt": "451 greylisted"}, "address_refused", False),
        ({"mail": "553 not from you"}, "gateway_refused", True),
        ({"mail": "421 too busy"}, "gateway_refused", False),
        ({"data": "554 refused"}, "gateway_refused", True),
        ({"data": "452 no space"}, "gateway_refused", False),
    ],
)
async def test_a_refusal_is_certain_and_lasting_only_when_the_server_says_so(
    served: Serve, answers: dict[str, str], reason: str, permanent: bool
) -> None:
    with pytest.raises(DeliveryFailed) as failed:
        await (await served(Box(**answers))).send(message(), "0f3a")
    assert (failed.value.reason, failed.value.permanent) == (reason, permanent)
    assert failed.value.__cause__ is None
    assert "mailbox" not in str(failed.value)


async def test_a_server_that_is_not_there_took_nothing() -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(DeliveryFailed) as failed:
        await Mail(Gateway("127.0.0.1", port), "no-reply@office.example").send(message(), "0f3a")
    assert (failed.value.reason, failed.value.permanent) == ("connection_failed", False)


async def test_a_connection_that_breaks_after_the_text_leaves_the_end_unknown() -> None:
    async with rude_server(b"") as port:
        with pytest.raises(ConnectionError):
            await Mail(Gateway("127.0.0.1", port), "no-reply@office.example").send(message(), "0f3a")


async def test_a_server_that_falls_silent_after_the_text_leaves_the_end_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kintsugi_notify.channels.COMMAND_SECONDS", 0.3)
    async with rude_server(None) as port:
        with pytest.raises(TimeoutError):
            await Mail(Gateway("127.0.0.1", port), "no-reply@office.example").send(message(), "0f3a")


async def test_a_server_that_hangs_up_without_a_farewell_has_taken_the_message() -> None:
    async with rude_server(b"250 taken\r\n") as port:
        await Mail(Gateway("127.0.0.1", port), "no-reply@office.example").send(message(), "0f3a")


@pytest.mark.parametrize(
    "address",
    [
        "desk@door.example, spy@else.example",
        "desk@door.example\r\nBcc: spy@else.example",
        "Desk <desk@door.example>",
        "desk",
        "",
        "@",
    ],
)
async def test_what_is_not_exactly_one_address_is_refused_before_anything_leaves(served: Serve, address: str) -> None:
    box = Box()
    with pytest.raises(DeliveryFailed) as failed:
        await (await served(box)).send(message(to=address), "0f3a")
    assert (failed.value.reason, failed.value.permanent) == ("address_refused", True)
    assert box.mails == []


async def test_an_address_in_another_script_is_written_to(served: Serve) -> None:
    box = Box()
    await (await served(box)).send(message(to="تالا@بريد.example"), "0f3a")
    assert box.recipients == [["تالا@بريد.example"]]


async def test_encryption_that_was_demanded_is_not_given_up(served: Serve) -> None:
    box = Box()
    plain = await served(box)
    demanding = Mail(Gateway("127.0.0.1", plain._gateway.port, starttls=True), "no-reply@office.example")
    with pytest.raises(DeliveryFailed) as failed:
        await demanding.send(message(), "0f3a")
    assert not failed.value.permanent
    assert box.mails == []


def test_the_gateway_is_read_from_its_setting() -> None:
    assert Gateway.parse("smtp://127.0.0.1:2525") == Gateway("127.0.0.1", 2525)
    assert Gateway.parse("smtp://mail.example:587?starttls") == Gateway("mail.example", 587, starttls=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example:25",
        "smtp://mail.example",
        "smtp://:25",
        "smtp://mail.example:port",
        "smtp://mail.example:25/path",
        "smtp://mail.example:25?tls",
        "smtp://mail.example:25?starttls=no",
        "smtp://user:word@mail.example:25",
    ],
)
def test_a_wrong_setting_is_named_without_its_value(url: str) -> None:
    with pytest.raises(SettingsError, match="KINTSUGI_SMTP_URL") as wrong:
        Gateway.parse(url)
    assert "word" not in str(wrong.value)


def test_without_a_mail_server_there_is_no_way_out() -> None:
    plain = Settings.model_construct(smtp_url=None, mail_from="no-reply@office.example")
    assert channels(plain) == {}
    configured = Settings.model_construct(smtp_url="smtp://127.0.0.1:25", mail_from="no-reply@office.example")
    assert set(channels(configured)) == {"email"}
