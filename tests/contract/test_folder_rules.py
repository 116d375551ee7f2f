"""The real folder keeps its rules, and every rule finds its breach, with file and line and the mend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kintsugi_contracts import base
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import load
from kintsugi_contracts.rules import police
from kintsugi_contracts.topic_file import topic_files

from tests.contract.folders import CONTRACTS, FOLDER, Copy

CATALOG = Catalog.installed()

EVERYWHERE = {"input.held", "input.released", "input.discarded"}
CLOSED = "events/case.closed/v1.schema.json"
INTAKE = "topics/intake.v1.yaml"
_DESCRIBED = {"description": "A note.", "x-sensitivity": "internal"}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def found(copy: Copy) -> list[Finding]:
    """What is wrong with a copy."""
    return police(copy.path)[1]


def test_the_contracts_keep_their_rules() -> None:
    assert [str(f) for f in police(CONTRACTS)[1]] == []


def test_every_topic_has_an_owner_and_every_event_a_topic() -> None:
    assert [t.name for t in FOLDER.all_topics() if not t.spec.owner] == []
    assert [key for key in FOLDER.all_events() if not FOLDER.topics_of(key)] == []
    for topic in FOLDER.topics.values():
        assert topic.spec.events.keys() >= EVERYWHERE


def test_models_carry_what_the_topic_files_say() -> None:
    for event in FOLDER.events.values():
        topics = FOLDER.topics_of(event.key)
        for version in event.versions.values():
            model = CATALOG.by_type(version.type)
            assert model is not None
            assert model.service == ("*" if len(topics) > 1 else topics[0].spec.service)
            assert model.protective == topics[0].spec.events[event.name].protective
    types = {m.type for m in CATALOG.event_types()}
    assert types == {v.type for e in FOLDER.events.values() for v in e.versions.values()}


def test_every_list_of_codes_has_a_code_for_what_a_consumer_does_not_know() -> None:
    lists = [c for c in base.OpenEnum.__subclasses__() if c.__module__.startswith("kintsugi_events")]
    assert len(lists) > 20
    for codes in lists:
        assert codes("a_code_of_next_year") is codes.__members__["unknown"]


def _property(name: str, value: dict[str, Any]) -> Callable[[Any], None]:
    return lambda schema: schema["properties"].__setitem__(name, {**_DESCRIBED, **value})


def _set(*path: str) -> Callable[[Any], Callable[[Any], None]]:
    def change(value: Any) -> Callable[[Any], None]:
        def edit(data: Any) -> None:
            for step in path[:-1]:
                data = data[step]
            if value is None:
                del data[path[-1]]
            else:
                data[path[-1]] = value

        return edit

    return change


_MAYBE_TEXT = {"type": ["string", "null"]}
BREACHES: dict[str, tuple[str, Callable[[Any], None], str, str]] = {
    "free text": (CLOSED, _property("note", _MAYBE_TEXT), "`note` is free text in clear", "seal it"),
    "another subject than a case": (
        INTAKE,
        _set("subjects")(["case", "staff"]),
        "a topic of the platform carries other subjects than cases",
        "write [case]",
    ),
    "a kind that is none": (
        INTAKE,
        _set("subjects")(["Case"]),
        "subjects.0: string should match pattern",
        "correct the value",
    ),
    "free text in a list": (
        CLOSED,
        _property("notes", {"type": "array", "items": {"type": "string"}, "maxItems": 3}),
        "`notes` is free text in clear",
        "seal it",
    ),
    "free text in a map": (
        CLOSED,
        _property(
            "notes",
            {
                "type": "object",
                "propertyNames": {"pattern": "^[a-z]+$"},
                "additionalProperties": {"type": "string"},
                "maxProperties": 3,
            },
        ),
        "`notes` is free text in clear",
        "seal it",
    ),
    "free text behind a pattern": (
        CLOSED,
        _property("note", {**_MAYBE_TEXT, "pattern": "^[^<>]{1,200}$"}),
        "the pattern of `note` takes whole sentences",
        "seal it",
    ),
    "personal": (
        CLOSED,
        _set("properties", "closed_at", "x-sensitivity")("personal"),
        "`closed_at` is personal and not sealed",
        "move it to the schema of a sealed purpose",
    ),
    "special behind a reference": (
        CLOSED,
        _property("answer", {"anyOf": [{"$ref": "../common.schema.json#/$defs/ItemAnswer"}, {"type": "null"}]}),
        "`value` is special and not sealed",
        "move it",
    ),
    "misspelt sensitivity": (
        CLOSED,
        _set("properties", "closed_at", "x-sensitivity")("internl"),
        '/properties/closed_at/x-sensitivity: `"internl"` is not known here',
        "did you mean 'internal'?",
    ),
    "open": (CLOSED, _set("additionalProperties")(None), "`additionalProperties` is missing", "add it"),
    "silent": (
        CLOSED,
        _set("properties", "reason", "description")(None),
        "/properties/reason: `description` is missing",
        "add it",
    ),
    "codes without a way out": (
        "events/common.schema.json",
        _set("$defs", "Choice", "enum")(["option", "none"]),
        "a list of codes without `unknown`",
        "add it",
    ),
    "required and not there": (
        CLOSED,
        _set("required")(["reason", "closed_at", "approved_role", "closed_on"]),
        "requires `closed_on`, which is no property",
        "add it or drop it",
    ),
    "absent and not null": (
        CLOSED,
        _property("note", {"$ref": "../common.schema.json#/$defs/Id"}),
        "`note` is not required, and neither null nor a list nor a map",
        "let it be null",
    ),
    "reference to nothing": (
        CLOSED,
        _set("properties", "reason", "$ref")("../common.schema.json#/$defs/ClosReason"),
        "$ref `../common.schema.json#/$defs/ClosReason` points at nothing",
        "name a definition that exists",
    ),
    "another type's name": (
        CLOSED,
        _set("x-type")("kintsugi.case.ended.v1"),
        "`x-type` does not agree with where the file stands",
        "write kintsugi.case.closed.v1",
    ),
    "another place's $id": (
        CLOSED,
        _set("$id")("https://schemas.kintsugi.example/events/case.closed/v2.schema.json"),
        "`$id` does not agree with where the file stands",
        "write https://schemas.kintsugi.example/events/case.closed/v1.schema.json",
    ),
    "a purpose of another file": (
        "events/case.opened/v1.sealed.identity.schema.json",
        _set("x-purpose")("contact"),
        "`x-purpose` does not agree with where the file stands",
        "write identity",
    ),
    "a purpose without a schema": (
        "events/safety.deteriorated/v1.schema.json",
        _set("properties", "sealed", "properties", "contact")(
            {**_DESCRIBED, "$ref": "../common.schema.json#/$defs/Sealed"}
        ),
        "the sealed purpose contact has no schema of its plaintext",
        "add events/safety.deteriorated/v1.sealed.contact.schema.json",
    ),
    "a definition nobody uses": (
        "events/common.schema.json",
        _set("$defs", "Spare")({"title": "Spare", "description": "Spare.", "type": "string", "pattern": "^[a-z]$"}),
        "`Spare` is used nowhere",
        "delete it, or use it",
    ),
    "no owner": (INTAKE, _set("owner")(None), "`owner` is missing", "add it"),
    "an empty owner": (INTAKE, _set("owner")("   "), "the topic has no owner", "add `owner`"),
    "another's name": (
        INTAKE,
        _set("topic")("{country}.door.v1"),
        "the topic of intake is not named after it",
        "write",
    ),
    "another's pen": (INTAKE, _set("producer")("notify"), "notify writes the topic of intake", "its own topic"),
    "short memory": (
        INTAKE,
        _set("config", "retention.ms")("604800000"),
        "records of a service's topic would go in time",
        'write "-1"',
    ),
    "a version without a schema": (
        INTAKE,
        _set("events", "case.closed", "versions")([1, 2]),
        "version 2 of `case.closed` has no schema",
        "add events/case.closed/v2.schema.json",
    ),
    "a low class": (
        INTAKE,
        _set("sensitivity")("internal"),
        "`sensitivity` is internal, and the topic carries what is restricted",
        "write restricted",
    ),
    "no key for what it seals": (
        INTAKE,
        _set("purposes")(["identity", "contact", "assessment"]),
        "intake seals narrative in `case.opened` and may hold no key for it",
        "list narrative",
    ),
    "a reader nobody knows": (
        INTAKE,
        _set("consumers", "registry")({"case.closed": []}),
        "registry is no service that reads another's topic, and no partner",
        "name a service",
    ),
    "a reader of itself": (INTAKE, _set("consumers", "intake")({"case.closed": []}), "intake is no service", "name"),
    "a field that is not there": (
        INTAKE,
        _set("consumers", "notify", "case.closed")(["ended_at"]),
        "notify reads `ended_at` of `case.closed`, which does not exist",
        "name a property",
    ),
    "an event that is not there": (
        INTAKE,
        _set("consumers", "notify", "referral.chosen")([]),
        "notify reads `referral.chosen`, which the topic does not carry",
        "name an event",
    ),
    "a purpose that is not there": (
        INTAKE,
        _set("consumers", "notify", "case.closed")(["sealed.contact"]),
        "notify opens contact of `case.closed`, which it does not carry",
        "name a sealed purpose",
    ),
    "a purpose without a key": (
        INTAKE,
        _set("consumers", "notify", "case.opened")(["sealed.identity"]),
        "notify opens identity of `case.opened` and may hold no key for it",
        "list identity",
    ),
    "a version nobody made": (
        INTAKE,
        _set("consumers", "notify", "case.closed")({"fields": [], "versions": [1, 2]}),
        "notify takes version 2 of `case.closed`, which has no schema",
        "add events/case.closed/v2.schema.json",
    ),
    "a version a reader does not take": (
        INTAKE,
        _set("consumers", "notify", "case.closed")({"fields": [], "versions": [2]}),
        "`case.closed` may be written in version 1, which notify does not take",
        "consumers first",
    ),
    "an unknown setting": (INTAKE, _set("config", "retension.ms")("-1"), "`retension.ms` is not known here", "did you"),
    "an accepted example that is refused": (
        "events/case.closed/examples/accept/full.json",
        _set("reason")("gone_fishing"),
        "the schema refuses this example",
        "mend it",
    ),
    "a refused example that is accepted": (
        "events/case.closed/examples/reject/enum-reason.json",
        _set("reason")("goals_met"),
        "named after the keyword `enum`, and not refused at all",
        "break one rule only",
    ),
    "a refused example with two mistakes": (
        "events/case.closed/examples/reject/enum-reason.json",
        _set("closed_at")(None),
        "named after the keyword `enum`, and refused by enum, required",
        "break one rule only",
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_found_with_its_place_and_its_mend(name: str, copy: Copy) -> None:
    file, edit, said, mend = BREACHES[name]
    copy.change(file, edit)
    told = [f for f in found(copy) if said in f.message]
    assert told, [str(f) for f in found(copy)]
    assert all(mend in f.mend for f in told)
    assert {f.file for f in told} <= {file, "events/common.schema.json"}


def test_the_line_is_where_the_mistake_is(copy: Copy) -> None:
    copy.text(CLOSED, '"x-sensitivity": "internal"', '"x-sensitivity": "personal"')
    lines = {f.line for f in found(copy) if "not sealed" in f.message}
    assert lines == {copy.line(CLOSED, f'"{name}": ') for name in ("reason", "closed_at", "approved_role")}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("events/case.closed/v7.schema.json", "no topic file names this schema"),
        ("events/case.closed/notes.txt", "nothing names this file"),
        ("events/case.closed/v1.sealed.contact.schema.json", "belongs to no sealed purpose"),
        ("events/case.closed/examples/accept/v7.full.json", "an example of no schema"),
        ("events/case.closed/examples/accept/sealed.contact.full.json", "an example of no schema"),
        ("events/case.vanished/v1.schema.json", "no topic file names this schema"),
        ("sealing/more.json", "nothing names this file"),
        ("meta/lamp.schema.json", "nothing names this file"),
        ("notes/plan.md", "nothing names this file"),
    ],
)
def test_an_orphan_is_found(name: str, said: str, copy: Copy) -> None:
    event = json.loads((copy.path / CLOSED).read_text())
    sealed = json.loads((copy.path / "events/case.opened/v1.sealed.narrative.schema.json").read_text())
    schema = sealed | {"x-purpose": "contact"} if ".sealed." in name else event
    schema["$id"] = f"https://schemas.kintsugi.example/{name}"
    if "vanished" in name:
        schema["x-type"] = "kintsugi.case.vanished.v1"
    if "v7" in name:
        schema["x-type"] = "kintsugi.case.closed.v7"
    copy.add(name, schema if name.endswith("schema.json") else {})
    assert [f.file for f in found(copy) if said in f.message] == [name]


def test_too_few_examples_are_counted(copy: Copy) -> None:
    for file in (copy.path / "events/case.closed/examples").glob("*/*.json"):
        file.unlink()
    assert [f.message for f in found(copy) if f.file == CLOSED] == [
        "0 examples in examples/accept, and it needs 2",
        "0 examples in examples/reject, and it needs 3",
    ]


def test_an_event_without_a_model_is_found(copy: Copy) -> None:
    schema = json.loads((copy.path / CLOSED).read_text())
    schema |= {"$id": schema["$id"].replace("v1", "v2"), "x-type": "kintsugi.case.closed.v2"}
    copy.add("events/case.closed/v2.schema.json", schema)
    copy.change(INTAKE, _set("events", "case.closed", "versions")([1, 2]))
    assert "kintsugi.case.closed.v2 has no Python model" in {f.message for f in found(copy)}


@pytest.mark.parametrize(
    ("file", "text", "said", "line"),
    [
        (CLOSED, '{\n  "title": 1,\n', "not JSON", 3),
        (CLOSED, '{"title": 1, "title": 2}', "stands twice", 1),
        (CLOSED, '{"title": "X"}', "a schema without $id", 1),
        (INTAKE, "topic: [", "not YAML", 1),
        (INTAKE, "topic: 3", "topic: input should be a valid string", 1),
        ("events/case.closed/examples/accept/full.json", "{", "not JSON", 1),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_nothing_else(
    file: str, text: str, said: str, line: int, copy: Copy
) -> None:
    copy.add(file, text)
    told = found(copy)
    assert {f.file for f in told} == {file}
    assert any(said in f.message and f.line == line for f in told), [str(f) for f in told]
    with pytest.raises(ContractError, match="cannot be read"):
        load(copy.path)


def test_a_service_with_two_topics_is_found(copy: Copy) -> None:
    copy.add("topics/zweite.v1.yaml", (copy.path / INTAKE).read_text())
    (told,) = found(copy)
    assert (told.file, told.message) == (
        "topics/zweite.v1.yaml",
        "service intake has a topic in topics/intake.v1.yaml already",
    )


def test_where_there_are_no_contracts_there_is_nothing_to_check(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    with pytest.raises(ContractError):
        police(tmp_path)
    with pytest.raises(ContractError, match="no contracts here"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("topic: [", "not YAML"), ("retention: 3", "retention: Extra inputs are not permitted")],
)
def test_services_refuse_a_broken_topic_file_too(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "odd.v1.yaml").write_text(text)
    with pytest.raises(ContractError, match=r"odd\.v1\.yaml") as refused:
        topic_files(tmp_path)
    assert said in str(refused.value)


def test_services_refuse_a_folder_without_topics(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no topic files"):
        topic_files(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"reason": ' + "9" * 5000 + "}"])
def test_a_file_nobody_can_read_is_a_mistake_and_no_crash(text: str, copy: Copy) -> None:
    copy.add("events/case.closed/examples/accept/odd.json", text)
    (finding,) = found(copy)
    assert finding.file == "events/case.closed/examples/accept/odd.json"
    assert finding.message.startswith("the file cannot be read")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("^([a-z$", "`^([a-z$` is no pattern: unterminated character set at position 2"),
        ("^a|7$", "`^a|7$` is anchored at one end only in each alternative"),
        ("^(a|b)|[|]x$", "`^(a|b)|[|]x$` is anchored at one end only in each alternative"),
    ],
)
def test_a_pattern_that_bounds_nothing_is_found(pattern: str, said: str, copy: Copy) -> None:
    copy.change("events/common.schema.json", lambda s: s["$defs"]["Agency"].__setitem__("pattern", pattern))
    assert [f.message for f in found(copy)] == [said]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("^[0-9a-z]{1,1001}$", "`[0-9a-z]{1,1001}` repeats 1001 times"),
        ("^([0-9a-z]{1,40} ){1,26}$", "`([0-9a-z]{1,40} ){1,26}` repeats 1040 times"),
        ("^[0-9a-z]{1001,}$", "`[0-9a-z]{1001,}` repeats 1001 times"),
        ("^(([a-z]{10}){10,}[0-9]{0,3}){11}$", "repeats 1100 times"),
        ("^[a-z]++$", "`[a-z]++`: a repeat of a repeat, or one that gives nothing back"),
        ("^[a-z]{,9}$", "a brace that bounds nothing"),
        ("^[a-z[]$", "[ in a class needs a \\ before it"),
    ],
)
def test_a_pattern_that_some_language_refuses_is_found_with_its_line(pattern: str, why: str, copy: Copy) -> None:
    copy.change("events/common.schema.json", lambda s: s["$defs"]["Agency"].__setitem__("pattern", pattern))
    [finding] = found(copy)
    assert finding.message.startswith(f"not every language reads `{pattern}`: ")
    assert why in finding.message
    line = (copy.path / "events/common.schema.json").read_text().splitlines()[finding.line - 1]
    assert line.strip().startswith('"pattern"')
    assert "unrolled" in finding.mend


def test_alternatives_in_brackets_and_bars_in_classes_are_patterns(copy: Copy) -> None:
    pattern = "^((a|b)[|(]c){1,2}\\|$"
    copy.change("events/common.schema.json", lambda s: s["$defs"]["Agency"].__setitem__("pattern", pattern))
    assert "anchored" not in " ".join(f.message for f in found(copy))


def test_an_identifier_that_two_schemas_have_is_found(copy: Copy) -> None:
    common = json.loads((copy.path / "events/common.schema.json").read_text())["$id"]
    schema = "share/xa/labour-registry/wage-claims/v1.schema.json"
    copy.change(schema, lambda s: s.__setitem__("$id", common))
    assert [(f.file, f.message) for f in found(copy)] == [(schema, "events/common.schema.json has this $id too")]


def test_contracts_without_the_common_schema_say_so(copy: Copy) -> None:
    (copy.path / "events/common.schema.json").unlink()
    assert [(f.file, f.message) for f in found(copy)] == [("events/common.schema.json", "the file is missing")]


@pytest.mark.parametrize("text", ["[]", '{"$id": "https://schemas.kintsugi.example/meta/other.schema.json"}'])
def test_a_meta_schema_that_is_none_stops_the_check(text: str, copy: Copy) -> None:
    copy.add("meta/event.schema.json", text)
    with pytest.raises(ContractError, match=r"meta/event\.schema\.json: not the meta-schema"):
        police(copy.path)


def test_a_link_is_found_whatever_it_points_at(copy: Copy, tmp_path: Path) -> None:
    file = copy.path / CLOSED
    (tmp_path / "elsewhere.json").write_text(file.read_text())
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere.json")
    (copy.path / "events/again").symlink_to(copy.path / "events")
    assert {f.file for f in found(copy) if f.message == "a link to a file elsewhere"} == {CLOSED, "events/again"}


def test_names_that_differ_in_capitals_alone_are_found(copy: Copy) -> None:
    examples = copy.path / "events/case.closed/examples/accept"
    (examples / "Full.json").write_text((examples / "full.json").read_text())
    (finding,) = found(copy)
    assert "is the same name on a computer where capitals make no difference" in finding.message


def test_a_partner_reads_no_topic_of_a_service(copy: Copy) -> None:
    copy.change(
        "topics/intake.v1.yaml", lambda t: t["consumers"].__setitem__("labour-registry", {"case.opened": ["case_ref"]})
    )
    assert [f.message for f in found(copy)] == ["labour-registry is a partner, and reads its own stream alone"]


@pytest.mark.parametrize("who", ["notify", "lamp-register"])
def test_nobody_reads_the_stream_of_a_partner(who: str, copy: Copy) -> None:
    event = "share.labour-registry.wage-claims"
    copy.change(
        "share/xa/labour-registry/wage-claims/topic.yaml",
        lambda t: t["consumers"].__setitem__(who, {event: ["case"]}),
    )
    assert [f.message for f in found(copy)] == [f"{who} reads what is shared with labour-registry"]
