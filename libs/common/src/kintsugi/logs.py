"""Log lines as JSON that cannot carry personal data: only known keys, each only with a value of its kind.

What is not on the list is left out and named under `dropped`. An event is a code (`batch_committed`), never a
sentence. An exception is its type and where it was raised, never its text. Lines of other libraries appear from
warning up, as their place in the code.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any, Final
from uuid import UUID

import structlog
from opentelemetry.trace import get_current_span

MAX_FILE_BYTES: Final = 20_000_000
KEPT_FILES: Final = 5

# A code in lower case, a class name of two words or more, or an HTTP method: not one capitalised word, as names are.
_CODE = re.compile(
    r"[a-z_][a-z0-9_.:/{}-]{0,119}|(?=.{3,120}$)([a-z_]+\.)*_?[A-Z]\w*[a-z0-9][A-Z]\w*|[A-Z]{3,7}", re.ASCII
)
_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,119}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,64}")
_SUBJECT = re.compile(rf"[a-z]{{1,20}}/({_ID.pattern})")
_PLACE = re.compile(r"[\w./<>-]{1,150}:[0-9]{1,6}( [\w.<>]{1,80})?", re.ASCII)
_SOURCE = re.compile(r"/?[a-z][a-z_/]{0,59}(:[0-9]{1,16})?")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9A-Za-z+-]{1,20}){1,3}")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_EVENT = re.compile(r"[a-z][a-z0-9_.]{0,79}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,15}(Z|[+-][0-9]{2}:[0-9]{2})")

Kind = Callable[[Any], Any]
"""Gives the value as it is written, or raises ValueError when it is not of the kind."""


def _matching(pattern: re.Pattern[str]) -> Kind:
    def kind(value: Any) -> Any:
        if not isinstance(value, str | UUID) or not pattern.fullmatch(text := str(value)):
            raise ValueError
        return text

    return kind


def _number(value: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 2**63:
        raise ValueError
    return round(value, 3)


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _moment(value: Any) -> Any:
    return _matching(_MOMENT)(value.isoformat() if isinstance(value, datetime) else value)


_code, _id, _source, _place = _matching(_CODE), _matching(_ID), _matching(_SOURCE), _matching(_PLACE)

_CODES = """
    cause channel code command component country database entry error error_code failpoint group handler instrument
    method outcome
    permission phase policy process profile purpose reason relay role route service state status step task template
    topic type
"""
_IDS = "id request_id trace_id span_id correlation_id causation_id attempt_id"
_NUMBERS = """
    sequence partition offset position lag count size bytes records events applied ignored duplicates waiting held
    discarded dead unsent subjects duration_ms delay_ms age_s attempt limit depth port pid signal http_status batch
    generation epoch fold_version exit_code attempts retry_in_s workers sent claimed failed
"""

ALLOWED: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(_CODES.split(), _code),
    **dict.fromkeys(_IDS.split(), _id),
    **dict.fromkeys(("source", "seen", "awaited"), _source),
    **dict.fromkeys(_NUMBERS.split(), _number),
    **dict.fromkeys(("ready", "cached", "on_hold", "sampled", "final"), _flag),
    **dict.fromkeys(("at_time", "due", "until", "since", "business_time"), _moment),
    "subject": _matching(_SUBJECT),
    **dict.fromkeys(("code_location", "location"), _place),
    "version": _matching(_VERSION),
    "sqlstate": _matching(_SQLSTATE),
}
"""Every key a line may have, beside event, level, logger, timestamp, error, at, caused_by and dropped."""

TEMPLATES_FROM: Final = ("aiokafka", "asyncpg", "faststream", "sqlalchemy.pool", "uvicorn.error")
"""Libraries whose message template (without its arguments) is shown beside the place it came from."""


def configure(service: str, *, level: str = "INFO", file: Path | None = None) -> None:
    """Send every log line of this process, our own and libraries', to `file` (rotated) or else to stderr.

    Also uncaught exceptions, of threads too, are written as lines, so that no traceback prints a value. Servers that
    configure logging themselves must be told not to (`uvicorn.run(log_config=None)`).
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        handler = RotatingFileHandler(file, maxBytes=MAX_FILE_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    handler.setFormatter(Lines(service))
    handler.addFilter(_worth_a_line)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for known in list(root.manager.loggerDict.values()):
        if isinstance(known, logging.Logger):
            known.handlers.clear()
            known.propagate = True
    logging.raiseExceptions = False  # else a line that fails to format is printed whole, arguments included
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    _write_uncaught()


class Lines(logging.Formatter):
    """Turns any log record into one JSON line of allowed keys."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        own = isinstance(record.msg, dict) and hasattr(record, "_logger")
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name if _TYPE.fullmatch(record.name) else "?",
            "service": self._service,
            **_trace(),
        }
        if own:
            assert isinstance(record.msg, dict)
            line |= _own(record.msg)
        else:
            line |= _foreign(record)
        return json.dumps(line)


def allowed(event_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The pairs that may be written, and under `dropped` the names of those that may not."""
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in event_dict.items():
        try:
            kind = ALLOWED[name]
            if isinstance(value, list | tuple | set | frozenset):
                kept[name] = [kind(each) for each in list(value)[:50]]
            elif value is not None:
                kept[name] = kind(value)
        except (KeyError, ValueError):
            dropped.append(name if isinstance(name, str) and _NAME.fullmatch(name) else "?")
    if dropped:
        kept["dropped"] = sorted(dropped)
    return kept


def failure(error: BaseException) -> dict[str, Any]:
    """An exception as its type, stable codes and places in the code; never its text, which may hold a value."""
    chain = list(_causes(error))
    told: dict[str, Any] = {"error": _type_name(error), "at": list(_places(error.__traceback__))[-6:]}
    if len(chain) > 1:
        told["caused_by"] = [_type_name(each) for each in chain[1:]]
    for each in chain:
        code, state = getattr(each, "code", None), getattr(each, "sqlstate", None)
        if type(each).__module__.startswith("kintsugi") and isinstance(code, str) and _EVENT.fullmatch(code):
            told.setdefault("error_code", code)
        if isinstance(state, str) and _SQLSTATE.fullmatch(state):
            told.setdefault("sqlstate", state)
    return told


def _own(event_dict: MutableMapping[str, Any]) -> dict[str, Any]:
    pairs = dict(event_dict)
    event, exc_info = pairs.pop("event", None), pairs.pop("exc_info", None)
    pairs.pop("stack_info", None)
    line: dict[str, Any] = {"event": event}
    if not (isinstance(event, str) and _EVENT.fullmatch(event)):
        line["event"] = "unnamed_event"
        pairs["event"] = event
    line |= allowed(pairs)
    error = _error_of(exc_info)
    return line | failure(error) if error else line


def _foreign(record: logging.LogRecord) -> dict[str, Any]:
    line: dict[str, Any] = {"event": "library_message", "code_location": f"{_short(record.pathname)}:{record.lineno}"}
    if record.args and isinstance(record.msg, str) and _under(record.name, TEMPLATES_FROM):
        line["template"] = re.sub(r"[0-9]{5,}|[^ -~]", "#", record.msg)[:200]
    error = _error_of(record.exc_info)
    return line | failure(error) if error else line


def _worth_a_line(record: logging.LogRecord) -> bool:
    return hasattr(record, "_logger") or record.levelno >= logging.WARNING


def _trace() -> dict[str, str]:
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _error_of(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 and isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, and the members of groups; at most eight."""
    queue, seen = [error], set[int]()
    while queue and len(seen) < 8:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            queue.extend(each.exceptions)
        context = None if each.__suppress_context__ else each.__context__
        linked = (each.__cause__, getattr(each, "orig", None), context)  # SQLAlchemy keeps the driver's in `orig`
        queue.extend(cause for cause in linked if isinstance(cause, BaseException))


def _places(traceback: TracebackType | None) -> Iterator[str]:
    for frame, line in walk_tb(traceback):
        place = f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
        yield place if _PLACE.fullmatch(place) else "?"


def _short(path: str) -> str:
    tail = "/".join(Path(path).parts[-3:])
    return tail if re.fullmatch(r"[\w./<>-]{1,150}", tail, re.ASCII) else "?"


def _type_name(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return name if _TYPE.fullmatch(name) else "?"


def _under(logger: str, names: tuple[str, ...]) -> bool:
    return any(logger == name or logger.startswith(f"{name}.") for name in names)


def _write_uncaught() -> None:
    log = structlog.get_logger("kintsugi.uncaught")

    def in_main(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.critical("uncaught_exception", exc_info=error.with_traceback(traceback))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            log.critical("uncaught_exception", component="thread", exc_info=args.exc_value)

    def unraisable(args: Any) -> None:
        if args.exc_value is not None:
            log.error("unraisable_exception", exc_info=args.exc_value)

    sys.excepthook = in_main
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
