"""Errors a caller can act on, as RFC 9457 problem documents that never repeat what was sent."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kintsugi.http.validation import described

MEDIA_TYPE = "application/problem+json"

_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")


class Problem(Exception):
    """Raise it anywhere under a request: the caller gets `status` and a problem document.

    `code` is stable and from a closed list; `title` says what happened in one line; `detail` where and why;
    `what_next` what the caller should do. None of them, nor `extra`, may hold a personal value or anything the
    caller sent. `headers` are added to the answer (`Retry-After`, `WWW-Authenticate`).
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str | None = None,
        what_next: str | None = None,
        extra: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not _CODE.fullmatch(code):
            raise ValueError("a problem code is lower-case words joined by underscores, at most 60 characters")
        super().__init__(code)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.what_next = what_next
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def document(self, request_id: str | None = None) -> dict[str, Any]:
        """The members of the problem document. `instance` names the request, not its path: paths hold references."""
        members: dict[str, Any] = {
            **self.extra,
            "type": f"urn:kintsugi:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "what_next": self.what_next,
            "instance": f"urn:kintsugi:request:{request_id}" if request_id else None,
        }
        return {name: value for name, value in members.items() if value is not None}

    def response(self, request_id: str | None = None) -> Response:
        """The HTTP answer."""
        return JSONResponse(
            self.document(request_id), status_code=self.status, media_type=MEDIA_TYPE, headers=self.headers
        )


def starting() -> Problem:
    """What a caller is told before a service knows that its database is whole and its own."""
    return Problem(
        503,
        "starting",
        "The service is starting",
        "It still waits for its database, its keyring or Kafka; nothing was changed.",
        "Send the same request with the same Idempotency-Key again in a few seconds; /readyz says when it is ready.",
        headers={"Retry-After": "2"},
    )


def internal_error() -> Problem:
    """What a caller learns of a fault of ours: that it was logged, and under which request."""
    return Problem(
        500,
        "internal_error",
        "The service failed to answer",
        "The fault is in the service and was logged under the request id.",
        "Send the same request again with the same Idempotency-Key; if it fails again, tell the operators the id.",
    )


def body_not_json() -> Problem:
    """The answer to a body that is not one JSON value of ordinary depth, in UTF-8, with finite numbers."""
    return Problem(
        400,
        "body_not_json",
        "The body is not JSON",
        "The body could not be parsed as one JSON value.",
        "Send one UTF-8 JSON object without NaN, lone surrogates or deep nesting.",
    )


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document: raised problems, refused input, and the framework's own."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response(_request_id(request))

    async def on_refused_input(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _refused_input(error, app).response(_request_id(request))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _from_http(error).response(_request_id(request))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_refused_input)
    app.add_exception_handler(HTTPException, on_http)


def _refused_input(error: RequestValidationError, app: FastAPI) -> Problem:
    errors = error.errors()
    if any(each.get("type") == "json_invalid" for each in errors):
        return body_not_json()
    return Problem(
        422,
        "input_refused",
        "The request was understood but some of it cannot be accepted",
        "Each entry of `errors` names a place in the request and the rule it breaks; values are never repeated.",
        "Correct the places named and send the request again.",
        {"errors": described(errors, app.openapi())},
    )


_STATUSES: dict[int, tuple[str, str | None]] = {
    400: ("bad_request", "Correct the request and send it again."),
    401: ("not_authenticated", "Send a valid bearer token in the Authorization header."),
    403: ("not_allowed", "Ask someone whose role covers this, or an administrator for the role."),
    404: ("not_found", "Check the reference; paths are listed in /openapi.json."),
    405: ("method_not_allowed", "See the Allow header and /openapi.json for what this path takes."),
    429: ("too_many_requests", "Wait for the seconds named in Retry-After."),
    503: ("unavailable", "Wait for the seconds named in Retry-After, then send the same request again."),
}


def _from_http(error: HTTPException) -> Problem:
    """A problem for the framework's own errors. Their `detail` is kept only when it is a code."""
    code, what_next = _STATUSES.get(error.status_code, (f"http_{error.status_code}", None))
    detail: object = error.detail
    if isinstance(detail, Mapping):
        detail = detail.get("code")
    if isinstance(detail, str) and _CODE.fullmatch(detail):
        code = detail
    try:
        title = HTTPStatus(error.status_code).phrase
    except ValueError:
        title = "The request failed"
    return Problem(error.status_code, code, title, None, what_next, headers=dict(error.headers or {}))


def _request_id(request: Request) -> str | None:
    value = request.scope.get("kintsugi.request_id")
    return value if isinstance(value, str) else None
