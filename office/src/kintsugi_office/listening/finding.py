"""Which case a person means: what the services say, and the log itself where no service can be asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from kintsugi.kafka import Cluster

from kintsugi_office.listening.choosing import Beginning, Unclear
from kintsugi_office.listening.heard import Heard
from kintsugi_office.listening.reading import Tail
from kintsugi_office.operators import DEFAULT_STAFF, ServiceSilent, operators
from kintsugi_office.project import Layout

_WHOLE = re.compile(r"[a-z]{1,40}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPENED = "kintsugi.case.opened."


async def subject_of(layout: Layout, ref: str, cluster: Cluster, openings: Mapping[str, int], *, foreign: bool) -> str:
    """The subject that a case reference, a subject, or the beginning of either means.

    ``openings`` are the topics that carry openings of cases, read from their beginning where no service answers or
    the case is of another country (``foreign``). Raises CannotDo and Unclear: none, or several, which are named.
    """
    if _WHOLE.fullmatch(ref):
        return ref
    if not foreign:
        async with operators(layout, DEFAULT_STAFF, seconds=5) as services:
            pulses = await services.everywhere("pulse", list(services.urls))
            if not all(isinstance(each, ServiceSilent) for each in pulses.values()):
                return await services.subject(ref)
    return await in_log(ref, cluster, openings)


async def in_log(ref: str, cluster: Cluster, openings: Mapping[str, int]) -> str:
    """The subject as the openings of cases on the topics tell it. Raises Unclear."""
    found: dict[str, str] = {}
    async with Tail(cluster, openings, Beginning(earliest=True)) as tail:
        async for batch in tail.read(asyncio.Event(), until_end=True):
            for each in batch:
                if isinstance(each, Heard) and (said := _ref(each)) is not None and _meant(ref, said, each.subject):
                    found[each.subject or ""] = said
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise Unclear(
            f"--case {ref}: no case begins with it. Give a reference such as XA-7K3M2P9Q, or the beginning of one or "
            "of its subject 'case/...'."
        )
    several = "\n".join(f"  {said}  {subject}" for subject, said in list(found.items())[:20])
    raise Unclear(f"--case {ref} is the beginning of several cases. Give more of it:\n{several}")


def _ref(heard: Heard) -> str | None:
    if heard.data is None or not (heard.type or "").startswith(_OPENED):
        return None
    said = heard.data.get("case_ref")
    return said if isinstance(said, str) else None


def _meant(ref: str, said: str, subject: str | None) -> bool:
    return said.startswith(ref.upper()) or (subject or "").startswith((ref, f"case/{ref.lower()}"))
