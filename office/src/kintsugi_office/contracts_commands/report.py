"""What the gate found, told to a person in a terminal, to reviewers in Markdown, and to programs in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from kintsugi_contracts.changes import Change
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Folder
from kintsugi_contracts.gate import Report
from kintsugi_contracts.schema_changes import Verdict
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

STYLE = {Verdict.fine: "green", Verdict.major: "yellow", Verdict.forbidden: "bold red"}
_HEADS = {
    Verdict.forbidden: "Forbidden",
    Verdict.major: "Needs a new major version",
    Verdict.fine: "Fine",
}
_ABOUT = {
    Verdict.forbidden: "No new major version excuses these.",
    Verdict.major: (
        "The released version stays as it is; the change goes into the next one. Consumers first: model, upcaster and "
        "both versions in what they read; then the topic file lists both; then the producer switches."
    ),
    Verdict.fine: "Releases from before and after can live with each other.",
}


def text(report: Report, console: Console) -> None:
    """The report for a terminal."""
    for finding in report.findings:
        console.print(_finding(report.path, finding))
    if report.findings:
        console.print()
    told(report.changes, report.path, console)
    console.print(summary(report), style="green" if report.passes else "bold red")


def told(changes: Sequence[Change], path: Path, console: Console) -> None:
    """Changes by verdict, the worst first."""
    for verdict, group in _by_verdict(changes):
        console.print(Text(f"{_HEADS[verdict]} ({len(group)})", style=STYLE[verdict]))
        console.print(Text(_ABOUT[verdict], style="dim"))
        for change in group:
            console.print(_change(path, change))
        console.print()


def markdown(report: Report) -> str:
    """The report for a pull request."""
    lines = ["## Contracts", "", summary(report), ""]
    if report.findings:
        lines += ["### Rules", "", "| Where | What | Mend |", "|---|---|---|"]
        lines += [f"| `{f.file}:{f.line}` | {_cell(f.message)} | {_cell(f.mend)} |" for f in report.findings] + [""]
    return "\n".join([*lines, *_tables(report.changes)]).rstrip() + "\n"


def markdown_of(changes: Sequence[Change], title: str) -> str:
    """Changes alone, for a pull request or release notes."""
    return "\n".join([f"## {title}", "", *(_tables(changes) or ["Nothing changed."])]).rstrip() + "\n"


def as_json(report: Report) -> str:
    """The report for programs."""
    return json.dumps(_value(report), indent=2, ensure_ascii=False)


def several_as_json(reports: Iterable[Report]) -> str:
    """The reports on several folders for programs, each with its folder."""
    listed = [{"contracts": str(each.path), **_value(each)} for each in reports]
    return json.dumps(listed, indent=2, ensure_ascii=False)


def _value(report: Report) -> dict[str, object]:
    return {
        "passes": report.passes,
        "releases": report.releases,
        "findings": [asdict(f) for f in report.findings],
        "changes": [json_of(c) for c in report.changes],
    }


def json_of(change: Change) -> dict[str, object]:
    """One change for programs."""
    return {**asdict(change), "verdict": str(change.verdict)}


def summary(report: Report) -> str:
    """One or two sentences: whether it passes, and what was looked at."""
    bad = sum(c.verdict is not Verdict.fine for c in report.changes)
    fine = len(report.changes) - bad
    if report.folder is None:
        return (
            f"{_count(len(report.findings), 'mistake')}. Nothing was compared: mend the files first, then check again."
        )
    against = f"compared with {', '.join(report.releases)}" if report.releases else "nothing is released yet"
    if report.passes:
        more = f", {_count(fine, 'change')} that {'is' if fine == 1 else 'are'} fine" if fine else ""
        return f"The contracts are in order: {_size(report.folder)}; {against}{more}."
    said = [_count(len(report.findings), "mistake")] if report.findings else []
    said += [f"{_count(bad, 'change')} that may not be merged"] if bad else []
    return f"{' and '.join(said).capitalize()}; {against}."


def _size(folder: Folder) -> str:
    versions = list(folder.versions())
    examples = sum(len(v.examples) for v in versions)
    said = f"{_count(len(folder.topics), 'topic')}, {_count(len(folder.events), 'event')}"
    if folder.streams:
        said += f", {_count(len(folder.streams), 'stream')} for partners"
    return f"{said}, {_count(examples, 'example')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _by_verdict(changes: Iterable[Change]) -> list[tuple[Verdict, list[Change]]]:
    found = [(v, [c for c in changes if c.verdict is v]) for v in sorted(Verdict, reverse=True)]
    return [(verdict, group) for verdict, group in found if group]


def _finding(path: Path, finding: Finding) -> RenderableType:
    where = Text(f"{shown(path)}/{finding.file}:{finding.line}", style="bold", no_wrap=True, overflow="ignore")
    return Group(
        where,
        Padding(_ticked(finding.message), (0, 0, 0, 2), expand=False),
        Padding(Text(f"→ {finding.mend}", "dim"), (0, 0, 0, 2), expand=False),
    )


def _change(path: Path, change: Change) -> RenderableType:
    where = f"{change.subject}  {shown(path)}/{change.file}:{change.line}"
    order = Text(f"→ {change.order}", style="dim")
    return Group(
        Padding(_ticked(change.said), (0, 0, 0, 2), expand=False),
        Padding(Text(where + _since(change, "  since "), style="dim"), (0, 0, 0, 4), expand=False),
        Padding(order, (0, 0, 0, 4), expand=False),
    )


def _since(change: Change, word: str) -> str:
    return f"{word}{', '.join(change.since)}" if change.since else ""


def _ticked(said: str) -> Text:
    """A sentence with what stands between backticks set off."""
    made = Text()
    for index, part in enumerate(said.split("`")):
        made.append(part, style="cyan" if index % 2 else "")
    return made


def shown(path: Path) -> Path:
    """A folder as a person in the current one would name it."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute


def _tables(changes: Sequence[Change]) -> list[str]:
    lines: list[str] = []
    for verdict, group in _by_verdict(changes):
        lines += [
            f"### {_HEADS[verdict]}",
            "",
            _ABOUT[verdict],
            "",
            "| About | What changed | What to do, who goes first |",
            "|---|---|---|",
        ]
        lines += [
            f"| {c.subject} (`{c.file}:{c.line}`) | {_cell(c.said + _since(c, '; since '))} | {_cell(c.order)} |"
            for c in group
        ]
        lines.append("")
    return lines


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
