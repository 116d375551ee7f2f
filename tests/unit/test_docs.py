"""What the documents point at exists: links, paths, make targets, commands with their options, modules."""

import importlib.util
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer.main
from kintsugi.settings import Settings
from kintsugi_office import jobs
from kintsugi_office.cli import app

PROJECT = Path(__file__).parents[2]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    """Every document for people: in the project's folder, in docs/, and the README of a room."""
    rooms = ("contracts", "countries", "services")
    found = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
    found += [readme for room in rooms for readme in PROJECT.glob(f"{room}/**/README.md")]
    return sorted(found)


DOCUMENTS = documents()
IDS = [str(path.relative_to(PROJECT)) for path in DOCUMENTS]


def anchors(document: Path) -> set[str]:
    """The anchors that the headings of a document get."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code(document: Path) -> Iterator[str]:
    """Everything set as code: spans, and the lines of blocks that a person would type."""
    text = document.read_text(encoding="utf-8")
    for block in FENCE.findall(text):
        if block.startswith("```console"):
            yield from re.findall(r"^\$ (.+)$", block, re.MULTILINE)
    yield from (re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text)))


def problems_with_links(document: Path) -> list[str]:
    """Relative links that lead nowhere."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            found.append(target)
    return found


def problem_with_command(said: str) -> str | None:
    """What is wrong with a command of `kintsugi`, `make` or the jobs; None for anything else and when it exists."""
    words = said.split()
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
        wanted = {word for word in words[1:] if re.fullmatch(r"[a-z]+", word)}
        return f"no target {wanted - targets}" if wanted - targets else None
    if words[0] == "kintsugi":
        return _unknown(typer.main.get_command(app), words[1:])
    if words[:4] == ["docker", "compose", "run", "--rm"]:
        return _unknown(typer.main.get_command(jobs.app), words[4:])
    return None


def _unknown(command: Any, words: list[str]) -> str | None:
    for word in words:
        if hasattr(command, "commands") and re.match(r"[a-z]", word):
            # `held list|show` names several at once.
            names = word.split("|")
            if missing := [name for name in names if name not in command.commands]:
                return f"no command {missing}"
            command = command.commands[names[0]]
        elif word.startswith("-"):
            options = {option for parameter in command.params for option in parameter.opts}
            if word.strip("[]").partition("=")[0] not in {*options, "--help"}:
                return f"no option {word}"
    return None


def problem_with_path(said: str) -> str | None:
    """What is wrong with a path inside the project; None for anything that is not one."""
    rooms = "contracts|countries|docs|infra|libs|office|sandbox|services|tests"
    if not re.fullmatch(rf"({rooms})(/[\w.\-/]+)?/?", said):
        return None
    return None if (PROJECT / said).exists() else "does not exist"


def problem_with_module(said: str) -> str | None:
    """What is wrong with a Python module or a group of entry points of ours; None for anything that is neither."""
    named = re.fullmatch(r"(kintsugi(?:_\w+)?(?:\.[a-z_]+)*)", said)
    if named is None or not re.match(r"kintsugi[._]", said) or said in entry_points().groups:
        return None
    try:
        return None if importlib.util.find_spec(said) else "no such module"
    except ModuleNotFoundError as error:
        return str(error)


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    assert problems_with_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_command_path_and_module_that_is_named_exists(document: Path) -> None:
    wrong = {
        said: problem
        for said in code(document)
        for check in (problem_with_command, problem_with_path, problem_with_module)
        if (problem := check(said))
    }
    assert wrong == {}


def test_every_variable_that_is_named_is_read_somewhere() -> None:
    fields = {f"KINTSUGI_{name.upper()}" for name in Settings.model_fields}
    sources = [
        *PROJECT.glob("office/src/**/*.py"),
        *PROJECT.glob("sandbox/src/**/*.py"),
        PROJECT / "tests/infrastructure.py",
        PROJECT / "docker-compose.yml",
        *PROJECT.glob("services/*/compose*.yaml"),
        *PROJECT.glob("infra/compose/*.yaml"),
    ]
    read = fields | set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", "".join(path.read_text() for path in sources)))
    for document in DOCUMENTS:
        named = {word for said in code(document) for word in re.findall(r"\bKINTSUGI_[A-Z_]+\b|\b[A-Z]+_PORT\b", said)}
        assert named <= read, document


def test_the_checks_see_what_does_not_exist(tmp_path: Path) -> None:
    broken = tmp_path / "broken.md"
    broken.write_text("# A title\n[here](#a-title) [gone](gone.md) [gone](#gone)\n```\n[not a link](x.md)\n```\n")
    assert problems_with_links(broken) == ["gone.md", "#gone"]
    assert problem_with_command("make demo") is None
    assert problem_with_command("make coffee")
    assert problem_with_command("kintsugi held list") is None
    assert problem_with_command("kintsugi held hide")
    assert problem_with_command("kintsugi status --colour")
    assert problem_with_path("docs/nothing.md")
    assert problem_with_path("docs/architecture.md") is None
    assert problem_with_module("kintsugi.relay") is None
    assert problem_with_module("kintsugi.nothing")


def test_the_readme_is_five_lines_two_commands_and_four_doors() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    about = text.split("\n## ", 1)[0].splitlines()[2:]
    assert len([line for line in about if line]) <= 5
    assert re.findall(r"^\$ (.+)$", text, re.MULTILINE) == ["make demo", "make test"]
    assert len(re.findall(r"^\*\*An? ", text, re.MULTILINE)) == 4


def test_every_decision_is_listed_and_says_what_was_rejected_and_when_to_look_again() -> None:
    folder = PROJECT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    files = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert len(files) >= 11
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert f"({file.name})" in index
        assert re.search(r"^## Rejected\n- \*\*", text, re.MULTILINE), file.name
        assert re.search(r"^## Look again when\n\S", text, re.MULTILINE), file.name


def test_licences_and_notices_are_whole() -> None:
    licence = (PROJECT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    notice = (PROJECT / "NOTICE").read_text(encoding="utf-8")
    for said in ("HTCDS", "IOM", "CC BY 4.0", "does\n  not endorse", "HSDS", "CC BY-SA 4.0"):
        assert said in notice
