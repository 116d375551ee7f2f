"""What every request passes before the application: identity, span, body limits; and what every answer carries."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from pydantic_core import from_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kintsugi.http.problems import Problem, body_not_json, internal_error
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Span, Tracing

MIB = 1024 * 1024

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_NOT_TRACED = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json"})
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_log = structlog.get_logger("kintsugi.http")


@dataclass(frozen=True)
class BodyRule:
    """What a path takes: its media types, at most `limit` bytes, and `seconds` to send them all."""

    media_types: tuple[str, ...] = ("application/json", "application/merge-patch+json")
    limit: int = MIB
    seconds: float = 10.0


class Border:
    """The outermost part of the application.

    A request gets an id (the caller's `X-Request-Id` if it is 8 to 64 plain characters, else a new one) and, when
    sampled, the root span of a new trace that links to the caller's `traceparent`. Its body is read whole, within
    the path's `BodyRule`, before the application sees it. An exception that nothing handled becomes a problem
    document and a log line with its type and place, never its text.
    `scope["kintsugi.request_id"]` and `scope["kintsugi.span"]` hold the two for whoever needs them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        tracing: Tracing,
        rules: Mapping[str, BodyRule],
        notice: str | None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._rules = rules
        self._default = BodyRule()
        self._notice = notice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(12).hex()
        span = self._span(scope, headers)
        scope["kintsugi.request_id"] = request_id
        scope["kintsugi.span"] = span
        answer = _Answer(send, request_id, span, self._notice)
        try:
            body = await self._body(scope, headers, receive)
            await self._app(scope, receive if body is None else _Replay(body, receive), answer)
        except _CallerGone:
            answer.status = 499
        except Problem as problem:
            await answer.refuse(problem, scope, receive)
        except Exception as error:
            place = _place(error)
            _log.error("request_failed", cause=type(error).__name__, code_location=place, request_id=request_id)
            await answer.refuse(internal_error(), scope, receive)
        finally:
            self._account(scope, span, answer.status or 500, time.perf_counter() - started)

    def _span(self, scope: Scope, headers: Headers) -> Span | None:
        if scope["path"] in _NOT_TRACED:
            return None
        method = _method(scope)
        return self._tracing.root(
            method, "server", [headers.get("traceparent")], {"http.request.method": method, "kintsugi.input": "command"}
        )

    def _account(self, scope: Scope, span: Span | None, status: int, seconds: float) -> None:
        template = getattr(scope.get("route"), "path", None)
        route = template if isinstance(template, str) else "unmatched"
        self._metrics.request(_method(scope), route, status, seconds)
        if span is not None:
            span.name = f"{_method(scope)} {route}"
            span.set("http.route", route)
            span.set("http.response.status_code", status)
            self._tracing.end(span, str(status) if status >= 500 else None)

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body; None when the request has none to read."""
        chunked = "transfer-encoding" in headers
        declared = headers.get("content-length")
        if not chunked and declared in (None, "0"):
            return None
        if scope["method"] not in _WITH_BODY:
            raise Problem(
                400,
                "body_not_expected",
                "This method takes no body",
                "The request carries a body that would be ignored.",
                "Send the request without a body.",
                headers={"Connection": "close"},
            )
        rule = self._rules.get(scope["path"], self._default)
        self._check_type(rule, headers)
        if declared is not None and declared.isdigit() and int(declared) > rule.limit:
            raise _too_large(rule)
        try:
            async with asyncio.timeout(rule.seconds):
                body = await _read(receive, rule)
        except TimeoutError:
            raise Problem(
                408,
                "body_too_slow",
                "The body did not arrive in time",
                f"A body must arrive within {rule.seconds:g} seconds.",
                "Send the request again over a better connection.",
                headers={"Connection": "close"},
            ) from None
        if b"\x00" in body or _ESCAPED_NUL.search(body):
            raise Problem(
                400,
                "nul_character",
                "The body holds a NUL character",
                "Text with a NUL character cannot be stored.",
                "Remove the character and send the request again.",
            )
        if "json" in headers["content-type"].lower():
            _check_json(body)
        return body

    @staticmethod
    def _check_type(rule: BodyRule, headers: Headers) -> None:
        media_type, _, parameters = headers.get("content-type", "").partition(";")
        charset = parameters.strip().lower().removeprefix("charset=").strip('"')
        encoded = headers.get("content-encoding", "identity").lower() != "identity"
        multipart = media_type.strip().lower() == "multipart/form-data"
        if (
            media_type.strip().lower() not in rule.media_types
            or (charset not in ("", "utf-8", "utf8") and not multipart)
            or encoded
        ):
            raise Problem(
                415,
                "media_type_not_supported",
                "The body is of a kind this path does not take",
                f"This path takes {' or '.join(rule.media_types)}, in UTF-8 and not compressed.",
                "Set Content-Type to one of these and send the request again.",
                headers={"Connection": "close", "Accept-Post": ", ".join(rule.media_types)},
            )


class _CallerGone(Exception):
    """The caller closed the connection before its body had arrived; nobody is left to answer."""


async def _read(receive: Receive, rule: BodyRule) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _CallerGone
        part = message.get("body", b"")
        size += len(part)
        if size > rule.limit:
            raise _too_large(rule)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _check_json(body: bytes) -> None:
    """Refuse what the standard library's parser lets pass: NaN, lone surrogates, nesting without end."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError:
        raise body_not_json() from None


def _too_large(rule: BodyRule) -> Problem:
    return Problem(
        413,
        "body_too_large",
        "The body is too large",
        f"This path takes at most {rule.limit} bytes.",
        "Send less in one request.",
        headers={"Connection": "close"},
    )


class _Replay:
    """Gives a body that was already read, once; afterwards what the connection says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """Passes the answer on with the headers every answer carries, and remembers its status."""

    def __init__(self, send: Send, request_id: str, span: Span | None, notice: str | None) -> None:
        self._send = send
        self._request_id = request_id
        self._span = span
        self._notice = notice
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
            # A provider's link holds a token in its path: no other site may learn it.
            headers["Referrer-Policy"] = "no-referrer"
            if self._span is not None:
                headers["traceresponse"] = self._span.traceparent
            if self._notice is not None:
                headers["Kintsugi-Notice"] = self._notice
        await self._send(message)

    async def refuse(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        """Answer with `problem`, unless an answer is already under way."""
        if self.status is None:
            await problem.response(self._request_id)(scope, receive, self)


def _method(scope: Scope) -> str:
    method = scope["method"]
    return method if method in _METHODS else "_OTHER"


def _place(error: BaseException) -> str:
    """File and line where the error was raised: never its text, which may hold what a caller sent."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return "unknown"
    return f"{os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}"
