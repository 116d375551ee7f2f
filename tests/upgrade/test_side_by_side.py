"""One service at a time: processes of this release take their place among those of the earlier one."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.upgrade.cases import address, assess, choose, notices, open_case
from tests.upgrade.office import SERVICES, Office, free_port, office, until
from tests.upgrade.releases import PRESENT, ROOT, Release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = ("Amal", "Basim", "Celine", "Dalia", "Emre", "Farah")


@dataclass
class Rolled:
    """The office after each service was replaced in its turn, and a case was sent through after each."""

    office: Office
    earlier: Release
    cases: dict[str, str]
    """References by the survivor's name."""
    former: dict[str, str]
    """What the earlier release's share was told."""


@pytest.fixture(scope="module")
def rolled(earlier: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolled]:
    with office(tmp_path_factory.mktemp("office"), earlier) as made:
        made.up(earlier)
        cases = {NAMES[0]: through(made, NAMES[0])}
        former = made.told["share"][1]
        made.freeze()
        made.release = PRESENT
        made.run("topics", "apply", "--yes")
        made.run("migrate")
        for service, name in zip(SERVICES, NAMES[1:], strict=True):
            beside(made, service)
            cases[name] = through(made, name)
        yield Rolled(made, earlier, cases, former)


def beside(made: Office, service: str) -> None:
    """A process of this release starts while that of the earlier one works; then that one is stopped in order."""
    told = environment(made, service)
    made.by_hand(service, PRESENT, told=told | {"KINTSUGI_HTTP_PORT": str(free_port())})
    started = made.hands.pop(service)
    made.end(service, how=signal.SIGTERM)
    made.hands[service] = started
    made.moved(service)


def environment(made: Office, service: str) -> dict[str, str]:
    """What a process of this release is told: this release's files, and a folder of the keys it was told before."""
    _, former = made.told[service]
    folder = made.data / "keys" / service
    folder.mkdir(parents=True)
    for name, value in former.items():
        if name.startswith("KINTSUGI_KEK_"):
            (folder / f"{name.removeprefix('KINTSUGI_KEK_').lower()}.key").symlink_to(value)
    own = {"KINTSUGI_COUNTRIES": str(ROOT / "countries"), "KINTSUGI_CONTRACTS": str(ROOT / "contracts")}
    kept = {name: value for name, value in former.items() if not name.startswith("KINTSUGI_KEK_")}
    return kept | own | {"KINTSUGI_KEYS": former.get("KINTSUGI_KEYS", str(folder))}


def through(made: Office, name: str) -> str:
    """A case from its opening to the mail that its agency gets."""
    ref = open_case(made, name)
    assess(made, ref)
    until(lambda: notices(made, ref).get("survivor") == "sent", what=f"{name} to be told")
    choose(made, ref)
    until(lambda: notices(made, ref).get("provider") == "sent", what=f"the agency to be asked for {name}")
    return ref


def migrations(release: Release) -> set[str]:
    """The revisions of the kit's own tables that a release knows."""
    return {file.stem for file in release.source.glob("libs/common/src/kintsugi/tables/versions/*.py")}


def test_every_case_goes_through_whichever_releases_work_together(rolled: Rolled) -> None:
    rolled.office.settle()
    mails = rolled.office.mails()
    assert len(mails) == 2 * len(NAMES)
    assert set(Counter(mail["Message-ID"] for mail in mails).values()) == {1}
    assert Counter(mail["To"] for mail in mails if mail["To"].endswith("@survivor.example")) == Counter(
        address(name) for name in NAMES
    )


def test_a_change_between_releases_holds_no_case(rolled: Rolled) -> None:
    assert rolled.office.asked("held", "list")["held"] == []
    assert Counter(rolled.office.types())["input.held"] == 0


def test_a_process_of_the_earlier_release_does_not_start_again_on_a_newer_database(rolled: Rolled) -> None:
    before, now = migrations(rolled.earlier), migrations(PRESENT)
    if now <= before:
        pytest.skip("no migration lies between the two releases")
    with pytest.raises(AssertionError, match="the database is newer than this release"):
        rolled.office.by_hand("share", rolled.earlier, told=rolled.former)


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_differs_from_the_log(rolled: Rolled, service: str) -> None:
    compared = rolled.office.asked("recover", service, "--compare")
    assert compared["subjects"] >= len(NAMES)
    assert compared["differences"] == []
