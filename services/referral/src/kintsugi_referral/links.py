"""The links by which agencies answer, and what a decision needs to make one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from kintsugi.auth import Claims, LinkError, LinkSigner
from kintsugi.secrets import read_key_file
from kintsugi.settings import Profile, Settings, SettingsError
from kintsugi_country import Pack

LinkKind = Literal["answer", "purge"]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and reads links. A link has one purpose: with one for answering nothing can be acknowledged as deleted."""

    signer: LinkSigner
    public_url: str
    pack: Pack

    def url(self, kind: LinkKind, *, referral_id: str, subject: str, agency: str, option_id: str, at: datetime) -> str:
        """A link that ends ``at`` (business time). The same arguments give the same link."""
        token = self.signer.sign(kind, referral_id, subject, agency, option_id, at)
        return f"{self.public_url.rstrip('/')}/provider/{token}"

    def read(self, token: str, kind: LinkKind) -> Claims:
        """What a token stands for; whether it has expired is decided where the business clock is known.

        Raises LinkError for a token of another purpose or none of ours.
        """
        return self.signer.verify(token, kind, _LONG_AGO)

    def read_any(self, token: str) -> Claims:
        """The same for a token of either purpose."""
        try:
            return self.read(token, "answer")
        except LinkError:
            return self.read(token, "purge")


def links(settings: Settings, pack: Pack) -> Links:
    """The snapshot for ``ctx.resources``. Raises SettingsError and KeyFileError where one is missing."""
    if settings.link_key is None:
        raise SettingsError("KINTSUGI_LINK_KEY is not set: provider links cannot be signed. Name a key file.")
    key = read_key_file(settings.link_key)
    url = settings.public_url
    if url is None:
        if settings.profile is Profile.production:
            raise SettingsError(
                "KINTSUGI_PUBLIC_URL is not set: provider links would lead nowhere. Set it to https://…"
            )
        url = f"http://{settings.http_host}:{settings.http_port}"
    return Links(LinkSigner(key), url, pack)
