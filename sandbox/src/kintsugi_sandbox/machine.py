"""What ``kintsugi doctor`` asks of a machine that runs the embedded servers: each function is one of its checks."""

import platform
import shutil
import subprocess
from collections.abc import Iterator

import psutil
from kintsugi_office import state
from kintsugi_office.doctor import Finding
from kintsugi_office.project import Layout

from kintsugi_sandbox.embedded import jars as kafka_jars
from kintsugi_sandbox.embedded import kafka, places, postgres, servers

_ROOM_NEEDED = 2_000_000_000
_MEMORY_NEEDED = 1_500_000_000
_OLDEST_GLIBC = (2, 28)
_PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}


def machine(_: Layout) -> Iterator[Finding]:
    """Whether the servers' binaries run on this system."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) not in _PLATFORMS:
        yield Finding(
            "wrong",
            f"{system} on {machine}: the embedded servers have no binaries for it",
            "Use docker-compose.yml, or Linux (x86-64, arm64) or macOS (arm64).",
        )
        return
    library, version = platform.libc_ver()
    if system == "Linux" and library != "glibc":
        yield Finding("wrong", "This Linux has no glibc (musl?)", "Use docker-compose.yml, or a glibc distribution.")
    elif system == "Linux" and tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_GLIBC:
        yield Finding("wrong", f"glibc {version} is older than 2.28", "Upgrade the system, or use docker-compose.yml.")
    else:
        yield Finding("ok", f"{system} on {machine} {library} {version}".rstrip())


def room(layout: Layout) -> Iterator[Finding]:
    """Room on the disk and in memory."""
    for label, folder in (("data", layout.data), ("cache", places.cache_folder())):
        there = next(parent for parent in [folder, *folder.parents] if parent.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / 1e9:.1f} GB free for the {label} folder {folder}"
        if free < _ROOM_NEEDED:
            yield Finding("wrong", text, f"Free {_ROOM_NEEDED / 1e9:.0f} GB there, or choose another folder.")
        else:
            yield Finding("ok", text)
    memory = psutil.virtual_memory().available
    if memory < _MEMORY_NEEDED:
        yield Finding("note", f"{memory / 1e9:.1f} GB of memory available; an office takes about 1 GB", "Close others.")


def java(_: Layout) -> Iterator[Finding]:
    """The Java that Kafka runs on."""
    try:
        java = kafka.java_program()
    except RuntimeError as error:
        yield Finding("wrong", str(error), "Run: make")
        return
    asked = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode:
        yield Finding("wrong", f"{java} does not run: {asked.stderr.strip()}", "Remove .venv and run: make")
    else:
        yield Finding("ok", f"Java: {asked.stderr.splitlines()[0]}")


def jars(_: Layout) -> Iterator[Finding]:
    """Kafka's jars: all there, and the locked ones."""
    absent = kafka_jars.missing()
    if not absent:
        yield Finding(
            "ok", f"Apache Kafka {kafka_jars.KAFKA[2]}: all {len(kafka_jars.locked())} jars have the locked hashes"
        )
        return
    damaged = [jar for jar in absent if (kafka_jars.jars_folder() / jar.name).exists()]
    if damaged:
        yield Finding(
            "wrong",
            f"{len(damaged)} jars in {kafka_jars.jars_folder()} do not have the locked hash, first {damaged[0].name}",
            "Run kintsugi up: it fetches them again. If it returns, find out who writes to that folder.",
        )
    else:
        size = sum(jar.size for jar in absent) / 1e6
        yield Finding("note", f"{len(absent)} jars of Kafka are not here yet", f"kintsugi up fetches {size:.0f} MB.")


def database(_: Layout) -> Iterator[Finding]:
    """PostgreSQL's programs."""
    program = postgres.binaries() / "postgres"
    asked = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode:
        yield Finding("wrong", f"{program} does not run: {asked.stderr.strip()}", "Remove .venv and run: make")
    else:
        yield Finding("ok", asked.stdout.strip())


def ports(layout: Layout) -> Iterator[Finding]:
    """The ports of an office that is gone, where something else listens now."""
    current = state.read(layout.state)
    if current is None or current.alive:
        return
    for name, process in current.processes.items():
        for port in process.ports.values():
            if not servers.port_is_free(port):
                yield Finding(
                    "note", f"Something listens on port {port}, which was {name}'s", "kintsugi up takes another port."
                )
