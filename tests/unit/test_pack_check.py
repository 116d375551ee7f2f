"""A broken pack is refused, and every mistake is explained with its file, its line and the way to mend it."""

import json
import shutil
from pathlib import Path

import pytest
from kintsugi_country import Finding, PackError, check, load
from kintsugi_office.country import app
from typer.testing import CliRunner

XA = Path(__file__).parents[2] / "countries" / "xa"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(XA, tmp_path / "xa"))


def change(folder: Path, name: str, old: str, new: str) -> int:
    """Replaces the first `old` in a file of the pack; returns its line."""
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_the_sample_country_has_no_mistake() -> None:
    assert check(XA) == []


INSTRUMENT = "instruments/demo-outcomes-1.0.0.yaml"
MISTAKES = [
    ("country.yaml", "zone: Asia/Beirut", "zone: Asia/Nowhere", "not a time zone", "correct"),
    ("country.yaml", "provider_answer:", "provider_anwser:", "'provider_anwser' is not known", "'provider_answer'"),
    ("country.yaml", "calendar: office }", "calendar: court }", "no calendar 'court'", "office"),
    ("country.yaml", "staff_task: { amount: 2", 'staff_task: { amount: "two"', "staff_task.amount", "correct"),
    ("country.yaml", "retention:", "retentions:", "retentions is not a known field", "'retention'"),
    ("country.yaml", "language: fr", "language: de", "reads 'de'", "ar, en, fr"),
    ("country.yaml", "[XA-NH, XA-BD]", "[XA-NH, XA-ZZ]", "'XA-ZZ', which is not an area", "add it"),
    (
        "country.yaml",
        "      supervisor: supervisor.hills@office.example\n",
        "",
        "no address for the role",
        "supervisor",
    ),
    ("country.yaml", "email: { enabled: true", "email: { enabled: false", "e-mail is not ready", "sender"),
    ("country.yaml", "code: xa", "code: xb", "the folder is 'xa'", "same name"),
    ("country.yaml", "baseline_instrument: demo-outcomes", "baseline_instrument: other", "'other'", "instrument"),
    ("country.yaml", 'every: "05-01"', 'every: "05-32"', "every", "correct"),
    (
        "country.yaml",
        "thresholds: {}",
        "thresholds: { restoration: { total_at_least: 3 } }",
        "source is missing",
        "add",
    ),
    ("messages/fr.ftl", "{ $answer_due }", "{ $name }", "uses $name", "answer_due, link"),
    ("messages/fr.ftl", "staff_alert =", "staff_allert =", "no service sends", "'staff_alert'"),
    ("messages/fr.ftl", "    .subject = Une demande", "    .subjet = Une demande", "has no subject", ".subject"),
    ("messages/fr.ftl", "staff_task =", "staff_task", "not Fluent", "syntax"),
    ("messages/fr.ftl", "    { $link }", "    (here)", "does not show its link", "$link"),
    (INSTRUMENT, "minimum_scored: 3", "minimum_scored: 9", "minimum_scored is 9", "lower"),
    (INSTRUMENT, "items: [safety.home", "items: [safety.hose", "not an item of safety", "this domain"),
    (INSTRUMENT, "at_most: 1.5", "at_most: 3.5", "must rise", "first"),
    (INSTRUMENT, "id: safety.away", "id: safety.home", "stands twice", "own"),
    ("directory/services.json", '"status": "defunct"', '"status": "shut"', "'shut' is not known", "defunct"),
    ("directory/services.json", '"extent": "XA-HB"', '"extent": "XA-HH"', "'XA-HH' is not an area", "did you mean"),
    ("directory/services.json", '"minimum_age": 18', '"minimum_age": -1', "minimum_age", "correct"),
    ("directory/organizations.json", '"email": "referrals@', '"mail": "referrals@', "no e-mail address", "contacts"),
    ("extensions.schema.json", '"type": "object"', '"type": "thing"', "not a JSON Schema", "2020-12"),
    ("samples/caseworker.yaml", "answers: therapy", "answers: theraphy", "no answers 'theraphy'", "'therapy'"),
    ("samples/caseworker.yaml", "mental.memories: 2", "mental.memories: 5", "outside the scale 1-4", "score"),
]


@pytest.mark.parametrize(("name", "old", "new", "message", "mend"), MISTAKES)
def test_a_mistake_is_found_where_it_stands(
    folder: Path, name: str, old: str, new: str, message: str, mend: str
) -> None:
    line = change(folder, name, old, new)
    found = [f for f in check(folder) if f.file == name and message in f.message and mend in f.mend]
    assert found, check(folder)
    assert any(abs(f.line - line) <= 12 or f.line == 1 for f in found)


def test_the_line_is_exact_where_one_value_is_wrong(folder: Path) -> None:
    line = change(folder, "country.yaml", "zone: Asia/Beirut", "zone: Asia/Nowhere")
    json_line = change(folder, "directory/services.json", '"status": "defunct"', '"status": "shut"')
    assert [(f.file, f.line) for f in check(folder)] == [("country.yaml", line), ("directory/services.json", json_line)]


def test_all_mistakes_of_all_files_are_told_at_once(folder: Path) -> None:
    for name, old, new in (
        ("country.yaml", "zone: Asia/Beirut", "zone: Asia/Nowhere"),
        ("country.yaml", "language: fr", "language: de"),
        ("messages/ar.ftl", "staff_alert =", "staff_allert ="),
        (INSTRUMENT, "minimum_scored: 3", "minimum_scored: 9"),
        ("directory/services.json", '"status": "defunct"', '"status": "shut"'),
        ("samples/caseworker.yaml", "answers: therapy", "answers: theraphy"),
    ):
        change(folder, name, old, new)
    findings = check(folder)
    assert {f.file for f in findings} >= {
        "country.yaml",
        "messages/ar.ftl",
        INSTRUMENT,
        "directory/services.json",
        "samples/caseworker.yaml",
    }
    assert {f.line for f in findings if f.file == "country.yaml"} == {6, 32}
    with pytest.raises(PackError) as refused:
        load(folder)
    assert "country.yaml:6:1" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("country.yaml", "code: [xa", "not YAML"),
        ("country.yaml", "code: xa\ncode: xa\n", "not YAML"),
        ("country.yaml", "", "the file"),
        ("country.yaml", "- xa\n", "the file"),
        ("directory/services.json", "[{]", "not JSON"),
        ("directory/services.json", '[{"id": 1, "id": 2}]', "stands twice"),
        ("directory/services.json", "{}", "not a list"),
        ("samples/caseworker.yaml", "\t", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_a_finding(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    assert any(f.file == name and message in f.message for f in check(folder)), check(folder)


@pytest.mark.parametrize(
    "name",
    ["country.yaml", "messages/ar.ftl", "directory/locations.json", "extensions.schema.json", INSTRUMENT],
)
def test_a_missing_file_is_a_finding(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert any("missing" in f.message for f in check(folder))
    with pytest.raises(PackError):
        load(folder)


def test_a_folder_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    assert [f.message for f in check(tmp_path / "xq")] == ["there is no such folder"]


def test_a_shelter_s_address_in_the_directory_is_a_mistake(folder: Path) -> None:
    file = folder / "directory" / "locations.json"
    locations = json.loads(file.read_text(encoding="utf-8"))
    shelter = next(place for place in locations if place["name"] == "Location withheld")
    shelter["addresses"] = [{"id": "1f0ed7ff-5c3f-4a6e-9d6f-6b4b4b0f0a11", "address_1": "1 Somewhere Street"}]
    file.write_text(json.dumps(locations), encoding="utf-8")
    assert any("safe house is written" in f.message for f in check(folder))


def test_the_scored_wording_of_a_released_instrument_cannot_change(folder: Path) -> None:
    change(folder, INSTRUMENT, "I sleep well enough", "I always sleep well")
    assert [f.file for f in check(folder)] == ["instruments/released.json"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Je comprends les droits que j'ai", "Je comprends quels sont mes droits"),
        ("أفهم الحقوق التي لي", "أفهم ما لي من حقوق"),
        ('fr: "Un peu"', 'fr: "Légèrement"'),
        ('fr: "Protection juridique"', 'fr: "Protection par la loi"'),
        ("fr: \"Où j'en suis aujourd'hui\"", 'fr: "Où j\'en suis"'),
        ("You may leave out any of them", "Leave out any of them"),
    ],
)
def test_a_translation_of_a_released_instrument_may_be_corrected(old: str, new: str, folder: Path) -> None:
    change(folder, INSTRUMENT, old, new)
    assert check(folder) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("maximum: 4", "maximum: 3"),
        ("most_vulnerable: minimum", "most_vulnerable: maximum"),
        ('2: { en: "A little"', '2: { en: "Somewhat"'),
        ("code: legal_protection", "code: legal_defence"),
        ("minimum_scored: 3", "minimum_scored: 2"),
        ("    alert_on_drop: true\n", ""),
        ("need: legal_aid", "need: legal_help"),
        ("items: [legal.rights, legal.advice, legal.proceedings]", "items: [legal.rights, legal.advice]"),
        ("band: urgent, at_most: 1.5", "band: urgent, at_most: 1.6"),
        ("band: moderate, at_most: 2.5", "band: low, at_most: 2.5"),
        ("original: en", "original: fr"),
    ],
)
def test_nothing_that_is_scored_in_a_released_instrument_may_change(old: str, new: str, folder: Path) -> None:
    change(folder, INSTRUMENT, old, new)
    found = [f for f in check(folder) if f.file == "instruments/released.json"]
    assert [f.message for f in found] == ["demo-outcomes 1.0.0 was released, and its scored content is another now"]


WORDED = "9549fc1fea6f7868df0d83e86753eb16845d36f2d73c5f8324c0c024179d1ebc"
"""The digest of the demonstration instrument as releases before took it: with every translation."""


def test_a_digest_of_an_older_release_holds_until_a_translation_changes_and_its_successor_is_named(
    folder: Path,
) -> None:
    released = folder / "instruments" / "released.json"
    scored = json.loads(released.read_text())["demo-outcomes 1.0.0"]
    released.write_text(json.dumps({"demo-outcomes 1.0.0": WORDED}))
    assert check(folder) == []
    change(folder, INSTRUMENT, 'fr: "Un peu"', 'fr: "Légèrement"')
    [finding] = check(folder)
    assert finding.message == "demo-outcomes 1.0.0 was released, and its scored content or a translation is another now"
    assert finding.mend.endswith(f'if only a translation changed, write "{scored}"')
    released.write_text(json.dumps({"demo-outcomes 1.0.0": scored}))
    assert check(folder) == []


def test_an_instrument_is_worded_in_its_original_language_whatever_the_country_speaks(folder: Path) -> None:
    change(folder, INSTRUMENT, "original: en", "original: de")
    assert "no wording in de" in {f.message for f in check(folder) if f.file == INSTRUMENT}


def test_an_unscored_question_may_change(folder: Path) -> None:
    change(folder, INSTRUMENT, "What would you like to happen first?", "What should happen first?")
    assert check(folder) == []


def test_samples_do_not_stop_a_service_from_starting(folder: Path) -> None:
    change(folder, "samples/caseworker.yaml", "answers: therapy", "answers: theraphy")
    assert load(folder).code == "xa"


def test_a_finding_reads_as_file_line_what_and_how(folder: Path) -> None:
    finding = Finding("country.yaml", 6, 1, "the zone is wrong", "correct it")
    assert str(finding) == "country.yaml:6:1: the zone is wrong; correct it"


def test_the_command_prints_each_mistake_and_exits_1(folder: Path) -> None:
    line = change(folder, "country.yaml", "zone: Asia/Beirut", "zone: Asia/Nowhere")
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 1
    assert f"country.yaml:{line}:1: zone: 'Asia/Nowhere' is not a time zone" in result.output
    assert "1 mistake(s). No service starts" in result.output


def test_the_command_sums_up_a_pack_in_order(folder: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 0, result.output
    assert "Xandria (xa) is in order." in result.output
    assert "64 scripted people" in result.output


def test_a_changed_deadline_shows_its_effect(folder: Path) -> None:
    ask = ["due", str(folder), "provider_answer", "--from", "2026-11-19T16:00"]
    assert "Tue 24 Nov 2026 16:00" in CliRunner().invoke(app, ask).output
    change(folder, "country.yaml", "provider_answer: { amount: 3", "provider_answer: { amount: 5")
    assert "Thu 26 Nov 2026 16:00" in CliRunner().invoke(app, ask).output


def test_a_changed_message_shows_its_effect(folder: Path) -> None:
    change(folder, "messages/en.ftl", "A request is waiting", "A request waits")
    ask = ["message", str(folder), "provider_request", "--language", "en"]
    assert "Subject: A request waits for your answer" in CliRunner().invoke(app, ask).output
    missing = CliRunner().invoke(app, [*ask[:-1], "ti"])
    assert missing.exit_code == 1
    assert "There is no provider_request in ti" in missing.output
