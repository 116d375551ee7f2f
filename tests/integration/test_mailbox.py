"""The mail server of a development office keeps what it is given."""

import asyncio
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import aiosmtplib
from kintsugi_sandbox import mailbox
from kintsugi_sandbox.embedded.servers import free_port


def _message(number: int) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "office@xandria.example", "shelter@haven.example"
    message["Message-ID"] = "<same@xandria.example>"
    message["Subject"] = f"A request ({number}) for Zoé"
    message.set_content("Please open the link.\n.\nA line that is a dot came before this one.\n")
    return message


def _kept(folder: Path) -> list[EmailMessage]:
    assert list(folder.glob(".*")) == [], "no half-written message stays"
    parser = BytesParser(EmailMessage, policy=policy.default)
    return [parser.parsebytes(file.read_bytes()) for file in sorted(folder.glob("*.eml"))]


async def test_every_message_becomes_a_file_even_the_same_one_twice(tmp_path: Path) -> None:
    port = free_port()
    server = await mailbox.serve(tmp_path, port)
    async with server:
        await asyncio.gather(
            *(aiosmtplib.send(_message(n), hostname="127.0.0.1", port=port) for n in (1, 1, 2)),
        )
    kept = _kept(tmp_path)
    assert sorted(str(mail["Subject"]) for mail in kept) == [
        "A request (1) for Zoé",
        "A request (1) for Zoé",
        "A request (2) for Zoé",
    ]
    assert {str(mail["X-Envelope-To"]) for mail in kept} == {"shelter@haven.example"}
    body = kept[0].get_body()
    assert body is not None
    assert (
        body.get_content().replace("\r\n", "\n")
        == "Please open the link.\n.\nA line that is a dot came before this one.\n"
    )
