"""The agency's page: plain HTML, no script, nothing loaded from elsewhere, in the agency's language."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from importlib.resources import files
from urllib.parse import urlencode

from fluent.runtime import FluentBundle, FluentResource
from kintsugi_country import Pack
from starlette.responses import HTMLResponse

from kintsugi_referral.shown import Facts, Reply, Shown

RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})
_PROBLEMS = frozenset(
    {"link_expired", "link_invalid", "not_now", "referral_ended", "transition_refused", "reason_required"}
)
_MAIN = ("accepted", "in-progress", "completed")


@cache
def wordings() -> dict[str, FluentBundle]:
    """The page's texts by language: every file of the folder ``wording``, read once."""
    bundles: dict[str, FluentBundle] = {}
    for file in sorted((files(__package__) / "wording").iterdir(), key=lambda each: each.name):
        language, _, kind = file.name.partition(".")
        if kind == "ftl":
            bundle = FluentBundle([language], use_isolating=False)
            bundle.add_resource(FluentResource(file.read_text(encoding="utf-8")))
            bundles[language] = bundle
    return bundles


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and its hash: the only thing the page's policy lets a browser apply."""
    text = (files(__package__) / "wording" / "page.css").read_text(encoding="utf-8")
    return text, b64encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass(frozen=True)
class Page:
    """Writes pages in one language; ``language`` is one that every text exists in."""

    pack: Pack
    language: str

    @classmethod
    def of(cls, pack: Pack, wished: Iterable[str]) -> Page:
        """A page in the first of the wished languages that it can be written in, else the office's first.

        The reader sees a link to every other language, so a language that is missing is never hidden.
        """
        known = wordings()
        for tag in (*wished, *pack.languages):
            for candidate in (tag, tag.partition("-")[0]):
                if candidate in known:
                    return cls(pack, candidate)
        return cls(pack, next(iter(known)))

    def response(self, html: str, *, status: int = 200) -> HTMLResponse:
        """The page with what a browser must know: load nothing, run nothing, keep nothing, tell nobody."""
        policy = (
            f"default-src 'none'; style-src 'sha256-{_style()[1]}'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Content-Language": self.language,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex, nofollow",
            "Vary": "Accept, Accept-Language",
        }
        return HTMLResponse(html, status, headers)

    def request(self, seen: Shown, token: str, *, done: bool) -> str:
        """The page of a request, or of the wish to delete one."""
        thanks = f'<p class="thanks" role="status">{self._say("thanks")}</p>' if done else ""
        body = self._deletion(seen, token) if seen.kind == "purge" else self._answering(seen, token)
        return self._frame("purge-title" if seen.kind == "purge" else "title", thanks + body, token)

    def problem(self, code: str) -> str:
        """The page of a link that cannot be used."""
        name = f"problem-{code if code in _PROBLEMS else 'other'}"
        return self._frame("problem-title", f"<p>{self._say(name)}</p>", None)

    def _answering(self, seen: Shown, token: str) -> str:
        state = f'<p class="state">{self._say(f"state-{seen.status}")}</p>'
        if seen.sub_status:
            state += f'<p class="note">{self._say(f"sub-{seen.sub_status}")}</p>'
        if not seen.answers:
            return state + f"<p>{self._say('ended')}</p>"
        facts = self._facts(seen.facts) if seen.facts else f"<p>{self._say('facts-withheld')}</p>"
        due = ""
        if seen.status == "requested" and seen.answer_due:
            due = f'<p class="due">{self._say("answer-by")} <strong>{self._time(seen.answer_due)}</strong></p>'
        intro = f"<p>{self._say('intro')}</p>" if seen.status == "requested" else ""
        return f"{intro}{facts}{state}{due}{self._buttons(seen, token)}"

    def _facts(self, facts: Facts) -> str:
        areas = {area.code: area.name for area in self.pack.country.areas}
        names = {language.code: language.name for language in self.pack.country.languages}
        spoken = ", ".join(f"<bdi>{escape(names.get(tag, tag))}</bdi>" for tag in facts.languages)
        rows = [
            ("need", escape(facts.need.replace("_", " "))),
            ("area", escape(areas.get(facts.area, facts.area))),
            ("age", self._say(f"age-{facts.age_band}")),
            ("language", spoken or self._say("not-known")),
        ]
        return "<dl>" + "".join(f"<dt>{self._say(name)}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"

    def _buttons(self, seen: Shown, token: str) -> str:
        direct = [reply for reply in seen.answers if not reply.reasons]
        direct.sort(key=lambda reply: _MAIN.index(reply.status) if reply.status in _MAIN else len(_MAIN))
        parts = [
            self._button("answer", token, self._say(f"do-{reply.status}"), seen, main=place == 0, status=reply.status)
            for place, reply in enumerate(direct)
        ]
        if seen.may_be_unattended:
            text = self._say("do-unattended")
            parts.append(self._button("answer", token, text, seen, status=seen.status, sub_status="unattended"))
        # Before it is accepted, stopping and refusing are the same to a reader: the page has one way to say it.
        hidden = "cancelled" if seen.status == "requested" else ""
        reasoned = [
            self._because(reply, seen, token) for reply in seen.answers if reply.reasons and reply.status != hidden
        ]
        return f'<form method="post"><div class="row">{"".join(parts)}</div>{"".join(reasoned)}</form>'

    def _because(self, reply: Reply, seen: Shown, token: str) -> str:
        buttons = "".join(
            self._button("answer", token, self._say(f"reason-{reason}"), seen, status=reply.status, reason=reason)
            for reason in reply.reasons
        )
        return (
            f"<details><summary>{self._say(f'do-{reply.status}')}</summary>"
            f'<p>{self._say("because")}</p><div class="row">{buttons}</div></details>'
        )

    def _deletion(self, seen: Shown, token: str) -> str:
        if seen.purged:
            return f"<p>{self._say('purge-done')}</p>"
        due = f"<strong>{self._time(seen.purge_due)}</strong>" if seen.purge_due else ""
        button = self._button("purge", token, self._say("purge-do"), seen, main=True)
        return (
            f'<p>{self._say("purge-intro")}</p><p class="due">{self._say("purge-by")} {due}</p>'
            f'<form method="post"><div class="row">{button}</div></form>'
        )

    def _button(self, path: str, token: str, text: str, seen: Shown, *, main: bool = False, **query: str) -> str:
        # Relative, so that it holds behind a proxy that serves the service under a path of its own.
        action = f"{token}/{path}?{urlencode({**query, 'step': seen.step, 'lang': self.language})}"
        kind = ' class="main"' if main else ""
        return f'<button type="submit"{kind} formaction="{escape(action)}">{text}</button>'

    def _time(self, at: datetime) -> str:
        local = at.astimezone(self.pack.zone)
        return f'<time datetime="{at.isoformat()}" dir="ltr">{local:%Y-%m-%d %H:%M}</time>'

    def _frame(self, title: str, body: str, token: str | None) -> str:
        direction = "rtl" if self.language in RIGHT_TO_LEFT else "ltr"
        others = "".join(
            f'<a href="{escape(f"{token}?lang={language}")}" lang="{language}" hreflang="{language}">'
            f"{escape(_text(bundle, 'language-name'))}</a>"
            for language, bundle in wordings().items()
            if token is not None and language != self.language
        )
        heading = self._say(title)
        nav = f"<nav>{others}</nav>" if others else ""
        return (
            f'<!doctype html><html lang="{self.language}" dir="{direction}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta name="robots" content="noindex"><title>{heading}</title><style>{_style()[0]}</style></head>'
            f"<body><main>{nav}<h1>{heading}</h1>{body}"
            f"<footer>{self._say('footer')}</footer></main></body></html>"
        )

    def _say(self, name: str) -> str:
        return escape(_text(wordings()[self.language], name))


def _text(bundle: FluentBundle, name: str) -> str:
    message = bundle.get_message(name)
    if message.value is None:
        raise LookupError(f"the page has no text '{name}'")
    text, errors = bundle.format_pattern(message.value, {})
    if errors:
        raise ValueError(f"the page's text '{name}' is broken")
    return str(text)
