"""The scripted caseworker, who writes down what each survivor says: profile, consents, answers, choices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from kintsugi_country import Pack
from kintsugi_country.samples import Pick, Script, ScriptedPerson, ScriptedProfile, ScriptedStory

from kintsugi_sandbox.demo.desk import Desk

CODE_WORD = "harvest lantern"
TEXT_VERSION = "1.0"
_MINORS = frozenset({"under_6", "from_6_to_11", "from_12_to_14", "from_15_to_17", "minor"})


@dataclass
class Case:
    """A sample case: its row, its reference, and what the script says of the person."""

    row: int
    ref: str
    person: ScriptedPerson
    story: ScriptedStory
    minor: bool = False
    chosen: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The agency that was chosen, and the need, by referral."""
    rejected: set[str] = field(default_factory=set)
    """Needs for which an agency said no."""


class Caseworker:
    """Does over HTTP what a caseworker does on a screen."""

    def __init__(self, desk: Desk, script: Script, pack: Pack) -> None:
        self._desk = desk
        self._script = script
        self._pack = pack

    async def import_file(self, content: bytes) -> dict[str, Any]:
        """Send the sample file and return the report, row by row."""
        answer = await self._desk.change("intake", "/imports/htcds", "import", {}, content=content)
        report: dict[str, Any] = answer.json()
        return report

    async def listen(self, case: Case, today: datetime) -> None:
        """Record what HTCDS cannot hold: the safe-contact profile, and consents to casework, contact and partners."""
        shown = await self._desk.read("intake", f"/cases/{case.ref}")
        case.minor = shown.json()["age_band"] in _MINORS
        if case.person.profile is not None:
            await self._profile(case, self._script.profiles[case.person.profile], today, shown.headers["ETag"])
        await self.decide(case, "casework", case.story.casework)
        await self.decide(case, "contact", case.story.contact)
        for agency, plan in case.person.partners.items():
            await self.decide(case, "sharing", "refused" if plan == "refused" else "granted", agency)

    async def decide(self, case: Case, purpose: str, decision: str, agency: str | None = None) -> str:
        """Record a consent, a refusal or a withdrawal; returns what was seen by then, for the next service."""
        body: dict[str, Any] = {"purpose": purpose, "decision": decision}
        if agency is not None:
            body["agency"] = agency
        if decision != "withdrawn":
            body |= {"text_version": TEXT_VERSION, "language": self._language(case)}
            body["obtained_from"] = "designated_authority" if case.minor else "individual"
        about = {"case_ref": case.ref, "purpose": purpose, "decision": decision, "agency": agency}
        answer = await self._desk.change("intake", f"/cases/{case.ref}/consents", "consent", about, json=body)
        return str(answer.headers.get("Kintsugi-Seen", ""))

    async def begin_assessment(self, case: Case, assessment_id: str) -> None:
        """Ask the questions once: to the end, to a pause, or not at all."""
        answers = self._answers(case)
        if case.story.assessment == "completed":
            await self._answer(case, assessment_id, answers, finish=True)
        elif case.story.assessment == "paused_then_completed":
            half = dict(list(answers.items())[: len(answers) // 2])
            await self._answer(case, assessment_id, half, pause=True)
        elif case.story.assessment == "declined":
            about = {"case_ref": case.ref, "assessment_id": assessment_id}
            path = f"/assessments/{assessment_id}/decline"
            await self._desk.change("assessment", path, "decline_assessment", about, json={})

    async def resume_assessment(self, case: Case, assessment_id: str) -> None:
        """Go on where the survivor paused."""
        answers = self._answers(case)
        rest = dict(list(answers.items())[len(answers) // 2 :])
        await self._answer(case, assessment_id, rest, finish=True)

    async def assessments(self) -> dict[str, str]:
        """The open assessments by case."""
        found: dict[str, str] = {}
        after: dict[str, str] = {}
        while True:
            page = (await self._desk.read("assessment", "/assessments", limit=200, **after)).json()
            for each in page["assessments"]:
                if each["status"] in ("scheduled", "in_progress", "paused"):
                    found[each["case_ref"]] = each["assessment_id"]
            if not page["next"]:
                return found
            after = {"after": page["next"]}

    async def proposals(self, case: Case) -> list[dict[str, Any]]:
        """The referrals of a case that wait for a choice."""
        page = (await self._desk.read("referral", "/referrals", case_ref=case.ref, status="proposed", limit=200)).json()
        found: list[dict[str, Any]] = page["referrals"]
        return found

    def option(self, case: Case, referral: Mapping[str, Any]) -> dict[str, Any] | str:
        """What the survivor wants of a proposal: an option, ``none`` or ``not_now``."""
        pick: Pick = case.person.choices.get(referral["need"], case.story.choice)
        options = referral["options"]
        if pick in ("none", "not_now"):
            return pick
        if not options:
            return "not_now"
        chosen: dict[str, Any] = options[1] if pick == "second" and len(options) > 1 else options[0]
        return chosen

    async def choose(self, case: Case, referral: Mapping[str, Any], wanted: dict[str, Any] | str, seen: str) -> str:
        """Record the choice; returns the referral's status, ``requested`` where its agency is being asked."""
        referral_id = referral["referral_id"]
        body = {"choice": wanted} if isinstance(wanted, str) else {"choice": "option", "option_id": wanted["option_id"]}
        about = {"case_ref": case.ref, "referral_id": referral_id, **body}
        if not isinstance(wanted, str):
            about["agency"] = wanted["agency"]
            case.chosen[referral_id] = (wanted["agency"], referral["need"])
        headers = {"Kintsugi-Seen": seen} if seen else {}
        answer = await self._desk.change(
            "referral", f"/referrals/{referral_id}/choice", "choice", about, json=body, headers=headers
        )
        return str(answer.json()["status"])

    async def take_tasks(self, skip: frozenset[str] = frozenset(), *, kind: str | None = None) -> int:
        """Take every open caseworker's task but those of cases in ``skip``; only of one kind where it is named."""
        page = await self._desk.read("notify", "/staff-tasks", role="caseworker", open=True, limit=200)
        taken = 0
        for task in page.json()["tasks"]:
            if task["case_ref"] in skip or (kind is not None and task["kind"] != kind):
                continue
            about = {"case_ref": task["case_ref"], "task_id": task["task_id"]}
            await self._desk.change("notify", f"/staff-tasks/{task['task_id']}/acknowledge", "take_task", about)
            taken += 1
        return taken

    async def _profile(self, case: Case, profile: ScriptedProfile, today: datetime, etag: str) -> None:
        person = case.person
        windows = [
            {"weekday": day, "start": window.start, "end": window.end}
            for window in profile.windows
            for day in window.days
        ]
        kinds = (["email"] if person.email else []) + (["sms"] if person.phone else [])
        reviewed = today - timedelta(days=profile.reviewed_days_ago)
        body: dict[str, Any] = {
            "contact_by": profile.contact_by,
            "language": person.language,
            "windows": windows,
            "channels": [{"kind": kind, "verified": profile.verified, "safe": profile.safe} for kind in kinds],
            "reviewed_at": reviewed.isoformat(),
        }
        body |= {"email": person.email} if person.email else {}
        body |= {"phone": person.phone} if person.phone else {}
        body |= {"code_word": CODE_WORD} if profile.with_code_word else {}
        about = {"case_ref": case.ref, "row": case.row, **{name: body[name] for name in _TOLD}}
        path = f"/cases/{case.ref}/contact-profile"
        headers = {"If-Match": etag}
        await self._desk.change("intake", path, "profile", about, method="PATCH", json=body, headers=headers)

    async def _answer(self, case: Case, assessment_id: str, answers: Mapping[str, Any], **how: bool) -> httpx.Response:
        about = {"case_ref": case.ref, "assessment_id": assessment_id, **how}
        body = {"answers": answers, "context": "current_living", **how}
        return await self._desk.change(
            "assessment", f"/assessments/{assessment_id}/answers", "answers", about, json=body
        )

    def _answers(self, case: Case) -> dict[str, Any]:
        scores = self._script.answers_of(case.person, self._pack.baseline_instrument)
        return {item: "declined" if score is None else score for item, score in scores.items()}

    def _language(self, case: Case) -> str:
        return case.person.language if case.person.language in self._pack.languages else self._pack.languages[0]


_TOLD = ("contact_by", "language", "windows", "channels", "reviewed_at")


async def close_case(supervisor: Desk, case: Case, reason: str) -> None:
    """A supervisor approves that a case ends."""
    about = {"case_ref": case.ref, "reason": reason}
    await supervisor.change("intake", f"/cases/{case.ref}/close", "close", about, json={"reason": reason})
