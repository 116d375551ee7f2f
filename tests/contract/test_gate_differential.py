"""The gate is right about changes: what it calls fine breaks nobody, and what breaks nobody it calls fine.

Each of ten thousand pairs of schemas is judged by the gate and, without it, by writing values at every edge of one
version and reading them with the other. What an older release wrote, a newer one must take whole; what a newer one
writes, an older one must be able to read.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import datetime
from functools import cache
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from kintsugi.contracts import generate
from kintsugi.contracts.base import Event
from kintsugi.pack.source import Document
from kintsugi_contracts import schema_changes
from kintsugi_contracts.rules.keywords import Keywords
from kintsugi_contracts.schema_changes import Verdict, compare
from kintsugi_contracts.shape import Place, Schema, Shape, shape
from pydantic import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.contract.folders import CONTRACTS
from tests.contract.schema_pairs import COMMON_ID, ID, Pair, pair
from tests.contract.schema_reader import Reader, Writer

PAIRS, COMPARED, MODELLED, SEED = 10_000, 500, 150, 20_261_122


def whole(schema: Schema, common: Schema) -> Shape:
    """A schema of the pair as the gate sees it."""
    files = {ID: schema, COMMON_ID: common}

    def resolver(base: str, ref: str) -> tuple[str, tuple[str, ...], Schema]:
        file = COMMON_ID if ref.startswith("..") else base
        path = tuple(ref.split("#/")[1].split("/"))
        part = files[file]
        for step in path:
            part = part[step]
        return file, path, part

    return shape(schema, Place(ID, ()), resolver)


def gate(pair: Pair) -> Verdict:
    """What the gate says of the pair."""
    deltas = compare(whole(pair.old, pair.old_common), whole(pair.new, pair.new_common))
    return max((d.verdict for d in deltas), default=Verdict.fine)


def counterexample(pair: Pair) -> Any:
    """A value that one version writes and the other cannot read, None when there is none."""
    newer = Reader(pair.new, pair.new_common)
    for value in Writer(pair.old, pair.old_common).values():
        if not newer.keeps(value):
            return value
    older = Reader(pair.old, pair.old_common)
    return next((v for v in Writer(pair.new, pair.new_common).values() if not older.takes(v)), None)


@cache
def pairs(number: int) -> tuple[Pair, ...]:
    """The same pairs in every run."""
    random = Random(SEED)
    return tuple(pair(random) for _ in range(number))


def test_nothing_that_is_called_fine_breaks_anybody_and_what_breaks_nobody_is_called_fine(
    record_property: Any,
) -> None:
    wrong, harmless, strict, broken = [], 0, Counter[tuple[str, ...]](), 0
    for each in pairs(PAIRS):
        verdict, found = gate(each), counterexample(each)
        if found is not None:
            broken += 1
            if verdict is Verdict.fine:
                wrong.append((each.changes, found))
            continue
        harmless += 1
        if verdict is not Verdict.fine:
            strict[each.changes] += 1
    share = 1 - strict.total() / harmless
    figures = {"pairs": PAIRS, "break": broken, "harmless": harmless, "harmless called fine": f"{share:.1%}"}
    record_property("gate", figures)
    print(figures)
    assert wrong == []
    assert share >= 0.95, strict
    assert harmless > 2_000
    assert broken > 2_000


def test_the_pairs_are_written_in_the_words_of_contracts() -> None:
    keywords = Keywords(CONTRACTS / "meta")
    for each in pairs(PAIRS)[:: PAIRS // 100]:
        for kind, schema in (("event", each.old), ("common", each.old_common)):
            assert list(keywords.judge(kind, Document(kind, json.dumps(schema), schema))) == []


def _strict(schema: Schema, common: Schema) -> Draft202012Validator:
    resources = [(s["$id"], Resource.from_contents(s, default_specification=DRAFT202012)) for s in (schema, common)]
    registry = Registry[Any]().with_resources(resources)
    return Draft202012Validator(schema, registry=registry, format_checker=_MOMENTS)


_MOMENTS = FormatChecker(formats=())
_MOMENTS.checks("date-time", raises=ValueError)(lambda v: not isinstance(v, str) or bool(datetime.fromisoformat(v)))


def test_the_proof_agrees_with_jsonschema_on_what_is_strictly_valid() -> None:
    for each in pairs(PAIRS)[:: PAIRS // COMPARED]:
        old, new = (each.old, each.old_common), (each.new, each.new_common)
        for schema in (old, new):
            strict, reader = _strict(*schema), Reader(*schema)
            for written in (old, new):
                for value in Writer(*written).values():
                    assert strict.is_valid(value) is reader.keeps(value), (each.changes, schema, value)
            assert all(map(reader.keeps, Writer(*schema).values()))


def _model(schema: Schema, common: Schema, folder: Path, monkeypatch: pytest.MonkeyPatch) -> type[Event] | None:
    """The model the generator makes of a schema; None when it refuses the schema."""
    for name, content in (("common.schema.json", common), ("thing.happened/v1.schema.json", schema)):
        (folder / "events" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "events" / name).write_text(json.dumps(content))
    (folder / "topics").mkdir(exist_ok=True)
    entry = {"service": "thing", "events": {"thing.happened": {"versions": [1], "protective": False}}}
    (folder / "topics" / "thing.v1.yaml").write_text(json.dumps(entry))
    monkeypatch.setattr(generate, "_formatted", lambda text, path: text)
    try:
        sources = generate.modules(folder, folder)
    except generate.SchemaError:
        return None
    made = {}
    for name in ("common", "thing"):
        module = made[name] = ModuleType(f"made_{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(sources[f"{name}.py"].replace("kintsugi.contracts.events.common", "made_common"), vars(module))
    model: type[Event] = made["thing"].ThingHappened
    model.model_rebuild()
    return model


def test_the_proof_reads_as_the_generated_models_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    for each in pairs(PAIRS)[:: PAIRS // MODELLED]:
        old, new = (each.old, each.old_common), (each.new, each.new_common)
        model = _model(*new, tmp_path, monkeypatch)
        if model is None or "drop format" in each.changes:  # the model of a moment is fixed, whatever the schema says
            continue
        reader = Reader(*new)
        for value in (*Writer(*old).values(), *Writer(*new).values()):
            seen += 1
            try:
                model.decode(json.dumps(value))
            except ValidationError:
                assert not reader.takes(value), (each.changes, new, value)
            else:
                assert reader.takes(value), (each.changes, new, value)
    assert seen > 2_000


@pytest.mark.parametrize("rule", [r for r in schema_changes.RULES if r not in {"sensitivity", "described"}])
def test_a_gate_that_lacks_a_rule_would_be_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(schema_changes.RULES, rule)
    assert any(gate(p) is Verdict.fine and counterexample(p) is not None for p in pairs(PAIRS))
