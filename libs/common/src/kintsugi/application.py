"""What a service hands to the runtime: its core, its HTTP routes, its views and how they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Self

from fastapi import APIRouter
from kintsugi_contracts.catalog import Catalog
from kintsugi_country import Pack

from kintsugi.channels import Channel
from kintsugi.http.border import BodyRule
from kintsugi.service import S, Service
from kintsugi.settings import Settings
from kintsugi.views import Views


@dataclass(frozen=True)
class Application(Generic[S]):
    """One service, wired. The entry points of the group ``kintsugi.services`` name values of this type.

    ``migrations`` is the folder of the service's own Alembic revisions, where it has tables beside its views.
    ``retired`` are revisions that an earlier release had and this one has not, each with the view tables it made:
    a database that has them is taken over, and those tables go when no earlier release writes any more.
    ``resources(settings, pack)`` makes the
    immutable snapshot that decisions find in ``ctx.resources``; ``channels(settings)`` the ways out by name.
    ``extended(service, catalog)`` is the service with handlers for what packages it has never heard of declare.
    ``body_rules`` gives paths that take something else than JSON up to 1 MiB a rule of their own.
    """

    service: Service[S]
    views: Views[S]
    migrations: Path | None = None
    routers: Sequence[APIRouter] = ()
    resources: Callable[[Settings, Pack], Any] = lambda _settings, _pack: None
    channels: Callable[[Settings], Mapping[str, Channel]] = field(default=lambda _settings: {})
    body_rules: Mapping[str, BodyRule] = field(default_factory=dict)
    retired: Mapping[str, Sequence[str]] = field(default_factory=dict)
    extended: Callable[[Service[S], Catalog], Service[S]] = lambda service, _catalog: service

    def within(self, catalog: Catalog) -> Self:
        """The application in an installation of these packages: what ``extended`` adds to its service is taken too."""
        return replace(self, service=self.extended(self.service, catalog))

    @property
    def name(self) -> str:
        """The short name: ``intake`` in ``xa.intake.v1`` and ``/xa/intake``."""
        return self.service.name
