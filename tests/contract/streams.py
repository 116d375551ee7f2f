"""A partner's stream for tests, in the form of contracts/share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def add_stream(contracts: Path, *, country: str, integrator: str, purpose: str) -> Path:
    """Writes a compacted stream with one sealed purpose into a contracts folder and returns its folder."""
    folder = contracts / "share" / country / integrator / purpose
    event = f"share.{integrator}.{purpose}"
    base = f"https://schemas.kintsugi.example/share/{country}/{integrator}/{purpose}"
    (folder / "examples" / "accept").mkdir(parents=True)
    (folder / "topic.yaml").write_text(
        f"""topic: {country}.{event}.v1
service: share
owner: The fictional share team
purpose: What a fictional court may know of a hearing.
producer: share
key: ce_subject
partitions: 3
sensitivity: restricted
config:
  cleanup.policy: compact
  max.compaction.lag.ms: "86400000"
  delete.retention.ms: "604800000"
purposes: [identity]
events:
  {event}: {{versions: [1], protective: false}}
consumers:
  {integrator}:
    {event}: [case, status, sealed.identity]
"""
    )
    case = _field("The case as this partner knows it.", pattern="^[a-z2-7]{26}$")
    _write(
        folder / "v1.schema.json",
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{base}/v1.schema.json",
            "x-type": f"kintsugi.{event}.v1",
            "title": "Hearing",
            "description": "All that the court may know of one case now.",
            "type": "object",
            "additionalProperties": False,
            "required": ["case", "status"],
            "properties": {
                "case": case,
                "status": _field("Whether the case is open.", enum=["open", "closed", "unknown"]),
                "sealed": {
                    "description": "Sealed values.",
                    "x-sensitivity": "internal",
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"identity": _field("Who it is, as a JWE.", pattern="^[0-9A-Za-z_.-]+$")},
                },
            },
        },
    )
    _write(
        folder / "v1.sealed.identity.schema.json",
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{base}/v1.sealed.identity.schema.json",
            "x-purpose": "identity",
            "title": "HearingIdentity",
            "description": "Who it is.",
            "type": "object",
            "additionalProperties": False,
            "required": ["case", "preferred_name"],
            "properties": {
                "case": case,
                "preferred_name": _field("The name to use.", "personal", minLength=1, maxLength=200),
            },
        },
    )
    _write(folder / "examples" / "accept" / "full.json", {"case": "a" * 26, "status": "open"})
    return folder


def _field(description: str, sensitivity: str = "internal", **rest: Any) -> dict[str, Any]:
    return {"description": description, "x-sensitivity": sensitivity, "type": "string", **rest}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
