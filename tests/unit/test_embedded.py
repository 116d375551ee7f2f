"""Locks, places and ports of the embedded servers, without starting one."""

import os
import stat
from pathlib import Path

import pytest
from kintsugi_sandbox.embedded import jars, places, servers
from kintsugi_sandbox.embedded.jars import Jar, JarUnavailable


def test_the_lock_names_one_version_of_every_kafka_jar() -> None:
    kafka = [jar for jar in jars.locked() if jar.group == "org.apache.kafka"]
    assert {jar.version for jar in kafka} == {jars.KAFKA[2]}
    names = [jar.artefact for jar in jars.locked()]
    assert len(names) == len(set(names)) >= 45


def test_a_jar_with_another_content_is_not_taken_for_the_locked_one(tmp_path: Path) -> None:
    file = tmp_path / "some.jar"
    file.write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Jar("g", "some", "1", 3, abc).matches(file)
    file.write_bytes(b"abd")
    assert not Jar("g", "some", "1", 3, abc).matches(file)
    assert not Jar("g", "some", "1", 3, abc).matches(tmp_path / "absent.jar")


def test_a_file_that_is_not_the_locked_one_is_never_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jgo.maven

    class Forged:
        """Stands for a repository that answers with another file."""

        def __init__(self, repo_cache: Path, **_: object) -> None:
            self.cache = repo_cache

        def project(self, *_: str) -> "Forged":
            return self

        at_version = artifact = project

        def resolve(self) -> Path:
            (self.cache / "forged.jar").write_bytes(b"forged")
            return self.cache / "forged.jar"

    monkeypatch.setattr(jgo.maven, "MavenContext", Forged)
    monkeypatch.setattr(jars, "jars_folder", lambda: tmp_path / "jars")
    monkeypatch.setattr(jars, "locked", lambda: [Jar("g", "some", "1", 6, "0" * 64)])
    with pytest.raises(JarUnavailable, match="is not the file of"):
        jars.fetch()
    assert list((tmp_path / "jars").iterdir()) == []


def test_what_arrived_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, absent = Jar("g", "there", "1", 5, "a" * 64), Jar("g", "absent", "1", 5, "b" * 64)

    def fetch_one(jar: Jar, staging: Path, folder: Path) -> None:
        if jar is absent:
            raise JarUnavailable("the network is gone")
        (folder / jar.name).write_bytes(b"there")

    monkeypatch.setattr(jars, "_fetch_one", fetch_one)
    monkeypatch.setattr(jars, "jars_folder", lambda: tmp_path)
    monkeypatch.setattr(jars, "locked", lambda: [there, absent])
    with pytest.raises(JarUnavailable, match="goes on where it stopped"):
        jars.fetch()
    assert [file.name for file in tmp_path.iterdir()] == ["there-1.jar"]


def test_ports_stay_below_the_ephemeral_range_and_differ() -> None:
    ports: list[int] = []
    for _ in range(20):
        ports.append(servers.free_port(taken=ports))
    assert len(set(ports)) == 20
    assert max(ports) < 32768


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")
def test_what_roots_home_hides_is_mirrored_where_the_server_can_reach_it(
    tmp_path: Path, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINTSUGI_CACHE", str(server_folder / "cache"))
    hidden = tmp_path / "hidden"
    (hidden / "package" / "bin").mkdir(parents=True)
    hidden.chmod(0o700)
    program = hidden / "package" / "bin" / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    anchor = places.reachable_binaries("program-1", [hidden / "package"], hidden)
    reached = anchor / "package" / "bin" / "program"
    assert anchor != hidden
    assert reached.read_text() == "#!/bin/sh\n"
    assert all(folder.stat().st_mode & stat.S_IXOTH for folder in reached.parents)
    assert reached.stat().st_mode & stat.S_IROTH
    assert reached.stat().st_mode & stat.S_IXOTH
    assert places.reachable_binaries("program-1", [hidden / "package"], hidden) == anchor


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")
def test_a_data_folder_the_server_cannot_enter_becomes_a_link_to_one_it_can(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    given = tmp_path / "data"
    real = places.data_folder(given)
    try:
        account = places.server_account()
        assert account is not None
        assert given.is_symlink()
        assert given.resolve() == real
        assert real.stat().st_uid == account.uid
        assert places.data_folder(given) == real, "the second start finds the first one's data"
    finally:
        places.remove_data(given)
    assert not given.is_symlink()
    assert not real.parent.exists(), "no empty folder stays behind"
