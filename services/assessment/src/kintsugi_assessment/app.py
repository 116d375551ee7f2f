"""Assessment, wired: the composition root that the runtime finds by entry point."""

from __future__ import annotations

from pathlib import Path

from kintsugi.application import Application

from kintsugi_assessment.api import router
from kintsugi_assessment.handlers import service
from kintsugi_assessment.state import AssessmentFile
from kintsugi_assessment.views import views

application: Application[AssessmentFile] = Application(
    service=service,
    views=views,
    migrations=Path(__file__).parent / "migrations",
    routers=(router,),
)
