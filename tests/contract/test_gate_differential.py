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
from kintsugi_contracts import generate, schema_changes
from kintsugi_contracts.base import Event
from kintsugi_contracts.documents import Document
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


@cache
def judged() -> tuple[tuple[Pair, Any], ...]:
    """Each pair with a counterexample, None where there is none."""
    return tuple((p, counterexample(p)) for p in pairs(PAIRS))


def test_nothing_that_is_called_fine_breaks_anybody_and_what_breaks_nobody_is_called_fine(
    record_property: Any,
) -> None:
    wrong, harmless, strict, broken = [], 0, Counter[tuple[str, ...]](), 0
    for each, found in judged():
        verdict = gate(each)
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
        exec(sources[f"{name}.py"].replace(f"{folder.name}.common", "made_common"), vars(module))
    model: type[Event] = made["thing"].ThingHappened
    model.model_rebuild()
    return model


def test_the_proof_reads_as_the_generated_models_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    for each in pairs(PAIRS)[:: PAIRS // MODELLED]:
        old, new = (each.old, each.old_common), (each.new, each.new_common)
        model = _model(*new, tmp_path, monkeypatch)
        moments = [common["$defs"]["Instant"] for common in (each.old_common, each.new_common)]
        if model is None or any("format" not in m or "pattern" not in m for m in moments):
            continue  # the model of a moment is fixed, whatever the schema says
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


def _found() -> bool:
    """Whether the pairs show that the gate, as it is now, calls something fine that breaks somebody."""
    return any(found is not None and gate(each) is Verdict.fine for each, found in judged())


@pytest.mark.parametrize("rule", [r for r in schema_changes.RULES if r not in {"sensitivity", "described", "keyword"}])
def test_a_gate_that_lacks_a_rule_would_be_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(schema_changes.RULES, rule)
    assert _found()


_BOUNDS = ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties")


@pytest.mark.parametrize(
    ("rule", "missed"),
    [
        *((bound, "records that stand break it") for bound in _BOUNDS),
        *((bound, "readers of the released version refuse") for bound in _BOUNDS),
        *((bound, " was none and is ") for bound in ("maxLength", "minimum", "maximum")),
        *((bound, " and is none") for bound in ("maxLength", "minimum", "maximum")),
        *((bound, " was 0 and is ") for bound in ("minLength", "minItems")),
        *((bound, " and is 0") for bound in ("minLength", "minItems")),
        *((rule, " was none and is ") for rule in ("pattern", "format")),
        *((rule, " and is none") for rule in ("pattern", "format")),
        ("null", "may no longer be null"),
        ("null", "may now be null"),
        ("required", "is now required"),
        ("required", "may now be absent"),
        ("properties", "was renamed"),
        ("properties", "was removed"),
        ("properties", "is new and required"),
        ("type", "was a whole number and is a number"),
        ("type", "was a number and is a whole number"),
        ("type", "was a list of codes and is a text"),
        ("type", "was a text and is a list of codes"),
        ("type", "was a map and is an object"),
        ("type", "was an object and is a map"),
        ("codes", "lost the code"),
    ],
)
def test_a_rule_that_looks_one_way_only_would_be_found(rule: str, missed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_rule = schema_changes.RULES[rule]
    monkeypatch.setitem(
        schema_changes.RULES, rule, lambda *given: (d for d in whole_rule(*given) if missed not in d.said)
    )
    assert _found()


@pytest.mark.parametrize("step", ["[]", "(name)", "*", "deep", "[][]"])
def test_a_gate_that_does_not_look_inside_would_be_found(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = schema_changes._compare

    def blind(old: Shape, new: Shape, field: tuple[str, ...], seen: Any) -> Any:
        return iter(()) if "".join(field).endswith(step) else inside(old, new, field, seen)

    monkeypatch.setattr(schema_changes, "_compare", blind)
    assert _found()
