"""A new major is accepted when every consumer takes it and every released example can be read as the new version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from kintsugi_contracts import gate, generate
from kintsugi_contracts.base import Event, Instant
from kintsugi_contracts.catalog import Catalog, EventPackage, Upcaster
from kintsugi_contracts.gate import Report
from kintsugi_contracts.releases import freeze
from kintsugi_contracts.schema_changes import Verdict
from kintsugi_events import CaseClosed, CloseReason
from kintsugi_events.package import package

from tests.contract.folders import Copy

OLD, NEW = "kintsugi.case.closed.v1", "kintsugi.case.closed.v2"
INTAKE, SECOND = "topics/intake.v1.yaml", "events/case.closed/v2.schema.json"


class CaseClosedV2(Event):
    """What the generator would make of the second version."""

    type: ClassVar[str] = NEW
    service: ClassVar[str] = "intake"

    reason: CloseReason
    ended_at: Instant


LISTED: list[Upcaster] = []


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed package, with the second version and the upcasters that a test lists."""
    LISTED.clear()

    def installed(cls: type[Catalog]) -> Catalog:
        return cls([EventPackage(package.name, (*package.events, CaseClosedV2), package.contracts, tuple(LISTED))])

    monkeypatch.setattr(Catalog, "installed", classmethod(installed))


def upcast(function: Callable[[Any], Event]) -> None:
    """The package lists this way from the first version to the second."""
    LISTED.append(Upcaster(CaseClosed, CaseClosedV2, function))


def _lift(event: CaseClosed) -> CaseClosedV2:
    return CaseClosedV2(reason=event.reason, ended_at=event.closed_at)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Contracts with a release, and a second version of one event beside the first."""
    made = Copy(tmp_path)
    freeze(made.path, "1.0.0")
    schema = json.loads((made.path / "events/case.closed/v1.schema.json").read_text())
    schema |= {"$id": schema["$id"].replace("/v1.", "/v2."), "x-type": NEW, "title": "CaseClosedV2"}
    schema["required"] = ["reason", "ended_at"]
    closed_at = schema["properties"].pop("closed_at")
    schema["properties"] = {"reason": schema["properties"]["reason"], "ended_at": closed_at}
    made.add(SECOND, schema)
    good = {"reason": "goals_met", "ended_at": "2027-03-02T11:00:00Z"}
    examples = "events/case.closed/examples"
    made.add(f"{examples}/accept/v2.full.json", good)
    made.add(f"{examples}/accept/v2.survivor_request.json", good | {"reason": "survivor_request"})
    made.add(f"{examples}/reject/v2.enum-reason.json", good | {"reason": "gone_fishing"})
    made.add(f"{examples}/reject/v2.pattern-local_time.json", good | {"ended_at": "2027-03-02T11:00:00"})
    made.add(f"{examples}/reject/v2.required-reason.json", {"ended_at": good["ended_at"]})
    return made


def consumers(copy: Copy, *names: str) -> None:
    """These consumers say that they take both versions."""

    def edit(topic: Any) -> None:
        for name in names:
            reading = topic["consumers"][name]["case.closed"]
            fields = reading if isinstance(reading, list) else reading["fields"]
            topic["consumers"][name]["case.closed"] = {"fields": fields, "versions": [1, 2]}

    copy.change(INTAKE, edit)


def readers(copy: Copy) -> list[str]:
    """Everybody who reads the event."""
    found: list[str] = []
    copy.change(INTAKE, lambda t: found.extend(c for c, reads in t["consumers"].items() if "case.closed" in reads))
    return found


def written(copy: Copy) -> None:
    """The producer may write both versions."""
    copy.change(INTAKE, lambda t: t["events"]["case.closed"].__setitem__("versions", [1, 2]))


def told(report: Report) -> list[str]:
    """The findings in words."""
    return [f.message for f in report.findings]


def test_a_version_nobody_reads_or_writes_is_an_orphan(copy: Copy) -> None:
    upcast(_lift)
    assert "no topic file names this schema" in told(gate.check(copy.path))


def test_consumers_prepare_one_after_the_other(copy: Copy) -> None:
    upcast(_lift)
    everybody = readers(copy)
    consumers(copy, everybody[0])
    report = gate.check(copy.path)
    assert told(report) == []
    (change,) = (c for c in report.changes if c.rule == "major-added")
    assert change.said == "version 2 is prepared beside version 1, and nobody may write it yet"
    assert change.order.startswith(f"Next: {', '.join(everybody[1:])} take it;")
    consumers(copy, *everybody)
    (change,) = (c for c in gate.check(copy.path).changes if c.rule == "major-added")
    assert change.said == "version 2 is prepared beside version 1, and every consumer takes it"


def test_it_is_accepted_when_every_consumer_takes_it_and_old_facts_are_lifted(copy: Copy) -> None:
    upcast(_lift)
    consumers(copy, *readers(copy))
    written(copy)
    report = gate.check(copy.path)
    assert told(report) == []
    assert report.passes
    (change,) = (c for c in report.changes if c.rule == "major-added")
    assert (change.verdict, change.subject) == (Verdict.fine, "case.closed v2")
    assert change.order == "The producer may switch: every consumer takes both."
    gate.release(copy.path, "1.1.0")
    assert gate.check(copy.path).changes[0].since == ("1.0.0",)


def test_it_may_not_be_written_while_a_consumer_cannot_take_it(copy: Copy) -> None:
    upcast(_lift)
    *ready, late = readers(copy)
    consumers(copy, *ready)
    written(copy)
    assert told(gate.check(copy.path)) == [f"`case.closed` may be written in version 2, which {late} does not take"]


def _all(copy: Copy) -> list[str]:
    consumers(copy, *readers(copy))
    written(copy)
    return told(gate.check(copy.path))


def test_it_needs_an_upcaster(copy: Copy) -> None:
    assert f"{OLD} cannot be read as {NEW}: there is no upcaster" in _all(copy)


def test_an_upcaster_that_fails_is_told_with_the_released_example_it_fails_on(copy: Copy) -> None:
    def fails(event: CaseClosed) -> CaseClosedV2:
        if event.reason is CloseReason.survivor_request:
            raise KeyError("nobody thought of this")
        return _lift(event)

    upcast(fails)
    said = "the upcaster fails on this example: KeyError: 'nobody thought of this'"
    assert _all(copy) == [said, said]
    name = "events/case.closed/examples/accept/survivor_request.json"
    assert {f.file for f in gate.check(copy.path).findings} == {name, f"released/1.0.0/{name}"}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic warns of the value the test makes on purpose
def test_an_upcaster_whose_result_breaks_the_schema_is_found(copy: Copy) -> None:
    def invents(event: CaseClosed) -> CaseClosedV2:
        return _lift(event).model_copy(update={"reason": "gone_fishing"})

    upcast(invents)
    assert any(said.startswith("lifted to version 2 this example breaks its schema") for said in _all(copy))


def test_an_upcaster_that_forgets_a_field_is_found(copy: Copy) -> None:
    def edit(schema: Any) -> None:
        role = json.loads((copy.path / "events/case.closed/v1.schema.json").read_text())["properties"]["approved_role"]
        schema["properties"]["approved_role"] = role

    copy.change(SECOND, edit)
    upcast(_lift)
    said = "lifted to version 2 this example loses `approved_role`, which that version has"
    assert said in _all(copy)


def test_the_only_version_of_an_event_that_goes_is_told_and_no_crash(copy: Copy) -> None:
    for name in (SECOND, "events/case.closed/v1.schema.json"):
        (copy.path / name).unlink()
    report = gate.check(copy.path)
    assert ("version-removed", "case.closed v1") in {(c.rule, c.subject) for c in report.changes}


def test_a_new_major_does_not_excuse_a_lower_sensitivity(copy: Copy) -> None:
    copy.change(SECOND, lambda s: s["properties"]["reason"].__setitem__("x-sensitivity", "public"))
    upcast(_lift)
    assert _all(copy) == []
    (change,) = (c for c in gate.check(copy.path).changes if c.verdict is Verdict.forbidden)
    assert change.said == "the sensitivity of `reason` was lowered from internal to public"
    assert change.file == SECOND


def test_a_new_major_can_open_what_was_sealed_as_the_old_one(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    freeze(copy.path, "1.0.0")
    folder = copy.path / "events/case.opened"
    for file in [*folder.glob("v1.*schema.json"), *folder.glob("examples/*/*.json")]:
        text = file.read_text().replace("/v1.", "/v2.").replace("opened.v1", "opened.v2")
        copy.add(
            str(file.with_name(("v2" + file.name[2:]) if file.name.startswith("v1.") else f"v2.{file.name}")), text
        )
    copy.change(
        "events/case.opened/v2.sealed.identity.schema.json",
        lambda s: s["properties"]["preferred_name"].__setitem__("maxLength", 4),
    )
    copy.change(INTAKE, lambda t: t["events"]["case.opened"].__setitem__("versions", [1, 2]))
    said = told(gate.check(copy.path))
    assert "version 2 cannot open what was sealed as version 1" in said


def test_the_generator_makes_models_for_versions_that_consumers_prepare_for(copy: Copy, tmp_path: Path) -> None:

    made = generate.modules(copy.path, tmp_path)
    assert f'type: ClassVar[str] = "{NEW}"' in made["intake.py"]
