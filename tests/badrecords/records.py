"""The records of the table: for each row a case of its own, one odd record, and good ones around it.

A case begins with a good `case.opened`; the odd record is a consent for the agency `the-odd-one` unless the row is
about something else; the record that follows is a good consent for `the-next-one`. So a case's state tells which of
the two took effect.
"""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kintsugi_events as e
from kintsugi.envelope import MAX_VALUE_BYTES, Envelope, encode, source_of
from kintsugi.partitioning import partition_of
from kintsugi_contracts.base import Event

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ODD, NEXT = "the-odd-one", "the-next-one"
EXAMPLES = Path(__file__).parents[2] / "contracts" / "events"
BOMB_BYTES = 8 * 1024 * 1024
COPIES = 1_000

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Draft:
    """A record to be put on the topic of ``service``, exactly so."""

    service: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    compressed: bool = False

    def named(self, name: str, raw: bytes | None) -> Draft:
        """With this header's value replaced, or added where it is absent."""
        if name not in dict(self.headers):
            return replace(self, headers=[*self.headers, (name, raw)])
        return replace(self, headers=[(n, raw if n == name else v) for n, v in self.headers])

    def without(self, *names: str) -> Draft:
        """With these headers gone."""
        return replace(self, headers=[(n, v) for n, v in self.headers if n not in names])

    def again(self, name: str, raw: bytes) -> Draft:
        """With one more header of a name that may be there already."""
        return replace(self, headers=[*self.headers, (name, raw)])

    def valued(self, value: bytes | None) -> Draft:
        """With another value."""
        return replace(self, value=value)


@dataclass
class Case:
    """One subject in one country, and what its records need to know of each other."""

    country: str
    subject: str = field(default_factory=lambda: f"case/{uuid.uuid4()}")
    first_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def partition(self) -> int:
        """Where its records lie."""
        return partition_of(self.subject)

    def draft(
        self,
        event: Event | None,
        sequence: int,
        *,
        id_: str | None = None,
        service: str = "intake",
        type_: str | None = None,
        value: bytes | None = None,
        seen: dict[str, int] | None = None,
    ) -> Draft:
        """A record as the emitting service would have made it."""
        model = event if event is not None else opened(self.country)
        topic = f"{self.country}.{service}.v1"
        envelope = Envelope(
            id=id_ or str(uuid.uuid4()),
            source=source_of(topic),
            type=type_ or model.type,
            time=NOW,
            subject=self.subject,
            sequence=sequence,
            seen=seen or {},
            correlationid=self.first_id,
            causationid=self.first_id,
            dataschema=model.dataschema,
            dataclassification=model.dataclassification,
        )
        return Draft(
            service,
            self.partition,
            self.subject.encode(),
            model.encode() if value is None else value,
            [*encode(envelope)],
        )

    def opening(self) -> Draft:
        """The good first record of every case."""
        return self.draft(opened(self.country), 1, id_=self.first_id)

    def consent(self, sequence: int = 2, agency: str = ODD) -> Draft:
        """A good consent."""
        return self.draft(consent(agency), sequence)

    def withdrawal(self, sequence: int, agency: str = ODD) -> Draft:
        """A good withdrawal, which is protective."""
        return self.draft(withdrawal(agency), sequence)

    def assessed(self, sequence: int, seen: dict[str, int]) -> Draft:
        """An assessment completed; it says which of intake's events it had seen."""
        path = EXAMPLES / "assessment.completed" / "examples" / "accept" / "full.json"
        event = e.AssessmentCompleted.decode(path.read_bytes())
        return self.draft(event, sequence, service="assessment", seen=seen)


def opened(country: str) -> e.CaseOpened:
    """The smallest case of the contract's examples."""
    path = EXAMPLES / "case.opened" / "examples" / "accept" / "minimal.json"
    return e.CaseOpened.model_validate_json(json.dumps({**json.loads(path.read_bytes()), "country": country}))


def consent(agency: str) -> e.ConsentRecorded:
    """A consent to share with one agency."""
    return e.ConsentRecorded(
        consent_id=f"consent-{agency}",
        purpose=e.ConsentPurpose.sharing,
        agency=agency,
        decision=e.ConsentDecision.granted,
        recorded_at=NOW,
        text_version="1.0",
        language="en",
        obtained_from=e.ObtainedFrom.individual,
    )


def withdrawal(agency: str) -> e.ConsentWithdrawn:
    """The same taken back."""
    return e.ConsentWithdrawn(
        consent_id=f"consent-{agency}",
        purpose=e.ConsentPurpose.sharing,
        agency=agency,
        withdrawn_at=NOW,
        obtained_from=e.ObtainedFrom.individual,
    )


@dataclass
class Story:
    """What is put on the topics for one case: in this order, other cases' records between them."""

    case: Case
    before: Sequence[Draft]
    odd: Sequence[Draft]
    after: Sequence[Draft]


Make = Callable[[Case], Story]
STORIES: dict[str, Make] = {}


def _story(name: str, *, follows: int = 3) -> Callable[[Callable[[Case], Draft | list[Draft]]], None]:
    """Registers a row: the odd records stand between the opening and a consent numbered ``follows``."""

    def register(make: Callable[[Case], Draft | list[Draft]]) -> None:
        def build(case: Case) -> Story:
            odd = make(case)
            return Story(case, [case.opening()], odd if isinstance(odd, list) else [odd], [case.consent(follows, NEXT)])

        if name in STORIES:
            raise ValueError(f"two records are named {name!r}")
        STORIES[name] = build

    return register


def _body(name: str, value: Callable[[bytes], bytes | None]) -> None:
    """Registers a row whose only oddity is the value, made from a good one."""

    def make(case: Case) -> Draft:
        good = case.consent()
        assert good.value is not None
        return good.valued(value(good.value))

    _story(name)(make)


def _field(name: str, **changes: Any) -> None:
    """Registers a row whose only oddity are these fields of the body."""
    _body(name, lambda good: json.dumps({**json.loads(good), **changes}).encode())


def _headers(name: str, change: Callable[[Draft], Draft]) -> None:
    """Registers a row whose only oddity are its headers or its key."""
    _story(name)(lambda case: change(case.consent()))


def _padded(good: bytes, size: int) -> bytes:
    return good + b" " * (size - len(good))


def _nested(good: bytes) -> bytes:
    return good[:-1] + b',"more":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}"


def _text(good: bytes, text: bytes) -> bytes:
    return good.replace(ODD.encode(), text)


_body("null value", lambda _: None)
_body("empty value", lambda _: b"")
_body("JSON null", lambda _: b"null")
_body("JSON array", lambda _: b"[]")
_body("truncated JSON", lambda good: good[:-7])
_body("trailing bytes", lambda good: good + b"}")
_body("duplicate JSON keys", lambda good: b'{"decision":"refused",' + good[1:])
_body("NaN in a known field", lambda good: good.replace(b'"1.0"', b"NaN"))
_body("NaN in an unknown field", lambda good: good[:-1] + b',"weight":NaN}')
_body("nesting of 10,000", _nested)
_body("UTF-16", lambda good: good.decode().encode("utf-16"))
_body("byte order mark", lambda good: b"\xef\xbb\xbf" + good)
_body("lone surrogate", lambda good: _text(good, rb"the-odd-one\ud800"))
_body("escaped NUL in a string", lambda good: _text(good, rb"the-odd-one\u0000"))
_body("raw NUL in a string", lambda good: _text(good, b"the-odd-one\x00"))
_body("one byte below the size limit", lambda good: _padded(good, MAX_VALUE_BYTES - 1))
_body("at the size limit", lambda good: _padded(good, MAX_VALUE_BYTES))
_body("one byte above the size limit", lambda good: _padded(good, MAX_VALUE_BYTES + 1))
_story("compression bomb")(lambda case: replace(case.consent().valued(bytes(BOMB_BYTES)), compressed=True))
_body("value that is itself gzip", lambda good: gzip.compress(good))
_headers("null key", lambda good: replace(good, key=None))
_headers("key of another case", lambda good: replace(good, key=b"case/00000000-0000-4000-8000-000000000000"))
_headers("non-UTF-8 type", lambda good: good.named("ce_type", b"\xff\xfe"))
_headers("non-UTF-8 id", lambda good: good.named("ce_id", b"\xff\xfe"))
_headers("non-UTF-8 header of nobody's", lambda good: good.named("x-proxy", b"\xff\xfe"))
_headers("null type", lambda good: good.named("ce_type", None))
_headers("null id", lambda good: good.named("ce_id", None))
_headers("null header of nobody's", lambda good: good.named("x-proxy", None))
_headers("repeated type", lambda good: good.again("ce_type", b"kintsugi.consent.withdrawn.v1"))
_headers("repeated id", lambda good: good.again("ce_id", b"another"))
_headers("repeated header of nobody's", lambda good: good.again("x-proxy", b"one").again("x-proxy", b"two"))
_headers("1 MB of headers", lambda good: good.named("x-proxy", b"h" * 1_048_576))
_headers("content type of another format", lambda good: good.named("content-type", b"application/avro"))
_body("another format under our content type", lambda _: b"\x00\x00\x00\x00\x07\x0cgranted")
_headers("no id", lambda good: good.without("ce_id"))
_headers("no source", lambda good: good.without("ce_source"))
_headers("no headers at all", lambda good: replace(good, headers=[]))
_headers("source of another service", lambda good: good.named("ce_source", b"/xa/notify"))
_headers("unknown type", lambda good: good.named("ce_type", b"kintsugi.weather.changed.v1"))
_headers("unknown major of a type it takes", lambda good: good.named("ce_type", b"kintsugi.consent.recorded.v2"))
_headers("unknown major of a type it ignores", lambda good: good.named("ce_type", b"kintsugi.risk.raised.v2"))
_headers("unknown schema", lambda good: good.named("ce_dataschema", b"https://schemas.kintsugi.example/other.json"))
_field("extra field", added_later={"by": "a newer intake"})
_field("number where text belongs", agency=7)
_field("list where text belongs", language=["en"])
_body("2^63 where text belongs", lambda good: good.replace(b'"1.0"', b"9223372036854775808"))
_body("1e400 where text belongs", lambda good: good.replace(b'"1.0"', b"1e400"))
_headers("2^63 as sequence", lambda good: good.named("ce_sequence", b"9223372036854775808"))
_headers("sequence zero", lambda good: good.named("ce_sequence", b"000000000000"))
_field("future enum value", decision="granted_for_a_day")


@_story("same id, other body", follows=2)
def _(case: Case) -> Draft:
    return case.opening().valued(consent(ODD).encode())


@_story("same body, new id, same sequence", follows=2)
def _(case: Case) -> Draft:
    return case.draft(opened(case.country), 1)


@_story("same body, new id, next sequence")
def _(case: Case) -> Draft:
    return case.draft(opened(case.country), 2)


@_story("a thousand copies", follows=2)
def _(case: Case) -> list[Draft]:
    return [case.opening()] * (COPIES - 1)


@_story("sequence restart", follows=4)
def _(case: Case) -> list[Draft]:
    return [case.draft(opened(case.country), 1), case.draft(consent(ODD), 2)]


@_story("gap never filled", follows=4)
def _(case: Case) -> Draft:
    return case.consent(3)


def _restart(case: Case) -> Story:
    """Before the restart the case stands at 3."""
    plain = STORIES_PLAIN["sequence restart"](case)
    return replace(plain, before=[case.opening(), case.consent(2, "earlier"), case.consent(3, "later")])


def _effect_first(case: Case) -> Story:
    """The effect comes before its cause, on another topic; then the cause, then something that follows both."""
    return Story(case, [], [case.assessed(1, {"intake": 1})], [case.opening(), case.consent(2, NEXT)])


def _later_first(case: Case) -> Story:
    """The second event of a topic comes before the first."""
    return Story(case, [], [case.consent(2)], [case.opening(), case.consent(3, NEXT)])


STORIES_PLAIN = dict(STORIES)
STORIES["sequence restart"] = _restart
STORIES["effect before cause on another topic"] = _effect_first
STORIES["effect before cause on one topic"] = _later_first


def good_story(case: Case) -> Story:
    """A case with nothing odd about it."""
    return Story(case, [case.opening()], [case.consent()], [case.consent(3, NEXT)])
