"""Message texts in Fluent, one file per language, that never fall back to another language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fluent.runtime import FluentBundle, FluentResource
from fluent.runtime.types import fluent_date
from fluent.syntax import FluentParser, ast, visitor
from kintsugi_contracts.documents import nearest
from kintsugi_contracts.findings import Finding

from kintsugi_country.templates import TEMPLATES, Audience


@dataclass(frozen=True, slots=True)
class Text:
    """A message in one language, ready to send as plain text."""

    subject: str
    body: str


class Catalogue:
    """All message texts of a country."""

    def __init__(self, sources: Mapping[str, str], zone: ZoneInfo) -> None:
        """`sources` maps a language to the text of its .ftl file."""
        self._zone = zone
        self._bundles: dict[str, FluentBundle] = {}
        for language, source in sources.items():
            # Isolation marks around a link would become part of the address in many mail programs.
            bundle = FluentBundle([language], use_isolating=False)
            bundle.add_resource(FluentResource(source))
            self._bundles[language] = bundle

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self._bundles)

    def text(self, template: str, locale: str, audience: Audience, arguments: Mapping[str, Any]) -> Text | None:
        """The text, or None when the country has no such text in exactly this locale.

        Times are written in the country's zone. Raises LookupError for a template that is not in the list and
        ValueError when the audience or the arguments are not the template's own.
        """
        known = TEMPLATES.get(template)
        if known is None:
            raise LookupError(f"there is no message template {template!r}; {nearest(template, TEMPLATES)}")
        if known.audience != audience:
            raise ValueError(f"the template {template} is for {known.audience}, not for {audience}")
        if set(arguments) != known.arguments:
            raise ValueError(f"the template {template} takes exactly {sorted(known.arguments)}")
        bundle = self._bundles.get(locale)
        if bundle is None or not bundle.has_message(template):
            return None
        message = bundle.get_message(template)
        subject = message.attributes.get("subject")
        if message.value is None or subject is None:
            return None
        values = {name: self._value(value) for name, value in arguments.items()}
        parts = []
        for pattern in (subject, message.value):
            written, errors = bundle.format_pattern(pattern, values)
            if errors:
                raise ValueError(f"messages/{locale}.ftl: {template} cannot be written; run the country check")
            parts.append(str(written))
        return Text(subject=" ".join(parts[0].split()), body=parts[1].strip() + "\n")

    def _value(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return fluent_date(value.astimezone(self._zone), dateStyle="full", timeStyle="short")
        return str(value)


def mistakes(name: str, source: str) -> Iterator[Finding]:
    """Everything wrong with one .ftl file: syntax, unknown or missing templates, arguments a template has not."""
    resource = FluentParser(with_spans=True).parse(source)
    seen: set[str] = set()
    for entry in resource.body:
        if isinstance(entry, ast.Junk):
            annotation = entry.annotations[0] if entry.annotations else None
            reason = annotation.message if annotation else "it cannot be read"
            yield Finding(
                name, *_place(source, annotation or entry), f"not Fluent: {reason}", "correct the syntax there"
            )
        elif isinstance(entry, ast.Message):
            yield from _message(name, source, entry, repeated=entry.id.name in seen)
            seen.add(entry.id.name)
    for template in TEMPLATES:
        if template not in seen:
            yield Finding(
                name, 1, 1, f"the message {template} is missing", "add it: nothing falls back to another language"
            )


def _message(name: str, source: str, message: ast.Message, *, repeated: bool) -> Iterator[Finding]:
    at = _place(source, message)
    template = message.id.name
    known = TEMPLATES.get(template)
    if known is None:
        yield Finding(name, *at, f"no service sends the message {template}", nearest(template, TEMPLATES))
        return
    if repeated:
        yield Finding(name, *at, f"the message {template} stands twice", "keep one of the two")
    if message.value is None:
        yield Finding(name, *at, f"{template} has no body", f"write the body after '{template} ='")
    if "subject" not in {attribute.id.name for attribute in message.attributes}:
        yield Finding(name, *at, f"{template} has no subject", "add an indented line '.subject = …'")
    used = _Variables(message).found
    for variable, node in used.items():
        if variable not in known.arguments:
            mend = "use only: " + (", ".join(sorted(known.arguments)) or "no argument at all")
            wrong = f"{template} uses ${variable}, which it does not get"
            yield Finding(name, *_place(source, node), wrong, mend)
    if "link" in known.arguments and "link" not in used:
        yield Finding(name, *at, f"{template} does not show its link", "add { $link } on a line of its own")


class _Variables(visitor.Visitor):
    def __init__(self, message: ast.Message) -> None:
        self.found: dict[str, ast.VariableReference] = {}
        self.visit(message)

    def visit_VariableReference(self, node: ast.VariableReference) -> None:
        self.found.setdefault(node.id.name, node)


def _place(source: str, entry: ast.SyntaxNode) -> tuple[int, int]:
    start = entry.span.start if entry.span else 0
    before = source[:start]
    return before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1
