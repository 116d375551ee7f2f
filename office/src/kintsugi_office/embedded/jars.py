"""The jars of Apache Kafka: exactly those of ``jars.lock``, fetched once by coordinates and checked by hash.

Maintenance: ``python -m kintsugi_office.embedded.jars`` resolves Kafka anew and rewrites the lock.
"""

import hashlib
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from kintsugi_office.embedded import places
from kintsugi_office.progress import transfer

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
    """The jars of the committed lock."""
    text = files("kintsugi_office.embedded").joinpath("jars.lock").read_text()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [Jar(group, artefact, version, int(size), sha) for group, artefact, version, size, sha in rows]


def jars_folder() -> Path:
    """Where the jars are kept, one folder per Kafka version."""
    return places.cache_folder() / f"kafka-{KAFKA[2]}"


def missing() -> list[Jar]:
    """The jars of the lock that the cache lacks or holds damaged."""
    return [jar for jar in locked() if not jar.matches(jars_folder() / jar.name)]


def fetch() -> list[Path]:
    """The paths of all jars, fetched first where missing (45 MB the first time; what arrived is kept if it fails).

    Raises JarUnavailable when the network or a hash says no.
    """
    wanted = missing()
    folder = jars_folder()
    if wanted:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        _fetch_into(folder, wanted)
    return [folder / jar.name for jar in locked()]


def _fetch_into(folder: Path, wanted: list[Jar]) -> None:
    total = sum(jar.size for jar in wanted)
    with (
        transfer(f"Apache Kafka {KAFKA[2]}: {len(wanted)} files", total) as advance,
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
                f"{jar.group}:{jar.artefact}:{jar.version} is not the file of jars.lock "
                f"(expected sha256 {jar.sha256}, got {_sha256(Path(arrived))}). It was not installed."
            )
        os.chmod(arrived, 0o644)
        shutil.move(arrived, folder / jar.name)
        return
    raise JarUnavailable(f"{jar.group}:{jar.artefact}:{jar.version}: {last}")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def resolve() -> list[Jar]:
    """Resolve Kafka and its log binding from their POMs and describe every jar. Takes half a minute."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as cache:
        context = MavenContext(repo_cache=Path(cache), timeout=60)
        root = context.create_dependency(":".join(KAFKA))
        _, nodes = context.resolver.get_dependency_list([root])
        wanted = {KAFKA, _LOG_BINDING}
        wanted |= {(node.dep.groupId, node.dep.artifactId, node.dep.version) for node in nodes}

        def describe(coordinates: tuple[str, str, str]) -> Jar:
            group, artefact, version = coordinates
            file = Path(context.project(group, artefact).at_version(version).artifact().resolve())
            return Jar(group, artefact, version, file.stat().st_size, _sha256(file))

        with ThreadPoolExecutor(_THREADS) as pool:
            return sorted(pool.map(describe, wanted), key=lambda jar: (jar.group, jar.artefact))


def _write_lock() -> None:
    target = Path(str(files("kintsugi_office.embedded").joinpath("jars.lock")))
    head = (
        "# Jars of Apache Kafka: group artefact version size sha256. Made by python -m kintsugi_office.embedded.jars\n"
    )
    rows = [f"{jar.group} {jar.artefact} {jar.version} {jar.size} {jar.sha256}\n" for jar in resolve()]
    target.write_text(head + "".join(rows))
    print(f"{len(rows)} jars written to {target}")


if __name__ == "__main__":
    _write_lock()
