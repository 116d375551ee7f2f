"""The collector and the alerts speak of what the services really send."""

import re
from pathlib import Path
from typing import Any

import yaml
from kintsugi.telemetry.export import ALLOWED_ATTRIBUTES
from kintsugi.telemetry.metrics import Metrics

INFRA = Path(__file__).parents[2] / "infra"


def load(path: str) -> Any:
    return yaml.safe_load((INFRA / path).read_text(encoding="utf-8"))


def test_the_collector_lets_pass_what_the_services_may_send_and_nothing_else() -> None:
    allowed = set(load("otel-collector.yaml")["processors"]["redaction"]["allowed_keys"])
    assert allowed >= ALLOWED_ATTRIBUTES
    assert all(key.startswith(("service.", "telemetry.sdk.")) for key in allowed - ALLOWED_ATTRIBUTES)


def test_every_alert_reads_a_metric_that_exists_and_says_what_to_do_next() -> None:
    described = re.findall(r"^# TYPE (\S+)", Metrics("intake").render().decode(), re.MULTILINE)
    known = {"up", *described}
    rules = [rule for group in load("prometheus/rules.yaml")["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        used = set(re.findall(r"\b(?:kintsugi_\w+|up)\b", rule["expr"]))
        assert used, rule["alert"]
        assert used <= known, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "next"}
