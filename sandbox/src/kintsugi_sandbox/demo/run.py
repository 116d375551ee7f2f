"""Runs the demonstration once: an office of its own, the days, the evidence, the checks."""

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kintsugi_contracts.catalog import Catalog
from kintsugi_country import Pack, load
from kintsugi_country.integrators import Integrator
from kintsugi_country.samples import CASES, Script, load_script
from kintsugi_office import access, recover, services, topics
from kintsugi_office.progress import say
from kintsugi_office.project import Layout, contracts_folder

from kintsugi_sandbox import running
from kintsugi_sandbox.demo.checks import Check, of_days, of_evidence, of_figures, of_partners
from kintsugi_sandbox.demo.days import Days, Happened
from kintsugi_sandbox.demo.desk import Desk, Ledger
from kintsugi_sandbox.demo.figures import Figures, figures
from kintsugi_sandbox.demo.partner import Partner
from kintsugi_sandbox.demo.view import View
from kintsugi_sandbox.demo.watch import Seen, Watch
from kintsugi_sandbox.reconciler import collect, judge
from kintsugi_sandbox.reconciler.findings import Verdict
from kintsugi_sandbox.supervisor import Office

COUNTRY = "xa"
NEEDED = ("intake", "assessment", "referral", "notify")
"""The services that the script cannot do without."""
_SHARE = "share"


@dataclass
class Shown:
    """What a run came to."""

    figures: Figures
    verdict: Verdict
    checks: list[Check]
    seconds: float
    phases: dict[str, float]
    folder: Path
    left_out: Sequence[str] = ()
    """What was neither played nor checked, and why."""

    @property
    def holds(self) -> bool:
        """Whether every check held."""
        return all(check.holds for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The content of ``demo.json``."""
        return {
            "holds": self.holds,
            "seconds": round(self.seconds, 1),
            "phases_s": {name: round(taken, 1) for name, taken in self.phases.items()},
            **self.figures,
            "effects": self.verdict.as_json(),
            "checks": [check.as_json() for check in self.checks],
            "left_out": list(self.left_out),
            "evidence": str(self.folder),
        }


AtTheEnd = Callable[[Office], Awaitable[Check]]


async def _equal_to_the_log(office: Office) -> Check:
    """Every database is what its topics make of it."""
    reports = [await recover.compared(office.layout, service.name) for service in office.services]
    found = [f"{r.service}: {r.subjects} cases compared, {len(r.differences)} differences" for r in reports]
    shown = [f"{each.subject} {each.kind}: {each.detail}" for r in reports for each in r.differences[:5]]
    return Check("every database equals the fold of its log", not any(r.differences for r in reports), (*found, *shown))


AT_THE_END: list[AtTheEnd] = [_equal_to_the_log]
"""Checks of the quiet office before it stops."""


async def demonstrate(folder: Path, project: Path, view: View) -> Shown:
    """Play everything in ``folder``, which is emptied first, and check it.

    Raises NotInstalled when a service is missing that the script needs. Without the service share the partners' steps
    and checks are left out, and the result says so.
    """
    services.installed(NEEDED)
    started = time.monotonic()
    phases: dict[str, float] = {}
    layout = Layout.at(folder)
    running.empty(layout)
    layout.make()
    pack_folder = project / "countries" / COUNTRY
    pack = load(pack_folder, Catalog.installed().declared)
    script = load_script(pack_folder, pack.directory, pack.baseline_instrument)
    found = services.installed()
    shares = any(service.name == _SHARE for service in found)
    integrators = pack.integrators if shares else ()
    left_out = [] if shares else [_NO_PARTNERS]
    for line in left_out:
        say(f"Left out: {line}")
    extra = {service.name: _SETTINGS for service in found}
    office = Office(layout, country=COUNTRY, profile="demo", project=project, found=found, extra=extra)
    ledger = Ledger(layout.data / "ledger.jsonl")
    evidence = layout.data / "evidence"
    evidence.mkdir()
    async with office:
        phases["start"] = time.monotonic() - started
        happened, events, error = await _play(office, pack, script, integrators, pack_folder, ledger, view)
        phases["days"] = time.monotonic() - started - sum(phases.values())
        checks = [] if error else [await at_the_end(office) for at_the_end in AT_THE_END]
        await collect.save(
            evidence,
            kafka=office.cluster.client(),
            topics={
                plan.name: plan.partitions
                for plans in (topics.planned, topics.streams)
                for plan in plans(contracts_folder(project), COUNTRY)
            },
            databases=dict(office.databases.own),
            facts=_facts(pack, script, integrators, happened),
        )
        phases["collect"] = time.monotonic() - started - sum(phases.values())
    ledger.close()
    shutil.copytree(pack_folder / "samples", evidence / "samples")
    phases["stop"] = time.monotonic() - started - sum(phases.values())
    verdict = await asyncio.to_thread(judge.judge, layout.data)
    phases["reconcile"] = time.monotonic() - started - sum(phases.values())
    told = figures(events, happened, [json.loads(line) for line in ledger.file.read_text().splitlines()])
    checks = [
        of_days(error),
        *of_evidence(verdict),
        *of_figures(told, happened),
        *(of_partners(verdict, told) if integrators else ()),
        *checks,
    ]
    return Shown(told, verdict, checks, time.monotonic() - started, phases, layout.data, left_out)


async def _play(
    office: Office,
    pack: Pack,
    script: Script,
    integrators: Sequence[Integrator],
    pack_folder: Path,
    ledger: Ledger,
    view: View,
) -> tuple[Happened, Sequence[Seen], Exception | None]:
    """What happened and was seen; and what ended the days too early, since the evidence then says what is missing."""
    desks = {role: Desk(office, ledger, role) for role in ("caseworker", "supervisor", "operator")}
    desks["provider"] = Desk(office, ledger, None)
    desks |= {each.name: Desk(office, ledger, "integrator", each.name) for each in integrators}
    plans = topics.planned(contracts_folder(office.project), office.country)
    try:
        async with contextlib.AsyncExitStack() as stack:
            watch = await stack.enter_async_context(Watch(office.cluster, plans, view.changed))
            partners = [
                await stack.enter_async_context(_partner(office, each.name, pack_folder, desks[each.name]))
                for each in integrators
            ]
            view.watch = watch
            days = Days(office, pack, script, desks, watch, partners, view.day)
            stopped: Exception | None = None
            with view.shown():
                try:
                    await days.play((pack_folder / CASES).read_bytes())
                except Exception as error:
                    stopped = error
            days.happened.received = {partner.name: partner.received for partner in partners}
            return days.happened, watch.events, stopped
    finally:
        for desk in desks.values():
            await desk.close()


def _partner(office: Office, name: str, pack_folder: Path, desk: Desk) -> Partner:
    """A partner with its own login, and the private key that the samples publish."""
    mine = [
        plan
        for plan in topics.streams(contracts_folder(office.project), office.country)
        if access.integrator(name) in plan.readers
    ]
    login = access.login(office.layout, office.bootstrap, office.country, access.integrator(name))
    return Partner(name, login, mine, pack_folder / "samples" / "integrators" / f"{name}.private.jwk.json", desk)


_NEVER = "0001-01-01T00:00:00+00:00"


def _facts(pack: Pack, script: Script, integrators: Sequence[Integrator], happened: Happened) -> dict[str, Any]:
    return {
        "ends_at": happened.reached.isoformat() if happened.reached else _NEVER,
        "zone": pack.country.zone,
        "people": {row: {"email": person.email, "phone": person.phone} for row, person in script.people.items()},
        "agencies": {agency.id: agency.email for agency in pack.directory.agencies},
        "partners": {
            each.name: {
                "agency": each.agency,
                "streams": {
                    f"{pack.code}.share.{each.name}.{name}.v{purpose.version}": {
                        "fields": purpose.fields,
                        "needs": purpose.needs,
                        "sealed": list(purpose.sealed),
                    }
                    for name, purpose in each.purposes.items()
                },
            }
            for each in integrators
        },
    }


_NO_PARTNERS = "partners, what they receive and what is checked of it: the service share is not installed"
# Short sessions, so that a process killed on purpose gives its partitions back in seconds.
_SETTINGS = {"KINTSUGI_TRACE_RATIO": "1", "KINTSUGI_SESSION_TIMEOUT_MS": "3000"}


def write(shown: Shown, file: Path) -> None:
    """Write ``demo.json``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(shown.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"The same as JSON: {file}")
