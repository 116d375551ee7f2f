"""Looks for the samples' own names and numbers where nothing personal may be: topics, logs, spans and mails."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from kintsugi_sandbox.reconciler.evidence import Evidence
from kintsugi_sandbox.reconciler.findings import Verdict

_SHORTEST_NAME = 4
_NAMES = ("prs_FirstName", "prs_SecondName")
_PHONES = ("prs_HomePhone", "prs_MobilePhone")


def check(evidence: Evidence, verdict: Verdict) -> None:
    """Search every sink. A finding names the row of the samples, never the value."""
    planted = dict(_planted(evidence))
    verdict.looked_at["names and numbers searched for"] = len(planted)
    for sink, text in _sinks(evidence):
        verdict.looked_at["sinks searched"] += 1
        for row in sorted(_found(planted, text)):
            verdict.add("leaked", f"{sink} holds {row}", "nothing personal may stand there")


def _found(planted: Mapping[str, str], text: str) -> set[str]:
    """The rows whose values stand in a text as words of their own, escaped as in JSON or not."""
    plain = _unescaped(text) if "\\u" in text else text
    return {row for value, row in planted.items() if value in plain and _as_a_word(value, plain)}


def _as_a_word(value: str, text: str) -> bool:
    return re.search(rf"(?<![\w+-]){re.escape(value)}(?![\w-])", text) is not None


def _planted(evidence: Evidence) -> Iterator[tuple[str, str]]:
    samples = evidence.folder / "evidence" / "samples"
    with (samples / "cases.csv").open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.reader(stream))
    for number, values in enumerate(lines[2:], 3):
        row = dict(zip(lines[0], values, strict=False))
        for name in _NAMES:
            value = row.get(name, "").strip()
            if len(value) >= _SHORTEST_NAME:
                yield value, f"a name of row {number}"
        for name in _PHONES:
            yield from _numbers(row.get(name, ""), number)
    for which, person in evidence.people.items():
        yield from _numbers(person.get("phone") or "", int(which))


def _numbers(phone: str, row: int) -> Iterator[tuple[str, str]]:
    digits = re.sub(r"\D", "", phone)
    if len(digits) >= 7:
        yield phone.strip(), f"a number of row {row}"
        yield digits, f"a number of row {row}"
        yield f"+{digits}", f"a number of row {row}"


def _sinks(evidence: Evidence) -> Iterator[tuple[str, str]]:
    folder = evidence.folder
    by_topic: dict[str, list[str]] = {}
    with (folder / "evidence" / "topics.jsonl").open(encoding="utf-8") as stream:
        for line in stream:
            record = json.loads(line)
            parts = [record["key"], *record["headers"].values(), record["value"]]
            by_topic.setdefault(f"topic {record['topic']}", []).append("\n".join(parts))
    for topic, texts in by_topic.items():
        yield topic, "\n".join(texts)
    for file in sorted((folder / "logs").iterdir()):
        yield f"logs/{file.name}", file.read_text(encoding="utf-8", errors="replace")
    for mail in evidence.mails:
        yield f"mail/{mail.file}", f"{mail.subject}\n{mail.body}\n{_raw(folder / 'mail' / mail.file)}"


def _raw(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
