"""The Java subscriber without Maven: its jars by lock, and the compiler of Eclipse, since a runtime brings none.

Maintenance: ``python -m tests.e2e.subscriber_java`` resolves what its pom.xml names anew and rewrites the lock.
"""

import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from kintsugi_sandbox.embedded import jars, places
from kintsugi_sandbox.embedded.kafka import java_program

FOLDER = Path(__file__).parents[2] / "examples" / "subscribe-java"
LOCK = Path(__file__).with_name("subscribe-java.lock")
COMPILER = ("org.eclipse.jdt", "ecj", "3.46.100")
_POM = {"m": "http://maven.apache.org/POM/4.0.0"}


def named() -> list[jars.Coordinates]:
    """What pom.xml depends on."""
    project = ElementTree.parse(FOLDER / "pom.xml")
    parts = ("groupId", "artifactId", "version")
    found = [
        [str(one.findtext(f"m:{part}", None, _POM)) for part in parts]
        for one in project.iterfind("m:dependencies/m:dependency", _POM)
    ]
    return [(group, artefact, version) for group, artefact, version in found]


def release() -> str:
    """The Java that pom.xml compiles for."""
    return str(ElementTree.parse(FOLDER / "pom.xml").findtext("m:properties/m:maven.compiler.release", None, _POM))


def compiled(classes: Path) -> list[str]:
    """The command that runs the subscriber, compiled into ``classes``. Raises JarUnavailable or CalledProcessError."""
    found = jars.fetch_into(places.cache_folder() / "subscribe-java", jars.read(LOCK.read_text()), "The Java example")
    compiler = next(jar for jar in found if jar.name == f"{COMPILER[1]}-{COMPILER[2]}.jar")
    classpath = os.pathsep.join(str(jar) for jar in found if jar != compiler)
    options = [f"-{release()}", "-proc:none", "-nowarn", "-cp", classpath, "-d", str(classes)]
    subprocess.run([str(java_program()), "-jar", str(compiler), *options, str(FOLDER / "Subscribe.java")], check=True)
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return [
        str(java_program()),
        quiet,
        "-XX:TieredStopAtLevel=1",
        "-cp",
        f"{classes}{os.pathsep}{classpath}",
        "Subscribe",
    ]


if __name__ == "__main__":
    jars.write(
        LOCK,
        "What examples/subscribe-java/pom.xml needs, and a compiler: group artefact version size sha256. Made by "
        "python -m tests.e2e.subscriber_java",
        jars.resolve(*named(), alone=[COMPILER]),
    )
