"""Intake, wired: the composition root that the runtime finds by entry point."""

from __future__ import annotations

from kintsugi.application import Application

from kintsugi_intake.api import BODY_RULES, router
from kintsugi_intake.handlers import service
from kintsugi_intake.state import IntakeFile
from kintsugi_intake.views import views

application: Application[IntakeFile] = Application(
    service=service,
    views=views,
    routers=(router,),
    body_rules=BODY_RULES,
    retired={"intake_0001": ("cases", "consents", "contact_channels", "contact_windows")},
)
