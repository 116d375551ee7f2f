"""The days of the demonstration: who does what, from the first Monday at 10:00 until nothing is owed any more."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

from kintsugi_country import Pack
from kintsugi_country.samples import Script

from kintsugi_sandbox import clock
from kintsugi_sandbox.demo.caseworker import Case, Caseworker, close_case
from kintsugi_sandbox.demo.desk import Desk
from kintsugi_sandbox.demo.partner import Partner, Received
from kintsugi_sandbox.demo.provider import Inbox, Provider
from kintsugi_sandbox.demo.watch import Watch
from kintsugi_sandbox.supervisor import Office

AT_ONCE = 8
"""How many people are at work at the same time."""
KILLED = "referral"
KILL_AFTER_REQUESTS = 12
DOWN_FOR_SECONDS = 1.0
SEND_AGAIN_AFTER_SECONDS = 0.5
MAIL_WITHIN_SECONDS = 45.0


@dataclass
class Happened:
    """What the script knows that no event says."""

    report: dict[str, Any] = field(default_factory=dict)
    again: dict[str, Any] = field(default_factory=dict)
    killed_at_ms: int = 0
    back_at_ms: int = 0
    sent_again: int = 0
    stops: int = 0
    held: dict[str, int] = field(default_factory=dict)
    received: dict[str, Received] = field(default_factory=dict)
    """What each partner got, as it counted."""
    reached: datetime | None = None
    """The business time to which everything was played."""


@dataclass
class Visit:
    """What a provider does on a later day with a request it accepted."""

    provider: Provider
    link: str
    referral_id: str
    steps: list[dict[str, str]]


class Days:
    """Plays the script. ``now_is`` is told each new day, for the spectator."""

    def __init__(
        self,
        office: Office,
        pack: Pack,
        script: Script,
        desks: dict[str, Desk],
        watch: Watch,
        partners: Sequence[Partner],
        now_is: Callable[[str], None],
    ) -> None:
        self._office = office
        self._pack = pack
        self._script = script
        self._supervisor = desks["supervisor"]
        self._operator = desks["operator"]
        self._worker = Caseworker(desks["caseworker"], script, pack)
        self._watch = watch
        self._partners = partners
        self._now_is = now_is
        inbox = Inbox(office.layout.mail)
        self._providers = {
            agency.id: Provider(agency.email, agency.id, inbox, desks["provider"]) for agency in pack.directory.agencies
        }
        self._cases: list[Case] = []
        self._later: list[Visit] = []
        self.happened = Happened()
        self._began = datetime.now(UTC)
        self.begins = datetime.combine(script.begins_on, time_of_day(10, 0), tzinfo=pack.zone)

    async def play(self, samples: bytes) -> Happened:
        """All days, one after the other. Raises what the office's clock, a desk or a provider raises."""
        await clock.set_clock(self._office, self.begins)
        self.happened.reached = self.begins
        self._tell(self.begins, "cases arrive; survivors say how they can be reached")
        await self._arrive(samples)
        await clock.quiet(self._office)
        await self._worker.take_tasks(kind="act_on_risk")
        self._tell(self.begins, "assessments are made, paused, declined")
        await self._assess()
        await self._until(self.begins + timedelta(days=1), "survivors choose; referral is killed on the way")
        await self._resume()
        await self._choose_and_break()
        await clock.quiet(self._office)
        await self._consent_later()
        await self._until(self.begins + timedelta(days=2), "providers go on; some survivors withdraw")
        await self._each(self._later, self._go_on)
        await self._each(self._cases, self._withdraw)
        await clock.quiet(self._office)
        await self._each(self._providers.values(), self._delete)
        await self._each(self._partners, Partner.forget)
        await self._each(self._cases, self._share_again)
        await self._worker.take_tasks(self._refs(lambda case: case.story.provider == "no_answer"))
        await self._until(self.begins + timedelta(days=8), "answers fall overdue, tasks go up")
        await self._each(self._cases, self._close)
        ends = self.begins + timedelta(days=17)
        await self._until(ends, "everything owed comes to its end")
        self._tell(ends, "nothing is under way any more")
        return self.happened

    async def _arrive(self, samples: bytes) -> None:
        self.happened.report = await self._worker.import_file(samples)
        self.happened.again = await self._worker.import_file(samples)
        for row in self.happened.report["report"]:
            if row["result"] == "taken":
                person = self._script.people[row["row"]]
                self._cases.append(Case(row["row"], row["case_ref"], person, self._script.stories[person.story]))
        await self._each(self._cases, lambda case: self._worker.listen(case, self.begins))

    async def _assess(self) -> None:
        waiting = await self._worker.assessments()
        asked = [case for case in self._cases if case.ref in waiting]
        await self._each(asked, lambda case: self._worker.begin_assessment(case, waiting[case.ref]))

    async def _resume(self) -> None:
        waiting = await self._worker.assessments()
        paused = [case for case in self._cases if case.story.assessment == "paused_then_completed"]
        await self._each(paused, lambda case: self._worker.resume_assessment(case, waiting[case.ref]))
        await clock.quiet(self._office)

    async def _choose_and_break(self) -> None:
        async def break_something() -> None:
            await self._watch.until("referral.requested", KILL_AFTER_REQUESTS, within=30)
            self.happened.killed_at_ms = _machine_ms()
            await self._office.kill(KILLED, down_for=DOWN_FOR_SECONDS)
            await asyncio.sleep(SEND_AGAIN_AFTER_SECONDS)
            self.happened.sent_again = (
                await self._operator.operate("intake", "/operations/resend", since=self._began.isoformat())
            )["resent"]
            await self._office.child(KILLED).wait_ready()
            self.happened.back_at_ms = _machine_ms()

        await asyncio.gather(break_something(), self._each(self._cases, self._choose))

    async def _choose(self, case: Case) -> None:
        for referral in await self._worker.proposals(case):
            await self._choose_one(case, referral)

    async def _choose_one(self, case: Case, referral: dict[str, Any]) -> None:
        wanted = self._worker.option(case, referral)
        if isinstance(wanted, str):
            await self._worker.choose(case, referral, wanted, "")
            return
        agency = wanted["agency"]
        seen = await self._sharing(case, agency)
        provider = self._providers[agency]
        async with provider.turn:
            status = await self._worker.choose(case, referral, wanted, seen)
            if status != "requested":
                return
            link = await provider.next_request(referral["need"], within=MAIL_WITHIN_SECONDS)
        await self._answered(case, referral, provider, link)

    async def _sharing(self, case: Case, agency: str) -> str:
        story = case.story
        if story.sharing == "refused" or agency in case.person.refuses_agencies:
            return await self._worker.decide(case, "sharing", "refused", agency)
        if story.sharing != "before_choice":
            return ""
        seen = await self._worker.decide(case, "sharing", "granted", agency)
        if story.withdraws == "before_choice":
            seen = await self._worker.decide(case, "sharing", "withdrawn", agency)
        return seen

    async def _answered(self, case: Case, referral: dict[str, Any], provider: Provider, link: str) -> None:
        """The provider read its mail: it answers today, and does the rest on another day."""
        plan, reason = case.story.provider, case.story.reason or "other"
        id_ = referral["referral_id"]
        if plan == "no_answer":
            return
        once = plan == "rejects_then_next" and referral["need_id"] not in case.rejected
        if plan == "rejects" or once:
            case.rejected.add(referral["need_id"])
            await provider.answer(link, id_, "rejected", reason=reason)
            offered = [each for each in await self._worker.proposals(case) if each["need_id"] == referral["need_id"]]
            for another in offered:
                await self._choose_one(case, another)
            return
        await provider.answer(link, id_, "accepted")
        if steps := _STEPS[plan](reason):
            self._later.append(Visit(provider, link, id_, steps))

    async def _consent_later(self) -> None:
        """The consent arrives after the request was withheld: it goes out by itself."""

        async def one(case: Case) -> None:
            for agency in sorted({agency for agency, _ in case.chosen.values()}):
                provider = self._providers[agency]
                waiting = [(id_, need) for id_, (chosen, need) in case.chosen.items() if chosen == agency]
                async with provider.turn:
                    await self._worker.decide(case, "sharing", "granted", agency)
                    links = [await provider.next_request(need, within=MAIL_WITHIN_SECONDS) for _, need in waiting]
                for (id_, need), link in zip(waiting, links, strict=True):
                    await self._answered(case, {"referral_id": id_, "need": need, "need_id": need}, provider, link)

        await self._each([case for case in self._cases if case.story.sharing == "after_withheld"], one)

    async def _go_on(self, visit: Visit) -> None:
        for step in visit.steps:
            await visit.provider.answer(visit.link, visit.referral_id, **step)

    async def _withdraw(self, case: Case) -> None:
        if case.story.withdraws in ("after_request", "after_acceptance"):
            for agency in sorted({agency for agency, _ in case.chosen.values()}):
                await self._worker.decide(case, "sharing", "withdrawn", agency)
        for agency, plan in case.person.partners.items():
            if plan in ("withdrawn", "granted_again"):
                await self._worker.decide(case, "sharing", "withdrawn", agency)

    async def _share_again(self, case: Case) -> None:
        """Some survivors trust a partner a second time."""
        for agency, plan in case.person.partners.items():
            if plan == "granted_again":
                await self._worker.decide(case, "sharing", "granted", agency)

    async def _delete(self, provider: Provider) -> None:
        for link in await provider.all_purges():
            await provider.acknowledge_purge(link)

    async def _close(self, case: Case) -> None:
        if case.story.closes is not None:
            await close_case(self._supervisor, case, case.story.closes)

    async def _until(self, moment: datetime, what: str) -> None:
        advance = await clock.advance_to(self._office, moment)
        self.happened.stops += len(advance.stops)
        self.happened.held = advance.held
        self.happened.reached = moment
        self._tell(moment, what)

    async def _each(self, many: Iterable[Any], work: Callable[[Any], Awaitable[None]]) -> None:
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(item: Any) -> None:
            async with turn:
                await work(item)

        async with asyncio.TaskGroup() as group:
            for item in many:
                group.create_task(one(item))

    def _refs(self, which: Callable[[Case], bool]) -> frozenset[str]:
        return frozenset(case.ref for case in self._cases if which(case))

    def _tell(self, moment: datetime, what: str) -> None:
        self._now_is(f"{moment:%A %d %b %H:%M}: {what}")


_STEPS: dict[str, Callable[[str], list[dict[str, str]]]] = {
    "completes": lambda _: [{"status": "in-progress"}, {"status": "completed"}],
    "accepts": lambda _: [],
    "starts": lambda _: [{"status": "in-progress"}],
    "holds": lambda reason: [{"status": "on-hold", "reason": reason}],
    "fails": lambda reason: [{"status": "in-progress"}, {"status": "failed", "reason": reason}],
    "unattended": lambda _: [{"status": "accepted", "sub_status": "unattended"}, {"status": "completed"}],
    "rejects_then_next": lambda _: [{"status": "in-progress"}, {"status": "completed"}],
}


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000
