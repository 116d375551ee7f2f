"""The summary of a run in 80 columns: people before machines, and no name of anybody."""

import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from kintsugi_sandbox.demo.checks import leaves
from kintsugi_sandbox.demo.run import Shown
from kintsugi_sandbox.embedded.servers import tail

_WIDTH = 80
_LABEL = 15


def show(shown: Shown) -> None:
    """Print the summary to standard output."""
    console = _console()
    told = shown.figures
    console.print()
    for label, text in _lines(told, shown):
        _print(console, label, text)
    console.print()
    _print(console, "chains, ms", "  flows    p50    p95    p99")
    for name, row in told["latency_ms"].items():
        figures = "".join(f"{row[figure] if row[figure] is not None else '-':>7}" for figure in _COLUMNS)
        crossed = row["flows_across_the_kill"]
        note = f"  and {crossed} across the kill, {row['longest_across_the_kill']} at most" if crossed else ""
        _print(console, f"  {name}", figures + note)
    console.print()
    verdict = shown.verdict
    _print(
        console,
        "effects",
        f"{sum(verdict.effects.values())} expected, {sum(verdict.found.values())} found, "
        f"{verdict.count('lost')} lost, {verdict.count('doubled')} doubled",
    )
    searched = verdict.looked_at
    _print(
        console,
        "leaks",
        f"{verdict.count('leaked')} in {searched['sinks searched']} topics, logs, span files and mails searched for "
        f"{searched['names and numbers searched for']} names and numbers",
    )
    for check in shown.checks:
        mark = Text("holds  " if check.holds else "FAILS  ", style="green" if check.holds else "bold red")
        console.print(Text(" " * 2) + mark + Text(check.name), soft_wrap=True)
    for line in shown.left_out:
        _print(console, "left out", line)
    console.print()
    _print(console, "evidence", _near(shown.folder))
    _print(console, "took", f"{shown.seconds:.0f} s")
    _print(console, "next", "make up, then kintsugi status    docs/operate.md")


def explain(shown: Shown) -> None:
    """Print what failed, the last lines of the logs, where the evidence is, and the next command."""
    console = _console()
    for check in shown.checks:
        if check.holds:
            continue
        console.print(Text(f"\nFAILED: {check.name}", style="bold red"))
        for line in check.detail:
            console.print(Text(line), soft_wrap=True)
    for service in sorted(file.stem for file in (shown.folder / "logs").glob("*.log")):
        lines = [line for line in tail(shown.folder / "logs" / f"{service}.log", 400).splitlines() if _bad(line)]
        if lines:
            console.print(Text(f"\nthe last of logs/{service}.log that is not routine:"))
            for line in lines[-3:]:
                console.print(Text(f"  {line[:300]}"), soft_wrap=True)
    console.print(f"\nevidence: {shown.folder}\nnext:     kintsugi reconcile {_near(shown.folder)}", highlight=False)


def broke_off(error: BaseException, folder: Path) -> None:
    """Print why a run did not come to its end."""
    console = _console()
    causes = leaves(error)
    console.print(Text("\nThe demonstration broke off.", style="bold red"))
    for cause in causes[:5]:
        console.print(Text(f"  {type(cause).__name__}: {cause}"), soft_wrap=True)
    for output in sorted((folder / "logs").glob("*.out")):
        if lines := tail(output, 3):
            console.print(
                Text(f"\nthe last lines of logs/{output.name}:\n{textwrap.indent(lines, '  ')}"), soft_wrap=True
            )
    console.print(f"\nlogs: {folder / 'logs'}\nnext: kintsugi doctor", highlight=False)


def _lines(told: Mapping[str, Any], shown: Shown) -> list[tuple[str, str]]:
    rows, people, done = told["rows"], told["people"], told["assessments"]
    choices, referrals, mails = told["choices"], told["referrals"], told["notifications"]
    tasks, broken, events = told["staff_tasks"], told["broken_on_purpose"], told["events"]
    slowest = people["slowest_alert_ms"]
    return [
        (
            "rows",
            f"{rows['rows']} read, {rows['taken']} taken, {rows['refused']} refused: "
            + _each(rows["refused_by_reason"]),
        ),
        ("people", f"{people['cases']}, {people['minors']} of them minors"),
        (
            "in danger",
            f"{people['in_danger']}; staff were alerted about {people['staff_alerted']}, "
            f"the last within {slowest / 1000:.1f} s"
            if slowest is not None
            else f"{people['in_danger']}",
        ),
        (
            "assessments",
            f"{done['completed']} completed ({done['paused_on_the_way']} after a pause), {done['declined']} declined, "
            f"{done['not_yet_answered']} not yet answered, {done['overdue']} overdue",
        ),
        (
            "choices",
            f"{choices['needs_with_options']} offered; {choices['chosen']} chose a service, {choices['none']} none, "
            f'{choices["not_now"]} "not now"',
        ),
        ("referrals", f"{referrals['requested']} requested: {_each(referrals['by_outcome'])}"),
        (
            "consent",
            f"{referrals['held_for_lack_of_consent']} held for lack of consent, {referrals['still_held']} still; "
            f"{referrals['cancelled_by_withdrawal']} cancelled by withdrawal, {referrals['deletions_confirmed']} of "
            f"{referrals['deletions_asked']} deletions confirmed",
        ),
        ("overdue", f"{referrals['overdue']} answers of services"),
        *(("partner", _partner(name, got)) for name, got in told["partners"].items()),
        ("messages", f"sent to {_each(mails['sent'])}"),
        ("kept back", _each(mails["withheld"]) + (f"; failed {_each(mails['failed'])}" if mails["failed"] else "")),
        (
            "staff tasks",
            f"{tasks['created']} made, {tasks['taken']} taken, {tasks['escalated']} passed to the next role",
        ),
        ("events", f"{events['total']}: {_each(events['by_service'])}"),
        (
            "broken",
            f"referral was killed with SIGKILL and came back after {broken['down_ms'] / 1000:.1f} s; the other "
            f"services made {broken['events_of_other_services_meanwhile']} events meanwhile, and intake sent "
            f"{broken['events_sent_twice']} of its own twice",
        ),
        (
            "time",
            f"the office's clock came to {told['business_time']['ends_at'][:16]} in {shown.phases['days']:.0f} s, "
            f"with {told['business_time']['stops']} stops",
        ),
    ]


def _partner(name: str, got: Mapping[str, int]) -> str:
    return (
        f"{name} was sent {got['records']} records about {got['people']} people and opened {got['received_opened']} "
        f"sealed values; told to forget {got['purges_asked']} of them, it confirmed {got['purges_confirmed']}"
    )


_COLUMNS = ("flows", "p50", "p95", "p99")


def _each(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) or "none"


def _print(console: Console, label: str, text: str) -> None:
    lines = (
        textwrap.wrap(text, _WIDTH - _LABEL - 2, drop_whitespace=True) if len(text) > _WIDTH - _LABEL - 2 else [text]
    )
    for number, line in enumerate(lines or [""]):
        head = Text(f"{label if number == 0 else '':<{_LABEL}}", style="bold")
        console.print(head + Text(line))


def _console() -> Console:
    import os

    return Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else _WIDTH,
        no_color="NO_COLOR" in os.environ,
        highlight=False,
    )


def _bad(line: str) -> bool:
    return '"level": "error"' in line or '"level": "warning"' in line


def _near(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
