"""The FastAPI application of a service: its routers behind one border, with health, metrics and OpenAPI."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.responses import Response

from kintsugi.http import problems
from kintsugi.http.border import BodyRule, Border
from kintsugi.http.health import Health
from kintsugi.http.liveness import Watchdog, liveness_document
from kintsugi.telemetry.metrics import CONTENT_TYPE, Metrics
from kintsugi.telemetry.tracing import Tracing

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

FICTIONAL = "fictional data only"


def create_app(
    service_name: str,
    version: str,
    lifespan: Lifespan | None,
    routers: Sequence[APIRouter],
    health: Health,
    metrics: Metrics,
    *,
    tracing: Tracing | None = None,
    watchdog: Watchdog | None = None,
    development: bool = False,
    body_rules: Mapping[str, BodyRule] | None = None,
    title: str | None = None,
    description: str = "",
) -> FastAPI:
    """Make the application.

    `body_rules` gives paths that take something else than at most 1 MiB of JSON a rule of their own. In
    `development` every answer carries `Kintsugi-Notice: fictional data only`. Without `tracing` nothing is traced;
    without `watchdog` `/livez` only says that the event loop answers.
    """
    app = FastAPI(
        title=title or f"Kintsugi {service_name}",
        version=version,
        description=description,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    for router in routers:
        app.include_router(router)
    app.include_router(_probes(service_name, version, health, metrics, watchdog or Watchdog()))
    app.add_middleware(
        Border,
        metrics=metrics,
        tracing=tracing or Tracing(service_name),
        rules=dict(body_rules or {}),
        notice=FICTIONAL if development else None,
    )
    _describe(app)
    return app


def _probes(service: str, version: str, health: Health, metrics: Metrics, watchdog: Watchdog) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> Response:
        status, body = liveness_document(watchdog)
        return Response(body, status_code=status, media_type="application/json")

    @router.get("/readyz")
    async def readyz() -> Response:
        reasons = await health.reasons()
        body = {
            "service": service,
            "version": version,
            "status": "not_ready" if reasons else "ready",
            "reasons": reasons,
        }
        return JSONResponse(body, status_code=503 if reasons else 200)

    @router.get("/metrics")
    async def exposition() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router


_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem document. It never repeats a value of the request.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "description": "urn:kintsugi:problem:<code>"},
        "title": {"type": "string", "description": "What happened, in one line"},
        "status": {"type": "integer", "description": "The HTTP status"},
        "code": {"type": "string", "description": "Stable code from a closed list"},
        "detail": {"type": "string", "description": "Where and why"},
        "what_next": {"type": "string", "description": "What the caller should do"},
        "instance": {"type": "string", "description": "urn:kintsugi:request:<X-Request-Id>"},
        "errors": {
            "type": "array",
            "description": "For input_refused: the places of the request that break a rule",
            "items": {
                "type": "object",
                "required": ["where", "rule", "says"],
                "properties": {
                    "where": {"type": "string", "description": "Path of field names"},
                    "rule": {"type": "string", "description": "The rule's name"},
                    "says": {"type": "string", "description": "The rule in words"},
                    "limits": {"type": "object", "description": "The limits of the schema"},
                },
            },
        },
    },
}


def _describe(app: FastAPI) -> None:
    """Publish what the application really does: bearer tokens, and problem documents for every error."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generate()
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas["Problem"] = _PROBLEM_SCHEMA
        schemes = components.setdefault("securitySchemes", {})
        if not schemes:
            schemes["bearer"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        error = {
            "description": "A problem document",
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for path in document.get("paths", {}).values():
            for operation in path.values():
                responses = operation.setdefault("responses", {})
                responses.pop("422", None)
                responses["default"] = error
        app.openapi_schema = document
        return document

    app.openapi = openapi  # type: ignore[method-assign]
