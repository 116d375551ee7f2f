"""The evidence of a run, read back from its folder: answers, records, mails, and each service's books."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.parser import BytesParser
from functools import cached_property
from pathlib import Path
from typing import Any


class EvidenceMissing(RuntimeError):
    """The folder does not hold a finished run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the client's ledger: a 2xx answer."""

    n: int
    service: str
    method: str
    path: str
    key: str
    status: int
    action: str
    asked_ms: int
    answered_ms: int
    about: Mapping[str, Any]
    answer: Any

    def __str__(self) -> str:
        return f"answer {self.n} ({self.action} at {self.service}) was {self.status}"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic. ``seen`` is what its emitter had seen of the subject, by service."""

    service: str
    topic: str
    partition: int
    offset: int
    at_ms: int
    key: str
    id: str
    type: str
    source: str
    subject: str
    sequence: int
    time: datetime
    cause: str
    seen: Mapping[str, int]
    data: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.type} {self.service}:{self.sequence} of {self.subject}"


@dataclass(frozen=True, slots=True)
class Streamed:
    """One record of a partner's stream; ``value`` is None for a tombstone. ``text`` is all of it, to be searched."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    key: str
    headers: Mapping[str, str]
    value: Mapping[str, Any] | None
    text: str

    def __str__(self) -> str:
        return f"{'tombstone' if self.value is None else 'record'} {self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Mail:
    """One ``.eml`` file. ``body`` is its plain text."""

    file: str
    message_id: str
    to: str
    subject: str
    body: str


class Evidence:
    """Everything of one run, indexed. Raises EvidenceMissing when the folder holds none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.answers = [_answer(json.loads(line)) for line in _lines(folder / "ledger.jsonl")]
            read = [json.loads(line) for line in _lines(folder / "evidence" / "topics.jsonl")]
            self.books: dict[str, Any] = json.loads((folder / "evidence" / "books.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise EvidenceMissing(
                f"{error.filename} is not there: no finished run in {folder}. Run: make demo"
            ) from None
        self.people: dict[str, dict[str, str | None]] = self.books["people"]
        """Addresses and numbers of the sample's people, by row."""
        self.agencies: dict[str, str] = self.books["agencies"]
        """The address of each agency."""
        self.zone: str = self.books["zone"]
        self.partners: dict[str, dict[str, Any]] = self.books["partners"]
        """Each partner's agency, and what its file declares for each of its streams."""
        streams = {topic for partner in self.partners.values() for topic in partner["streams"]}
        self.read = [_record(line) for line in read if line["topic"] not in streams]
        self.streamed = sorted(
            (_streamed(line) for line in read if line["topic"] in streams),
            key=lambda each: (each.topic, each.partition, each.offset),
        )
        self.mails = [_mail(file) for file in sorted((folder / "mail").glob("[0-9]*.eml"))]
        first: dict[str, Record] = {}
        self.repeated: list[tuple[Record, Record]] = []
        """Records that stand on a topic again, with their first occurrence: what a killed relay may leave behind."""
        for record in sorted(self.read, key=lambda each: (each.topic, each.partition, each.offset)):
            if record.id in first:
                self.repeated.append((first[record.id], record))
            else:
                first[record.id] = record
        self.records = sorted(first.values(), key=lambda each: each.at_ms)
        """First occurrences only: consumers drop the others."""
        self.ends_at = datetime.fromisoformat(self.books["ends_at"])

    def of(self, *types: str) -> Sequence[Record]:
        """The records of these types (short names such as ``case.opened``)."""
        return [record for type_ in types for record in self._by_type.get(type_, ())]

    def caused_by(self, record: Record, type_: str) -> Sequence[Record]:
        """The records of a type that name this one as their cause."""
        return [found for found in self._by_cause.get(record.id, ()) if found.type == type_]

    def of_subject(self, subject: str, service: str) -> Sequence[Record]:
        """One service's records of a subject, in the order of its counter."""
        return self._by_subject.get((subject, service), ())

    @cached_property
    def cases(self) -> Mapping[str, str]:
        """Subjects by case reference."""
        return {record.data["case_ref"]: record.subject for record in self.of("case.opened")}

    @cached_property
    def refs(self) -> Mapping[str, str]:
        """Case references by subject."""
        return {subject: ref for ref, subject in self.cases.items()}

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """The e-mail address of each case's person, by case reference."""
        profiles = [answer.about for answer in self.answers if answer.action == "profile"]
        return {about["case_ref"]: self.people[str(about["row"])]["email"] or "" for about in profiles}

    def name(self, subject: str) -> str:
        """How a case is called in a finding."""
        return self.refs.get(subject, subject)

    @cached_property
    def _by_type(self) -> Mapping[str, list[Record]]:
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            found[record.type].append(record)
        return found

    @cached_property
    def _by_cause(self) -> Mapping[str, list[Record]]:
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            found[record.cause].append(record)
        return found

    @cached_property
    def _by_subject(self) -> Mapping[tuple[str, str], list[Record]]:
        found: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in self.records:
            found[record.subject, record.service].append(record)
        for records in found.values():
            records.sort(key=lambda record: record.sequence)
        return found


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as stream:
        yield from stream


def _answer(line: Mapping[str, Any]) -> Answer:
    return Answer(**{name: line[name] for name in Answer.__slots__})


def _record(line: Mapping[str, Any]) -> Record:
    headers = line["headers"]
    seen = (pair.split(":") for pair in headers.get("ce_seen", "").split())
    source = headers["ce_source"]
    return Record(
        service=source.rsplit("/", 1)[-1],
        topic=line["topic"],
        partition=line["partition"],
        offset=line["offset"],
        at_ms=line["at_ms"],
        key=line["key"],
        id=headers["ce_id"],
        type=headers["ce_type"].removeprefix("kintsugi.").removesuffix(".v1"),
        source=source,
        subject=headers["ce_subject"],
        sequence=int(headers["ce_sequence"]),
        time=datetime.fromisoformat(headers["ce_time"].replace("Z", "+00:00")),
        cause=headers.get("ce_causationid", ""),
        seen={name: int(number) for name, number in seen},
        data=json.loads(line["value"]),
    )


def _streamed(line: Mapping[str, Any]) -> Streamed:
    value = json.loads(line["value"]) if line["value"] else None
    place = {name: line[name] for name in ("topic", "partition", "offset", "at_ms", "key", "headers")}
    return Streamed(**place, value=value, text=json.dumps(line, ensure_ascii=False))


def _mail(file: Path) -> Mail:
    message = BytesParser(policy=policy.default).parsebytes(file.read_bytes())
    body = message.get_body(("plain",))
    return Mail(
        file=file.name,
        message_id=str(message["Message-ID"]),
        to=str(message["X-Envelope-To"]).strip(),
        subject=str(message["Subject"]),
        body=body.get_content() if body else "",
    )
