"""What an agency reaches through its link, without an account: a page for a browser, JSON for a program.

The page works without scripts: its buttons post without a body and say what they mean in the query.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from kintsugi.auth import Claims
from kintsugi.commands import Commands, Done, commands
from kintsugi.http.problems import Problem
from pydantic import BaseModel
from sqlalchemy import select
from starlette.responses import RedirectResponse

from kintsugi_referral.commands import AcknowledgePurge, Answer, Answered, Link, Look, ProviderStatus, Reason
from kintsugi_referral.links import LinkKind, Links
from kintsugi_referral.page import Page
from kintsugi_referral.shown import Shown, shown
from kintsugi_referral.state import CaseFile
from kintsugi_referral.views import REFERRALS

router = APIRouter(prefix="/provider", tags=["provider links"])

Office = Annotated[Commands[CaseFile], Depends(commands)]
Step = Annotated[int | None, Query(ge=0, description="`step` of the request as it was last seen")]


class Outcome(BaseModel):
    """Where the request stands after what the agency said."""

    status: str
    sub_status: str | None
    step: int


def links(request: Request) -> Links:
    """The service's own snapshot, the one that decisions find in ``ctx.resources``."""
    found: Links = request.app.state.office.resources
    return found


Reader = Annotated[Links, Depends(links)]
_HTML_TOO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {}}, "description": "A page for a browser, JSON for a program"}
}


@router.get("/{token}", response_model=Shown, responses=_HTML_TOO)
async def show(
    token: str,
    request: Request,
    office: Office,
    reader: Reader,
    lang: Annotated[str | None, Query(max_length=20)] = None,
    done: bool = False,
) -> Response:
    """What may be shown of the request, and what can be answered now."""

    async def answered() -> Response:
        kind, claims = _opened(reader, token)
        look = Look(kind=kind, **_link(claims))
        try:
            seen = await _look(office, look, claims)
        except Problem as problem:
            if problem.code != "facts_withheld":
                raise
            seen = await _look(office, look.model_copy(update={"facts": False}), claims)
        if not _wants_page(request):
            return seen
        page = _page(request, reader, lang, claims)
        return page.response(page.request(Shown.model_validate_json(bytes(seen.body)), token, done=done))

    return await _for_whom(request, reader, lang, answered)


@router.post("/{token}/answer", response_model=Outcome)
async def answer(
    token: str,
    request: Request,
    office: Office,
    reader: Reader,
    body: Answered | None = None,
    status: ProviderStatus | None = None,
    reason: Reason | None = None,
    sub_status: Annotated[str | None, Query(pattern="^unattended$")] = None,
    step: Step = None,
    lang: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """The agency's answer, as JSON or, from the page, in the query."""
    said = body
    if said is None and status is not None:
        said = Answered.model_validate({"status": status, "reason": reason, "sub_status": sub_status})

    async def answered() -> Response:
        if said is None:
            raise Problem(
                422, "answer_missing", "No answer was sent", None, 'Send JSON such as {"status": "accepted"}.'
            )
        claims = reader.read(token, "answer")
        command = Answer(**said.model_dump(), **_link(claims))
        return await _say(command, token, request, office, claims, step, lang)

    return await _for_whom(request, reader, lang, answered)


@router.post("/{token}/purge", response_model=Outcome)
async def acknowledge(
    token: str,
    request: Request,
    office: Office,
    reader: Reader,
    step: Step = None,
    lang: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """The agency says that it deleted what it received."""

    async def answered() -> Response:
        claims = reader.read(token, "purge")
        return await _say(AcknowledgePurge(**_link(claims)), token, request, office, claims, step, lang)

    return await _for_whom(request, reader, lang, answered)


def _opened(reader: Links, token: str) -> tuple[LinkKind, Claims]:
    claims = reader.read_any(token)
    return ("purge" if claims.purpose == "purge" else "answer"), claims


def _link(claims: Claims) -> dict[str, object]:
    return Link(
        referral_id=claims.referral_id, agency=claims.agency, option_id=claims.jti, expires=claims.expires
    ).model_dump()


async def _look(office: Commands[CaseFile], look: Look, claims: Claims) -> Response:
    """A key of its own for each look: what is shown is what stands now, never an answer given before."""

    def answer(done: Done[CaseFile]) -> Shown:
        return shown(done.state, claims.referral_id, look.kind, claims.expires, facts=look.facts)

    return await office.execute(look, caller=None, subject=claims.subject, answer=answer, key=f"look/{uuid.uuid4()}")


async def _say(
    command: Answer | AcknowledgePurge,
    token: str,
    request: Request,
    office: Commands[CaseFile],
    claims: Claims,
    step: int | None,
    lang: str | None,
) -> Response:
    def answer(done: Done[CaseFile]) -> Outcome:
        referral = done.state.referrals[claims.referral_id]
        return Outcome(status=referral.status.value, sub_status=referral.sub_status, step=referral.step)

    key = None
    if "idempotency-key" not in request.headers:
        key = await _key(command, office, claims, step)
    said = await office.execute(command, caller=None, subject=claims.subject, answer=answer, key=key)
    if not _wants_page(request):
        return said
    # Relative, so that it holds behind a proxy that serves the service under a path of its own.
    chosen = f"&lang={lang}" if lang and lang.isalpha() else ""
    return RedirectResponse(f"../{token}?done=true{chosen}", status_code=303)


async def _key(command: Answer | AcknowledgePurge, office: Commands[CaseFile], claims: Claims, step: int | None) -> str:
    """A button pressed twice is one answer; the same answer after another one is a new one."""
    if step is None:
        query = select(REFERRALS.c.step).where(REFERRALS.c.referral_id == claims.referral_id).limit(1)
        found = await office.rows(query)
        step = int(found[0]["step"]) if found else 0
    said = f"{type(command).__name__} {step} {command.model_dump_json()}"
    return f"link/{sha256(said.encode()).hexdigest()}"


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _page(request: Request, reader: Links, lang: str | None, claims: Claims | None) -> Page:
    agency: tuple[str, ...] = ()
    if claims is not None:
        try:
            agency = reader.pack.directory.agency(claims.agency).languages
        except LookupError:
            agency = ()
    accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(",")]
    return Page.of(reader.pack, [*([lang] if lang else []), *agency, *accepted])


async def _for_whom(
    request: Request, reader: Links, lang: str | None, answered: Callable[[], Awaitable[Response]]
) -> Response:
    """Problems become a page where a person reads them; what is ours to mend never shows what holds the case."""
    try:
        return await answered()
    except Problem as problem:
        told = _NOT_NOW if problem.code == "case_on_hold" else problem
        if not _wants_page(request):
            raise told from None
        page = _page(request, reader, lang, None)
        return page.response(page.problem(told.code), status=told.status)


_NOT_NOW = Problem(
    503,
    "not_now",
    "The request cannot be reached at this moment",
    None,
    "Send it again in a few minutes.",
    headers={"Retry-After": "120"},
)
