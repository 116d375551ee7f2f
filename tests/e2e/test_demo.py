"""The demonstration as a newcomer runs it: it holds, it holds again, and it fails when anything is lost or doubled."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SEEDED = Path(__file__).parent / "seeded"
KINTSUGI = Path(sys.executable).with_name("kintsugi")


def _kintsugi(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KINTSUGI, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", **variables},
        check=False,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    folder = tmp_path_factory.mktemp("office") / "demo"
    ended = _kintsugi("demo", "--data", folder)
    yield folder, ended
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def evidence(run: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Path:
    """A copy of a run's evidence, to be tampered with."""
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(run[0] / "ledger.jsonl", copy)
    for part in ("evidence", "mail", "logs"):
        shutil.copytree(run[0] / part, copy / part)
    return copy


@pytest.mark.demo
def test_the_demonstration_holds_and_says_so(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, ended = run
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told: dict[str, Any] = json.loads((folder.parent / "demo.json").read_text())
    assert told["holds"]
    assert told["effects"]["expected"] == told["effects"]["found"] > 3000
    assert told["effects"]["lost"] == told["effects"]["doubled"] == told["effects"]["leaked"] == 0


@pytest.mark.demo
def test_its_summary_is_80_columns_of_plain_text_without_a_name(
    run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, ended = run
    assert max(len(line) for line in ended.stdout.splitlines() if not line.startswith("The same")) <= 80
    assert "\x1b" not in ended.stdout + ended.stderr
    rows = (folder / "evidence" / "samples" / "cases.csv").read_text().splitlines()[2:]
    names = {name for row in rows for name in row.split(",")[1:3] if len(name) > 3}
    assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", ended.stdout + ended.stderr)]


@pytest.mark.demo
def test_its_evidence_is_judged_the_same_again(evidence: Path) -> None:
    assert _kintsugi("reconcile", evidence).returncode == 0


@pytest.mark.demo
@pytest.mark.parametrize(
    "type_",
    ["assessment.scheduled", "referral.proposed", "referral.requested", "staff_task.created", "consent.recorded"],
)
def test_one_deleted_effect_is_missed_by_name(evidence: Path, type_: str) -> None:
    file = evidence / "evidence" / "topics.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    gone = next(r["headers"]["ce_id"] for r in records if r["headers"]["ce_type"] == f"kintsugi.{type_}.v1")
    # Wherever it stands: an event that was sent again is there twice.
    kept = [record for record in records if record["headers"]["ce_id"] != gone]
    file.write_text("".join(json.dumps(record) + "\n" for record in kept))
    ended = _kintsugi("reconcile", evidence)
    assert ended.returncode == 1
    assert "lost (an expected effect is absent)" in ended.stdout
    assert type_ in ended.stdout


@pytest.mark.demo
def test_one_doubled_mail_is_noticed(evidence: Path) -> None:
    mail = sorted((evidence / "mail").glob("*.eml"))[7]
    shutil.copy(mail, mail.with_name("9" + mail.name[1:]))
    ended = _kintsugi("reconcile", evidence)
    assert ended.returncode == 1
    assert "doubled (an effect is there twice)" in ended.stdout


@pytest.mark.demo
def test_one_deleted_mail_is_missed(evidence: Path) -> None:
    sorted((evidence / "mail").glob("*.eml"))[7].unlink()
    ended = _kintsugi("reconcile", evidence)
    assert ended.returncode == 1
    assert re.search(r"mail to (staff|an agency|a survivor)", ended.stdout)


@pytest.mark.demo
def test_a_name_in_a_log_is_a_leak(evidence: Path) -> None:
    row = (evidence / "evidence" / "samples" / "cases.csv").read_text().splitlines()[2].split(",")
    with (evidence / "logs" / "notify.log").open("a") as log:
        log.write(json.dumps({"event": "sent", "to": row[1]}) + "\n")
    ended = _kintsugi("reconcile", evidence)
    assert ended.returncode == 1
    assert "logs/notify.log holds a name of row 3" in ended.stdout
    assert row[1] not in ended.stdout


@pytest.mark.parametrize(
    ("bug", "said"),
    [
        ("mail_twice", "doubled"),
        ("relay_skips", "lost|broke off"),
        ("cursor_without_state", "lost|broke off"),
        ("handler_raises", "lost|broke off"),
        ("no_cursor_check", "doubled|lost|unexplained|broke off"),
    ],
)
def test_each_seeded_bug_fails_the_demonstration(tmp_path: Path, bug: str, said: str) -> None:
    variables = {"KINTSUGI_SEEDED_BUG": bug, "KINTSUGI_TEST_RAISES": "referral:AssessmentCompleted"}
    ended = _kintsugi("demo", "--data", tmp_path / "demo", PYTHONPATH=str(SEEDED), **variables)
    assert "could not be put in" not in ended.stdout
    assert ended.returncode == 1, ended.stdout
    assert re.search(said, ended.stdout)


def test_without_the_partners_service_the_other_flows_hold_and_the_summary_says_so(tmp_path: Path) -> None:
    absent = Path(__file__).parents[1] / "absent"
    ended = _kintsugi("demo", "--data", tmp_path / "demo", PYTHONPATH=str(absent), ABSENT="kintsugi_share")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told: dict[str, Any] = json.loads((tmp_path / "demo.json").read_text())
    assert "the service share is not installed" in "".join(told["left_out"])
    assert "share" not in told["events"]["by_service"]
    assert told["effects"]["expected"] == told["effects"]["found"] > 3000
    assert not [check["name"] for check in told["checks"] if "partner" in check["name"]]
    assert "left out" in ended.stdout
