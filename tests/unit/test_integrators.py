"""`kintsugi integrators`: what the office hands a partner, and that nobody else could use or read it."""

from __future__ import annotations

import filecmp
import os
import shlex
from pathlib import Path

import psutil
import pytest
from kintsugi.auth import Verifier, generate_keypair, issuer_of
from kintsugi_office import access, integrators, state
from kintsugi_office.project import Layout
from typer.testing import CliRunner, Result

NAME, TOPIC = "labour-registry", "xa.share.labour-registry.wage-claims.v1"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A data folder as an office leaves it while it runs."""
    layout = Layout(tmp_path / "data")
    layout.make()
    generate_keypair(layout.secrets)
    password = layout.kafka_password(access.integrator(NAME))
    password.parent.mkdir(parents=True, exist_ok=True)
    password.touch(mode=0o600)
    password.write_text("s3cret word\n")
    _runs(layout, share="http://127.0.0.1:1")
    return layout


def _runs(layout: Layout, **services: str) -> None:
    known: dict[str, str] = {}
    state.write(
        layout.state,
        state.OfficeState(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            phase="ready",
            country="xa",
            profile="development",
            shape="processes",
            project=str(PROJECT),
            bootstrap="127.0.0.1:9",
            services=services,
            versions=known,
            databases=known,
            keyrings=known,
            processes={},
        ),
    )


def _run(layout: Layout, *words: str) -> Result:
    return CliRunner().invoke(integrators.app, [*words, "--data", str(layout.data)])


def test_a_partner_gets_its_login_its_contract_and_a_token_that_speaks_for_it_alone(
    layout: Layout, tmp_path: Path
) -> None:
    into = tmp_path / "partner"
    into.mkdir(mode=0o700)
    file = into / "wage-claims.env"
    file.write_text("of an earlier time, for all to read")
    file.chmod(0o644)
    assert _run(layout, "hand-over", NAME, "--into", str(into), "--days", "7").exit_code == 0
    told = dict(word.split("=", 1) for word in shlex.split(file.read_text()))
    assert (told["TOPIC"], told["KAFKA_USERNAME"]) == (TOPIC, "xa.integrator.labour-registry")
    assert told["KAFKA_PASSWORD"] == "s3cret word"
    assert told["KAFKA_GROUP"].startswith(told["KAFKA_USERNAME"] + ".")
    caller = Verifier(layout.jwt_public_key.read_bytes(), issuer_of("xa"), country="xa").verify(told["SHARE_TOKEN"])
    assert (caller.sub, caller.roles) == (NAME, frozenset({"integrator"}))
    published = PROJECT / "contracts" / "share" / "xa" / NAME / "wage-claims"
    assert not filecmp.dircmp(published, told["CONTRACT"]).left_only
    modes = {path.name: path.stat().st_mode & 0o077 for path in (into, file, into / "private.jwk.json")}
    assert set(modes.values()) == {0}


def test_the_list_says_what_consents_name_and_what_each_partner_reads(layout: Layout) -> None:
    said = _run(layout, "list").stdout
    assert "labour-ministry" in said
    assert TOPIC in said


def test_an_unknown_partner_is_refused_with_those_there_are(layout: Layout) -> None:
    refused = _run(layout, "hand-over", "nobody")
    assert refused.exit_code == 1
    assert "There is: labour-registry." in refused.stderr


def test_nothing_is_handed_over_where_nobody_could_acknowledge(layout: Layout, tmp_path: Path) -> None:
    _runs(layout, intake="http://127.0.0.1:1")
    refused = _run(layout, "hand-over", NAME, "--into", str(tmp_path / "partner"))
    assert refused.exit_code == 1
    assert "share does not run" in refused.stderr
    assert not (tmp_path / "partner").exists()
