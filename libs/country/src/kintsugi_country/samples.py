"""The script of a pack's sample cases: what caseworkers, survivors and providers do in a demonstration.

`samples/cases.csv` holds the cases; `samples/caseworker.yaml` holds, by row of that file, what HTCDS has no field for:
the safe-contact profile, the consents, the answers, the choices, and how the providers behave.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from kintsugi_contracts.documents import Document, nearest, read, validate
from kintsugi_contracts.findings import Finding
from pydantic import Field, StringConstraints

from kintsugi_country.directory import Directory
from kintsugi_country.errors import PackError
from kintsugi_country.frozen import Code, Email, Frozen, FrozenMap, LanguageTag
from kintsugi_country.instrument import Instrument

SCRIPT = "samples/caseworker.yaml"
CASES = "samples/cases.csv"

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]
Pick = Literal["first", "second", "none", "not_now"]


class ScriptedWindow(Frozen):
    """When contact is safe, on these days, in the country's zone."""

    days: tuple[Weekday, ...]
    start: TimeOfDay
    end: TimeOfDay


class ScriptedProfile(Frozen):
    """What the survivor says about being contacted. Addresses stand with the person."""

    contact_by: Literal["organisation", "survivor_only"] = "organisation"
    windows: tuple[ScriptedWindow, ...] = ()
    verified: bool = True
    safe: bool = True
    with_code_word: bool = False
    reviewed_days_ago: Annotated[int, Field(ge=0)] = 0
    """Days before the demonstration begins on which the survivor last confirmed it."""


class ScriptedStory(Frozen):
    """What happens to a case after intake. `sharing` is about the agency of whatever option is chosen."""

    what: str
    casework: Literal["granted", "refused"] = "granted"
    contact: Literal["granted", "refused"] = "granted"
    sharing: Literal["before_choice", "after_withheld", "refused", "never"] = "before_choice"
    assessment: Literal["completed", "paused_then_completed", "declined", "unanswered"] = "completed"
    choice: Pick = "first"
    provider: Literal[
        "completes", "accepts", "starts", "holds", "fails", "unattended", "rejects", "rejects_then_next", "no_answer"
    ] = "completes"
    reason: Code | None = None
    """The provider's coded reason, where its behaviour needs one."""
    withdraws: Literal["never", "before_choice", "after_request", "after_acceptance"] = "never"
    closes: Code | None = None
    """The reason for closing the case at the end, or None."""


class ScriptedPerson(Frozen):
    """One row of the sample cases."""

    story: Code
    profile: Code | None = None
    """None: never asked, so nobody is contacted."""
    language: LanguageTag
    """The language in which the survivor wants messages."""
    email: Email | None = None
    phone: str | None = None
    answers: Code
    declines: tuple[str, ...] = ()
    """Items the survivor leaves out."""
    choices: FrozenMap[Code, Pick] = Field(default_factory=dict, validate_default=True)
    """Choices by need, where they differ from the story's."""
    refuses_agencies: tuple[str, ...] = ()
    """Agencies that must not receive anything, by directory id."""
    partners: FrozenMap[str, Literal["granted", "refused", "withdrawn", "granted_again"]] = Field(
        default_factory=dict, validate_default=True
    )
    """Consents to integrators, by agency. ``withdrawn``: given and taken back; ``granted_again``: and then renewed."""


class Script(Frozen):
    """All that the scripted people do."""

    begins_on: date
    """The day on which a demonstration begins: the sample's dates belong to it."""
    profiles: FrozenMap[Code, ScriptedProfile]
    answers: FrozenMap[Code, FrozenMap[str, int]]
    """Scores by item; `otherwise` is the score of every item not named."""
    stories: FrozenMap[Code, ScriptedStory]
    people: FrozenMap[int, ScriptedPerson]
    """By row number of cases.csv, counted from 1 as a spreadsheet does."""

    def answers_of(self, person: ScriptedPerson, instrument: Instrument) -> dict[str, int | None]:
        """The person's answer to every scored item; None where they decline it."""
        given = self.answers[person.answers]
        return {
            item.id: None if item.id in person.declines else given.get(item.id, given["otherwise"])
            for item in instrument.items
        }


def load_script(folder: Path | str, directory: Directory, instrument: Instrument) -> Script:
    """The script of the pack in this folder. Raises PackError, which names every mistake."""
    findings: list[Finding] = []
    script = read_script(Path(folder), directory, instrument, findings)
    if script is None or findings:
        raise PackError(str(folder), sorted(findings))
    return script


def read_script(
    folder: Path,
    directory: Directory | None,
    instrument: Instrument | None,
    findings: list[Finding],
    *,
    partners: frozenset[str] | None = None,
) -> Script | None:
    """The script, or None; mistakes are appended to `findings`. What it refers to is checked where that is readable.

    `partners` are the agencies of the pack's integrators.
    """
    document = read(folder, SCRIPT, findings)
    if document is None:
        return None
    script = validate(document, Script, document.data, (), findings)
    if script is not None:
        findings.extend(_contradictions(document, script, directory, instrument))
        if partners is not None:
            findings.extend(_unknown_partners(document, script, partners))
    return script


def _unknown_partners(document: Document, script: Script, partners: frozenset[str]) -> Iterator[Finding]:
    for row, person in script.people.items():
        for agency in sorted(person.partners.keys() - partners):
            message = f"no integrator has the agency {agency}"
            yield document.finding(("people", row, "partners"), message, nearest(agency, partners))


def _contradictions(
    document: Document, script: Script, directory: Directory | None, instrument: Instrument | None
) -> Iterator[Finding]:
    if instrument is not None:
        yield from _answers(document, script, instrument)
    for row, person in script.people.items():
        at = ("people", row)
        for field, value, known in (
            ("story", person.story, set(script.stories)),
            ("profile", person.profile, {*script.profiles}),
            ("answers", person.answers, set(script.answers)),
        ):
            if value is not None and value not in known:
                yield document.finding((*at, field), f"there is no {field} {value!r}", nearest(value, known))
        if instrument is not None:
            needs = {need.need for domain in instrument.domains for need in domain.needs}
            items = {item.id for item in instrument.items}
            for field, values, known in (("declines", person.declines, items), ("choices", (*person.choices,), needs)):
                for value in values:
                    if value not in known:
                        yield document.finding((*at, field), f"{value!r} is not known", nearest(value, known))
        agencies = (
            {agency.id for agency in directory.agencies} if directory is not None else set(person.refuses_agencies)
        )
        for value in person.refuses_agencies:
            if value not in agencies:
                mend = "use an id of organizations.json"
                yield document.finding((*at, "refuses_agencies"), f"there is no agency {value}", mend)


def _answers(document: Document, script: Script, instrument: Instrument) -> Iterator[Finding]:
    items = {item.id for item in instrument.items}
    scale = instrument.scale
    for name, answers in script.answers.items():
        if "otherwise" not in answers:
            yield document.finding(("answers", name), f"{name} has no 'otherwise'", "add the score of all other items")
        for item, score in answers.items():
            if item != "otherwise" and item not in items:
                yield document.finding(("answers", name, item), f"{item} is not an item", nearest(item, items))
            if not scale.minimum <= score <= scale.maximum:
                message = f"{score} lies outside the scale {scale.minimum}-{scale.maximum}"
                yield document.finding(("answers", name, item), message, "correct the score")
