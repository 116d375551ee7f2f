"""The jars of Apache Kafka: exactly those of ``jars.lock``, fetched once by coordinates and checked by hash.

Maintenance: ``python -m kintsugi_sandbox.embedded.jars`` resolves Kafka anew and rewrites the lock.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from kintsugi_sandbox.embedded import places
from kintsugi_sandbox.embedded.transfer import transfer

Coordinates = tuple[str, str, str]
"""Group, artefact and version."""

KAFKA = ("org.apache.kafka", "kafka_2.13", "4.3.1")
# Without this binding Kafka is mute. A coordinate of its own: resolved together, one tree's managed versions leak
# into the other.
_LOG_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")
_THREADS = 8
_TRIES = 4


class JarUnavailable(RuntimeError):
    """A jar could not be fetched, or what came is not what the lock names."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock: Maven coordinates, size in bytes and SHA-256 of the file."""

    group: str
    artefact: str
    version: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file name, as Maven has it."""
        return f"{self.artefact}-{self.version}.jar"

    def matches(self, file: Path) -> bool:
        """Whether ``file`` is this jar, byte for byte."""
        if not file.exists() or file.stat().st_size != self.size:
            return False
        return _sha256(file) == self.sha256


def locked() -> list[Jar]:
    """The jars of Kafka's committed lock."""
    return read(files("kintsugi_sandbox.embedded").joinpath("jars.lock").read_text())


def read(lock: str) -> list[Jar]:
    """The jars that the text of a lock names: one per line, as :func:`write` has it."""
    rows = [line.split() for line in lock.splitlines() if line and not line.startswith("#")]
    return [Jar(group, artefact, version, int(size), sha) for group, artefact, version, size, sha in rows]


def jars_folder() -> Path:
    """Where the jars are kept, one folder per Kafka version."""
    return places.cache_folder() / f"kafka-{KAFKA[2]}"


def missing() -> list[Jar]:
    """The jars of Kafka's lock that the cache lacks or holds damaged."""
    return _missing(jars_folder(), locked())


def fetch() -> list[Path]:
    """The paths of Kafka's jars, fetched first where missing (45 MB the first time). Raises JarUnavailable."""
    return fetch_into(jars_folder(), locked(), f"Apache Kafka {KAFKA[2]}")


def fetch_into(folder: Path, jars: Sequence[Jar], what: str) -> list[Path]:
    """The paths of jars in a folder, fetched first where missing; what arrived is kept if it fails.

    ``what`` names them to whoever waits. Raises JarUnavailable when the network or a hash says no.
    """
    wanted = _missing(folder, jars)
    if wanted:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        _fetch_missing(folder, wanted, what)
    return [folder / jar.name for jar in jars]


def _missing(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    return [jar for jar in jars if not jar.matches(folder / jar.name)]


def _fetch_missing(folder: Path, wanted: list[Jar], what: str) -> None:
    total = sum(jar.size for jar in wanted)
    with (
        transfer(f"{what}: {len(wanted)} files", total) as advance,
        tempfile.TemporaryDirectory(dir=folder, prefix=".arriving-") as staging,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        waiting = {pool.submit(_fetch_one, jar, Path(staging), folder): jar for jar in wanted}
        failures = []
        for done in as_completed(waiting):
            try:
                done.result()
            except JarUnavailable as error:
                failures.append(str(error))
            else:
                advance(waiting[done].size)
    if failures:
        raise JarUnavailable(
            f"{len(failures)} of {len(wanted)} jars could not be fetched; the others are kept in {folder}.\n"
            f"First: {failures[0]}\nCheck the network and run the same command again: it goes on where it stopped."
        )


def _fetch_one(jar: Jar, staging: Path, folder: Path) -> None:
    from jgo.maven import MavenContext

    last: Exception | None = None
    for attempt in range(_TRIES):
        # A folder per attempt: jgo takes a half-written file for a whole one.
        cache = Path(tempfile.mkdtemp(dir=staging))
        try:
            context = MavenContext(repo_cache=cache, timeout=30)
            arrived = context.project(jar.group, jar.artefact).at_version(jar.version).artifact().resolve()
        except Exception as error:  # jgo raises RuntimeError, requests its own kinds
            last = error
            time.sleep(0.5 * 2**attempt)
            continue
        if not jar.matches(Path(arrived)):
            raise JarUnavailable(
                f"{jar.group}:{jar.artefact}:{jar.version} is not the file of the lock "
                f"(expected sha256 {jar.sha256}, got {_sha256(Path(arrived))}). It was not installed."
            )
        os.chmod(arrived, 0o644)
        shutil.move(arrived, folder / jar.name)
        return
    raise JarUnavailable(f"{jar.group}:{jar.artefact}:{jar.version}: {last}")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def resolve(*roots: Coordinates, alone: Sequence[Coordinates] = ()) -> list[Jar]:
    """Resolve artefacts from their POMs, one tree at a time, and describe every jar; ``alone`` come without theirs.

    Takes half a minute for Kafka.
    """
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as cache:
        context = MavenContext(repo_cache=Path(cache), timeout=60)
        wanted = {*roots, *alone}
        for root in roots:
            _, nodes = context.resolver.get_dependency_list([context.create_dependency(":".join(root))])
            wanted |= {(node.dep.groupId, node.dep.artifactId, node.dep.version) for node in nodes}

        def describe(coordinates: Coordinates) -> Jar:
            group, artefact, version = coordinates
            file = Path(context.project(group, artefact).at_version(version).artifact().resolve())
            return Jar(group, artefact, version, file.stat().st_size, _sha256(file))

        with ThreadPoolExecutor(_THREADS) as pool:
            return sorted(pool.map(describe, wanted), key=lambda jar: (jar.group, jar.artefact))


def write(lock: Path, head: str, jars: Sequence[Jar]) -> None:
    """A lock file: a line of ``head``, then group, artefact, version, size and sha256 of each jar."""
    rows = [f"{jar.group} {jar.artefact} {jar.version} {jar.size} {jar.sha256}\n" for jar in jars]
    lock.write_text(f"# {head}\n{''.join(rows)}")
    print(f"{len(rows)} jars written to {lock}")


if __name__ == "__main__":
    write(
        Path(str(files("kintsugi_sandbox.embedded").joinpath("jars.lock"))),
        "Jars of Apache Kafka: group artefact version size sha256. Made by python -m kintsugi_sandbox.embedded.jars",
        resolve(KAFKA, alone=[_LOG_BINDING]),
    )
