"""The gate's verdict on each kind of change, with the words for the reviewer: what, who reads it, who goes first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from kintsugi_contracts.changes import Change, between, merged
from kintsugi_contracts.folder import Folder, load
from kintsugi_contracts.patterns import unrolled
from kintsugi_contracts.schema_changes import Verdict

from tests.contract.folders import CONTRACTS, Copy

OPENED, CLOSED = "events/case.opened/v1.schema.json", "events/case.closed/v1.schema.json"
IDENTITY, COMMON = "events/case.opened/v1.sealed.identity.schema.json", "events/common.schema.json"
REFERRAL, INTAKE = "topics/referral.v1.yaml", "topics/intake.v1.yaml"
LAMP = "share/xa/lamp-register/light"
Edit = Callable[[Any], None]
NOTE: dict[str, Any] = {"description": "A note.", "x-sensitivity": "internal"}
MAYBE_ID = {**NOTE, "anyOf": [{"$ref": "../common.schema.json#/$defs/Id"}, {"type": "null"}]}


@cache
def released() -> Folder:
    return load(CONTRACTS)


def changes(project: Path, *edits: tuple[str, Edit]) -> list[Change]:
    """What changes when files are edited."""
    copy = Copy(project)
    for file, edit in edits:
        copy.change(file, edit)
    return between(released(), load(copy.path))


def put(*path: str | int, value: Any) -> Edit:
    def edit(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    def edit(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        if isinstance(data, list):
            data.remove(path[-1])
        else:
            del data[path[-1]]

    return edit


def both(*edits: Edit) -> Edit:
    def edit(data: Any) -> None:
        for each in edits:
            each(data)

    return edit


def turned(*path: str) -> Edit:
    """The entries of a list or an object in another order."""

    def edit(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        value = data[path[-1]]
        data[path[-1]] = value[::-1] if isinstance(value, list) else dict(reversed(value.items()))

    return edit


SAFE: dict[str, tuple[str, Edit]] = {
    "an optional field": (OPENED, put("properties", "note_ref", value=MAYBE_ID)),
    "an optional list": (
        OPENED,
        put("properties", "visits", value={**NOTE, "type": "array", "items": {"type": "boolean"}, "maxItems": 2}),
    ),
    "an optional map": (
        OPENED,
        put(
            "properties",
            "flags",
            value={
                **NOTE,
                "type": "object",
                "propertyNames": {"pattern": "^[a-z]$"},
                "additionalProperties": {"type": "boolean"},
                "maxProperties": 2,
            },
        ),
    ),
    "an optional field of an object inside": (
        OPENED,
        put("$defs", "Interpreter", "properties", "dialect", value=MAYBE_ID),
    ),
    "an optional field of a shared object": (
        COMMON,
        put(
            "$defs",
            "Position",
            "properties",
            "shard",
            value={**NOTE, "anyOf": [{"$ref": "#/$defs/Id"}, {"type": "null"}]},
        ),
    ),
    "a code": (COMMON, both(lambda d: d["$defs"]["CloseReason"]["enum"].insert(0, "merged"))),
    "codes in another order": (COMMON, turned("$defs", "CloseReason", "enum")),
    "fields in another order": (OPENED, turned("properties")),
    "required names in another order": (OPENED, turned("required")),
    "definitions in another order": (COMMON, turned("$defs")),
    "another title": (CLOSED, put("title", value="CaseEnded")),
    "a better description of a field": (CLOSED, put("properties", "reason", "description", value="Why it ended.")),
    "a better description of an event": (CLOSED, put("description", value="A case ended.")),
    "a better description of a code list": (COMMON, put("$defs", "CloseReason", "description", value="Why it ended.")),
    "a higher sensitivity": (IDENTITY, put("properties", "preferred_name", "x-sensitivity", value="special")),
    "a new optional field that is sealed": (
        IDENTITY,
        put("properties", "nickname", value={**NOTE, "x-sensitivity": "personal", "type": ["string", "null"]}),
    ),
    "null written otherwise": (OPENED, turned("properties", "import_ref", "anyOf")),
    "a reference written out": (
        CLOSED,
        put("properties", "closed_at", value={**NOTE, "$ref": "../common.schema.json#/$defs/Instant"}),
    ),
    "a definition nobody uses yet": (
        COMMON,
        put("$defs", "Spare", value={"title": "Spare", "type": "string", "pattern": "^[a-z]$"}),
    ),
    "a bound of nothing, written out": (IDENTITY, put("properties", "excluded_communities", "minItems", value=0)),
    "a new reader": (REFERRAL, put("consumers", "assessment", value={"referral.chosen": ["referral_id"]})),
    "one reader less": (INTAKE, drop("consumers", "assessment")),
    "another owner": (INTAKE, put("owner", value="The door team")),
    "a higher class": ("topics/notify.v1.yaml", put("sensitivity", value="restricted")),
    "more protective": (REFERRAL, put("events", "referral.chosen", "protective", value=True)),
    "larger records": (INTAKE, put("config", "max.message.bytes", value="400000")),
    "other segments": (INTAKE, put("config", "segment.ms", value="3600000")),
}


@pytest.mark.parametrize("name", SAFE)
def test_a_safe_change_is_fine(name: str, tmp_path: Path) -> None:
    assert {c.verdict for c in changes(tmp_path, SAFE[name])} <= {Verdict.fine}


def test_there_are_enough_safe_changes_and_no_change_is_no_change(tmp_path: Path) -> None:
    assert len(SAFE) >= 15
    assert changes(tmp_path) == []


MAJOR: dict[str, tuple[str, Edit, str]] = {
    "subjects of another kind": (
        INTAKE,
        put("subjects", value=["case", "staff"]),
        "records may be about staff, which readers of the release before take for dead letters",
    ),
    "a field less": (
        OPENED,
        both(drop("properties", "dependants"), drop("required", "dependants")),
        "`dependants` was removed, and records that stand hold it",
    ),
    "a field renamed": (
        CLOSED,
        both(
            lambda d: d["properties"].__setitem__("ended_at", d["properties"].pop("closed_at")),
            lambda d: d["required"].__setitem__(d["required"].index("closed_at"), "ended_at"),
        ),
        "`closed_at` was renamed to `ended_at`",
    ),
    "a required field": (
        CLOSED,
        both(
            put("properties", "note_ref", value={**NOTE, "$ref": "../common.schema.json#/$defs/Id"}),
            lambda d: d["required"].append("note_ref"),
        ),
        "`note_ref` is new and required: records that stand lack it",
    ),
    "now required": (
        OPENED,
        lambda d: d["required"].append("import_ref"),
        "`import_ref` is now required: records that stand may lack it",
    ),
    "no longer required": (
        OPENED,
        drop("required", "languages"),
        "`languages` may now be absent, and readers of the released version require it",
    ),
    "another type": (
        OPENED,
        put("properties", "dependants", value={**NOTE, "type": "integer", "minimum": 0, "maximum": 9}),
        "`dependants` was a list of codes and is a whole number",
    ),
    "a code less": (
        COMMON,
        drop("$defs", "CloseReason", "enum", "deceased"),
        "`reason` lost the code `deceased`, which records that stand may hold",
    ),
    "a longer list": (
        OPENED,
        put("properties", "languages", "maxItems", value=30),
        "the greatest number of entries of `languages` was 20 and is 30: readers of the released version refuse",
    ),
    "a shorter list": (
        OPENED,
        put("properties", "languages", "maxItems", value=10),
        "was 20 and is 10: records that stand break it",
    ),
    "a longer text": (
        IDENTITY,
        put("properties", "preferred_name", "maxLength", value=600),
        "the greatest length of `sealed.identity.preferred_name` was 500 and is 600: readers",
    ),
    "a shorter text": (
        IDENTITY,
        put("properties", "preferred_name", "minLength", value=2),
        "the least length of `sealed.identity.preferred_name` was 1 and is 2: records that stand break it",
    ),
    "a narrower pattern": (
        COMMON,
        put("$defs", "CaseRef", "pattern", value="^XA-[0-9A-Z]{8}$"),
        "the pattern of `case_ref` was `^[A-Z]{2}-[0-9A-Z]{8}$` and is `^XA-[0-9A-Z]{8}$`",
    ),
    "null as well": (
        CLOSED,
        put(
            "properties",
            "reason",
            value={**NOTE, "anyOf": [{"$ref": "../common.schema.json#/$defs/CloseReason"}, {"type": "null"}]},
        ),
        "`reason` may now be null, which readers of the released version refuse",
    ),
    "null no longer": (
        OPENED,
        put("properties", "import_ref", value={**NOTE, "$ref": "../common.schema.json#/$defs/Id"}),
        "`import_ref` may no longer be null, as it was in records that stand",
    ),
    "smaller records": (
        INTAKE,
        put("config", "max.message.bytes", value="65536"),
        "`max.message.bytes` was 327680 and is 65536: records that producers may write today would be refused",
    ),
}


@pytest.mark.parametrize("name", MAJOR)
def test_a_change_that_breaks_one_side_needs_a_new_major(name: str, tmp_path: Path) -> None:
    file, edit, said = MAJOR[name]
    found = [c for c in changes(tmp_path, (file, edit)) if c.verdict is not Verdict.fine]
    assert {c.verdict for c in found} == {Verdict.major}
    assert any(said in c.said for c in found), [c.said for c in found]


FORBIDDEN: dict[str, tuple[str, Edit, str]] = {
    "lower sensitivity": (
        IDENTITY,
        put("properties", "preferred_name", "x-sensitivity", value="internal"),
        "the sensitivity of `sealed.identity.preferred_name` was lowered from personal to internal",
    ),
    "lower sensitivity of a shared part": (
        COMMON,
        put("$defs", "ItemAnswer", "properties", "value", "x-sensitivity", value="internal"),
        "was lowered from special to internal",
    ),
    "unsealed": (
        OPENED,
        put("properties", "preferred_name", value=MAYBE_ID),
        "`preferred_name` was sealed under identity and stands in clear",
    ),
    "another key": (INTAKE, put("key", value="ce_id"), "`key` was ce_subject and is ce_id"),
    "more partitions": (INTAKE, put("partitions", value=24), "`partitions` was 12 and is 24"),
    "another name": (INTAKE, put("topic", value="{country}.intake.v2"), "`topic` was {country}.intake.v1 and is"),
    "another writer": (INTAKE, put("producer", value="notify"), "`producer` was intake and is notify"),
    "shorter retention": (
        INTAKE,
        put("config", "retention.ms", value="604800000"),
        "`retention.ms` was -1 and is 604800000: records would go",
    ),
    "retention left to the broker": (INTAKE, drop("config", "retention.ms"), "`retention.ms` was -1 and is not set"),
    "bounded retention": (INTAKE, put("config", "retention.bytes", value="1000"), "`retention.bytes` was not set and"),
    "compaction": (INTAKE, put("config", "cleanup.policy", value="compact"), "`cleanup.policy` was delete and is"),
    "another clock": (
        INTAKE,
        put("config", "message.timestamp.type", value="CreateTime"),
        "`message.timestamp.type` was LogAppendTime and is CreateTime: what readers may count on",
    ),
    "subjects gone": (INTAKE, put("subjects", value=["staff"]), "records about case would be dead letters"),
    "a lower class": (INTAKE, put("sensitivity", value="internal"), "`sensitivity` was restricted and is internal"),
    "less protective": (
        INTAKE,
        put("events", "consent.withdrawn", "protective", value=False),
        "`consent.withdrawn` is no longer protective",
    ),
    "an event off the topic": (REFERRAL, drop("events", "referral.overdue"), "`referral.overdue` left the topic"),
    "a version off the topic": (
        REFERRAL,
        put("events", "referral.overdue", "versions", value=[2]),
        "version 1 of `referral.overdue` left the topic",
    ),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_no_major_excuses_is_forbidden(name: str, tmp_path: Path) -> None:
    file, edit, said = FORBIDDEN[name]
    found = [c for c in changes(tmp_path, (file, edit)) if c.verdict is Verdict.forbidden]
    assert any(said in c.said for c in found), [c.said for c in found]
    assert all(c.order.startswith("Put it back") for c in found)


def _without(project: Path, *names: str) -> list[Change]:
    copy = Copy(project)
    for name in names:
        (copy.path / name).unlink()
    return between(released(), load(copy.path))


def test_a_topic_that_goes_is_forbidden(tmp_path: Path) -> None:
    (change,) = (c for c in _without(tmp_path, REFERRAL) if c.rule == "topic-removed")
    assert (change.verdict, change.file, change.subject) == (Verdict.forbidden, REFERRAL, "{country}.referral.v1")


def test_an_event_that_goes_is_forbidden(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    (copy.path / CLOSED).unlink()
    (change,) = (c for c in between(released(), load(copy.path)) if c.rule == "version-removed")
    assert (change.verdict, change.subject, change.said) == (
        Verdict.forbidden,
        "case.closed v1",
        "version 1 was removed",
    )


def test_an_event_that_is_renamed_is_told_as_such(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    (copy.path / "events/case.closed").rename(copy.path / "events/case.ended")
    copy.text("events/case.ended/v1.schema.json", "case.closed", "case.ended")
    copy.text(INTAKE, "case.closed", "case.ended")
    found = {c.said: c.verdict for c in between(released(), load(copy.path)) if c.subject == "case.closed"}
    assert found == {"`case.closed` was renamed to `case.ended`": Verdict.forbidden}


def test_a_new_event_and_a_new_topic_are_fine(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.change(INTAKE, put("events", "case.counted", value={"versions": [1], "protective": False}))
    copy.add("topics/lamps.v1.yaml", (copy.path / INTAKE).read_text().replace("intake", "lamps"))
    assert {(c.rule, c.verdict) for c in between(released(), load(copy.path))} == {
        ("event-added", Verdict.fine),
        ("topic-added", Verdict.fine),
    }


def test_a_change_says_who_reads_the_field_and_who_goes_first(tmp_path: Path) -> None:
    (change,) = changes(tmp_path, (OPENED, put("properties", "languages", "maxItems", value=10)))
    assert {"assessment", "referral"} <= set(change.readers)
    assert "notify" not in change.readers
    assert change.line == Copy(tmp_path / "again").line(OPENED, '"languages": {')
    assert change.order.startswith("Put v1 back and write v2.schema.json beside it. First ")
    assert "; then the topic file; then intake. " in change.order
    assert change.order.endswith(f"{', '.join(change.readers)} still read it.")


def test_a_sealed_field_is_read_by_those_who_open_its_purpose(tmp_path: Path) -> None:
    file = "events/contact_profile.changed/v1.sealed.contact.schema.json"
    (change,) = changes(tmp_path, (file, put("properties", "phone", "maxLength", value=50)))
    assert change.readers == ("notify",)
    assert change.order.endswith("notify still reads it.")


def test_a_new_code_lets_consumers_go_first(tmp_path: Path) -> None:
    (change,) = changes(tmp_path, (COMMON, lambda d: d["$defs"]["CloseReason"]["enum"].append("merged")))
    assert change.said == "`reason` has a new code `merged`; older readers take it for `unknown`"
    assert change.order == "Any order: no consumer declares to read it."
    (change,) = changes(tmp_path / "2", (COMMON, lambda d: d["$defs"]["NeedBand"]["enum"].append("later")))
    assert change.order.startswith("Consumers first: until referral")


def test_a_long_repeat_that_is_unrolled_for_re2_is_the_same_pattern(tmp_path: Path) -> None:
    long = "^[0-9a-z]{5,4000}$"
    before, after = Copy(tmp_path / "before"), Copy(tmp_path / "after")
    before.change(COMMON, put("$defs", "Agency", "pattern", value=long))
    after.change(COMMON, put("$defs", "Agency", "pattern", value=unrolled(long)))
    (change,) = merged({"1.0.0": between(load(before.path), load(after.path))})
    assert change.verdict is Verdict.fine
    assert change.said.startswith("the pattern of `Agency` is written in another way and takes the same")
    after.change(COMMON, put("$defs", "Agency", "pattern", value=unrolled("^[0-9a-z]{5,4001}$")))
    (change,) = merged({"1.0.0": between(load(before.path), load(after.path))})
    assert change.verdict is Verdict.major


def test_a_change_of_a_shared_definition_is_told_once_with_all_that_use_it(tmp_path: Path) -> None:
    (change,) = changes(tmp_path, (COMMON, put("$defs", "Agency", "pattern", value="^[0-9a-z]{1,64}$")))
    assert change.subject.endswith(" events")
    assert change.said.startswith("the pattern of `Agency` was ")
    assert "(used by consent.recorded v1, consent.withdrawn v1," in change.said
    assert change.file == COMMON


def test_the_same_change_since_several_releases_is_told_once(tmp_path: Path) -> None:
    found = changes(tmp_path, (INTAKE, put("partitions", value=24)))
    (change,) = merged({"1.0.0": found, "1.1.0": found})
    assert change.since == ("1.0.0", "1.1.0")


def test_moving_a_field_out_of_its_seal_is_found_whatever_else_is_said_of_it(tmp_path: Path) -> None:
    value = {**NOTE, "x-sensitivity": "public", "type": ["boolean", "null"]}
    found = changes(tmp_path, (OPENED, put("properties", "real_name", value=value)))
    assert [(c.verdict, c.rule) for c in found] == [(Verdict.forbidden, "unsealed")]


def test_two_fields_that_go_at_once_are_told_apart(tmp_path: Path) -> None:
    gone = [both(drop("properties", n), drop("required", n)) for n in ("dependants", "urgency")]
    found = [c.said for c in changes(tmp_path, (OPENED, both(*gone))) if c.verdict is Verdict.major]
    assert found == [f"`{n}` was removed, and records that stand hold it" for n in ("dependants", "urgency")]


def _only(project: Path, edit: tuple[str, Edit]) -> Change:
    (change,) = changes(project, edit)
    return change


@pytest.mark.parametrize(
    ("edit", "rule", "said"),
    [
        (
            lambda t: t["consumers"]["share"]["case.opened"].append("sealed.narrative"),
            "opens-added",
            "share now opens narrative of `case.opened`: more people's work touches sealed values",
        ),
        (
            lambda t: t["consumers"]["assessment"]["case.opened"].append("area"),
            "reads-added",
            "assessment now reads `area` of `case.opened`",
        ),
        (
            lambda t: t["consumers"]["assessment"].__setitem__("risk.raised", []),
            "reads-added",
            "assessment now reads `risk.raised`",
        ),
        (
            lambda t: t["consumers"]["assessment"]["case.opened"].remove("office"),
            "reads-removed",
            "assessment no longer reads `office` of `case.opened`",
        ),
        (drop("consumers", "notify", "risk.raised"), "reads-removed", "notify no longer reads `risk.raised`"),
        (put("purpose", value="Counting."), "purpose", " and is `Counting.`: whose data it is for may have changed"),
    ],
)
def test_who_reads_what_is_told_to_the_reviewer(edit: Edit, rule: str, said: str, tmp_path: Path) -> None:
    change = _only(tmp_path, (INTAKE, edit))
    assert (change.verdict, change.rule) == (Verdict.fine, rule)
    assert change.said.endswith(said)


def test_the_description_of_a_whole_event_is_pointed_at(tmp_path: Path) -> None:
    change = _only(tmp_path, (CLOSED, put("description", value="A case was opened once more.")))
    assert change.said.startswith("the event is described anew; a change of meaning or unit needs a new major")
    assert set(change.readers) == {"assessment", "referral", "share", "notify"}
    change = _only(tmp_path / "2", (IDENTITY, put("description", value="Who the guardian is.")))
    assert change.said.startswith("the plaintext `sealed.identity` is described anew")
    assert change.readers == ("share",)


def test_a_sealed_name_deep_in_the_clear_is_found(tmp_path: Path) -> None:
    change = _only(tmp_path, (OPENED, put("$defs", "Interpreter", "properties", "preferred_name", value=MAYBE_ID)))
    assert (change.verdict, change.rule) == (Verdict.forbidden, "unsealed")
    assert change.said == "`interpreter.preferred_name` was sealed under identity and stands in clear"


def test_a_field_that_comes_under_a_second_seal_is_told_as_such(tmp_path: Path) -> None:
    value = {**NOTE, "x-sensitivity": "personal", "type": ["string", "null"], "maxLength": 500}
    file = "events/case.opened/v1.sealed.narrative.schema.json"
    change = _only(tmp_path, (file, put("properties", "preferred_name", value=value)))
    assert change.said == (
        "`sealed.narrative.preferred_name` is new, and was sealed under identity alone: "
        "whoever opens narrative can now read it"
    )


def test_a_keyword_no_rule_knows_is_not_fine(tmp_path: Path) -> None:
    change = _only(tmp_path, (OPENED, put("properties", "languages", "uniqueItems", value=True)))
    assert (change.verdict, change.rule) == (Verdict.major, "keyword")
    assert change.said == "uniqueItems of `languages` was not set and is true, and no rule knows what that does"
    edits = [(OPENED, put(name, value=value)) for name, value in (("minProperties", 9), ("additionalProperties", True))]
    for number, edit in enumerate(edits):
        assert _only(tmp_path / str(number), edit).verdict is Verdict.major


def test_a_shared_definition_is_not_put_back_as_a_version(tmp_path: Path) -> None:
    change = _only(tmp_path, (COMMON, put("$defs", "Agency", "pattern", value="^[0-9a-z]{1,64}$")))
    assert change.order.startswith(
        "Put `Agency` back, and add a definition of another name, for a new major of each event that needs it. "
    )
