"""What reaches a log: known keys with values of their kind, and never a person's."""

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from kintsugi import logs
from kintsugi.sealing import SealError
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy.exc import StatementError

NAME, PHONE, STORY = "Canary Vale", "+999555010042", "met the recruiter at the canary station"
CANARIES = ("Canary", "Vale", PHONE, "555010042", "recruiter", "canary")
CASE = "case/0b6f3e0a-58b1-4c58-9d0e-6f5a2f0a9c11"


class Sink:
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    path = tmp_path / "referral.log"
    logs.configure("referral", file=path)
    yield Sink(path)
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, logging.raiseExceptions = before
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    structlog.reset_defaults()


def log() -> Any:
    return structlog.get_logger("kintsugi.test")


def test_a_line_is_json_with_the_allowed_keys(sink: Sink) -> None:
    log().info("batch_committed", subject=CASE, topic="xa.intake.v1", partition=3, offset=41, duration_ms=1.23456)
    [line] = sink.lines
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "kintsugi.test",
        "service": "referral",
        "event": "batch_committed",
        "subject": CASE,
        "topic": "xa.intake.v1",
        "partition": 3,
        "offset": 41,
        "duration_ms": 1.235,
    }


def test_a_key_that_is_not_on_the_list_is_left_out_and_named(sink: Sink) -> None:
    log().warning("input_held", cause="handler_raised", name=NAME, contact={"phone": PHONE}, **{NAME: 1})
    [line] = sink.lines
    assert line["dropped"] == ["?", "contact", "name"]
    assert line["cause"] == "handler_raised"


@pytest.mark.parametrize("value", [NAME, PHONE, STORY, f"{NAME}\n", "Vale", "زهرا", 999555010042 << 60, [NAME], {NAME}])
def test_a_personal_value_under_an_allowed_key_is_left_out(sink: Sink, value: object) -> None:
    for key in sorted(logs.ALLOWED):
        log().error("input_held", **{key: value})
    assert len(sink.lines) == len(logs.ALLOWED)
    for line, key in zip(sink.lines, sorted(logs.ALLOWED), strict=True):
        assert line["dropped"] == [key]
        assert key == "service" or key not in line
    assert not any(canary in sink.text for canary in (*CANARIES, "زهرا"))


def test_an_event_is_a_code_and_a_sentence_is_not_written(sink: Sink) -> None:
    log().error(f"could not reach {NAME} on {PHONE}")
    log().error("could not reach %s", NAME)
    assert [line["event"] for line in sink.lines] == ["unnamed_event", "unnamed_event"]
    assert not any(canary in sink.text for canary in CANARIES)


def test_an_exception_is_its_type_and_place_and_never_its_text(sink: Sink) -> None:
    try:
        try:
            raise SealError("not_authentic", f"value of {NAME}")
        except SealError as error:
            raise StatementError(PHONE, f"INSERT {STORY}", {"name": NAME}, KeyError(NAME)) from error
    except StatementError:
        log().exception("batch_failed")
    [line] = sink.lines
    assert line["error"] == "sqlalchemy.exc.StatementError"
    assert line["caused_by"] == ["kintsugi.sealing.SealError", "KeyError"]
    assert line["error_code"] == "not_authentic"
    assert line["at"][-1].startswith("tests/unit/test_logs.py:")
    assert line["at"][-1].endswith(test_an_exception_is_its_type_and_place_and_never_its_text.__name__)
    assert not any(canary in sink.text for canary in CANARIES)


def test_every_member_of_a_group_is_told(sink: Sink) -> None:
    log().error("tasks_failed", exc_info=ExceptionGroup(NAME, [ValueError(NAME), OSError(PHONE)]))
    assert sink.lines[0]["caused_by"] == ["ValueError", "OSError"]
    assert not any(canary in sink.text for canary in CANARIES)


def test_a_library_is_heard_from_warning_up_without_its_arguments(sink: Sink) -> None:
    library = logging.getLogger("aiokafka.consumer")
    library.info("fetched %s", NAME)
    library.warning("Unable to request metadata from %s: %r", NAME, OSError(PHONE))
    library.error(f"already formatted {NAME}")
    logging.getLogger("some.other.library").error("record %s", NAME, extra={"phone": PHONE})
    warned, formatted, other = sink.lines
    assert warned["template"] == "Unable to request metadata from %s: %r"
    assert warned["code_location"].startswith("tests/unit/test_logs.py:")
    assert "template" not in formatted
    assert "template" not in other
    assert not any(canary in sink.text for canary in CANARIES)


async def test_a_lost_task_is_reported_without_its_text(sink: Sink) -> None:
    async def fail() -> None:
        raise ValueError(NAME)

    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert [line["error"] for line in sink.lines] == ["ValueError"]
    assert not any(canary in sink.text for canary in CANARIES)


def test_warnings_and_unformattable_lines_leak_nothing(sink: Sink, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(NAME, stacklevel=1)
    logging.getLogger("aiokafka").error("%d %d", NAME)
    log().error("input_held", count=NAME, source=object())
    assert len(sink.lines) == 3
    printed = capfd.readouterr()
    assert not any(canary in sink.text + printed.out + printed.err for canary in CANARIES)


def test_an_uncaught_exception_is_a_line_and_not_a_traceback(tmp_path: Path) -> None:
    program = f"""
import threading
from pathlib import Path
from kintsugi import logs
logs.configure("notify")
def fail(): raise ValueError({NAME!r})
thread = threading.Thread(target=fail); thread.start(); thread.join()
class Leaks:
    def __del__(self): raise OSError({PHONE!r})
Leaks()
raise KeyError({STORY!r})
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["error"] for line in lines] == ["ValueError", "OSError", "KeyError"]
    assert not any(canary in done.stderr for canary in CANARIES)


def test_a_line_carries_the_trace_it_was_written_in(sink: Sink) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("process") as span:
        log().info("applied")
    context = span.get_span_context()
    assert sink.lines[0]["trace_id"] == f"{context.trace_id:032x}"
    assert sink.lines[0]["span_id"] == f"{context.span_id:016x}"


def test_bound_context_is_written_and_may_name_the_service(sink: Sink) -> None:
    with structlog.contextvars.bound_contextvars(service="assessment", subject=CASE):
        log().info("applied")
    assert (sink.lines[0]["service"], sink.lines[0]["subject"]) == ("assessment", CASE)


def test_the_log_file_is_private(sink: Sink) -> None:
    assert sink.path.stat().st_mode & 0o077 == 0
