"""The guide for countries is followed line by line: each change is made, each command run, each output compared."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from kintsugi_office.country import app
from typer.testing import CliRunner

PROJECT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(console|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_guide_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PROJECT / "countries", tmp_path / "countries")
    (tmp_path / "contracts" / "topics").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    guide = (PROJECT / "docs" / "adapt-for-your-country.md").read_text(encoding="utf-8")
    done = {"console": 0, "diff": 0}
    for kind, text in BLOCK.findall(guide):
        done[kind] += 1
        if kind == "diff":
            apply(text, tmp_path)
        else:
            run(text)
    assert done == {"console": 5, "diff": 3}


def apply(text: str, project: Path) -> None:
    head, *lines = text.splitlines()
    file = project / head.removeprefix("--- ")
    old, new = ("\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
    before = file.read_text(encoding="utf-8")
    assert before.count(old) == 1, old
    file.write_text(before.replace(old, new), encoding="utf-8")


def run(text: str) -> None:
    command, _, expected = text.partition("\n")
    words = shlex.split(command.removeprefix("$ "))
    assert words[:2] == ["kintsugi", "country"]
    output = CliRunner().invoke(app, words[2:]).output
    assert output.startswith(expected.rstrip("\n")), output
